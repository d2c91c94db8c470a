"""`stmnet predict`: which action is in videos."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stmnet.cli.arguments import DTYPE_HELP, DTYPES, Verbs, add_verb, positive_int
from stmnet.cli.printing import USER_ERROR, complain, print_json, print_table
from stmnet.errors import StmnetError

if TYPE_CHECKING:
    from stmnet.recognizer import Prediction


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "predict",
        run,
        "Recognize the action in videos.",
        examples=(),
    )
    verb.add_argument(
        "videos",
        nargs="*",
        type=Path,
        help="video files, or folders of them; none: the sample clips that come with stmnet",
    )
    verb.add_argument("--model", default="motion", help="a name, a checkpoint, or a run's folder")
    verb.add_argument(
        "--top", type=positive_int, default=3, metavar="K", help="how many labels to show"
    )
    verb.add_argument("--dtype", choices=DTYPES, default="float32", help=DTYPE_HELP)
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet predict VIDEO...`: a table, or one JSON object."""
    from stmnet.files import packaged_file
    from stmnet.models.weight_files import find_weights
    from stmnet.video.video_paths import find_videos, missing_videos

    # What is not there is told before torch is imported, which takes a second and more.
    videos = find_videos(arguments.videos or [packaged_file("samples")])
    find_weights(arguments.model)
    errors = missing_videos(videos)
    for message in errors.values():
        complain(message, USER_ERROR)
    predictions: list[Prediction] = []
    if there := [video for video in videos if str(video) not in errors]:
        predictions, unreadable = predict(there, arguments)
        errors |= unreadable
    if arguments.json:
        from stmnet.cli.predictions_table import prediction_as_json

        print_json(
            {
                "model": arguments.model,
                "dtype": arguments.dtype,
                "predictions": list(map(prediction_as_json, predictions)),
                "errors": errors,
            }
        )
    elif predictions:
        from stmnet.cli.predictions_table import predictions_as_table

        print_table(predictions_as_table(predictions))
    return USER_ERROR if errors else 0


def predict(
    videos: Sequence[Path], arguments: argparse.Namespace
) -> tuple[list[Prediction], dict[str, str]]:
    """The predictions, and the messages on videos that have none; both are told as they come."""
    from stmnet.recognizer import load

    recognizer = load(arguments.model, dtype=arguments.dtype)
    predictions: list[Prediction] = []
    errors: dict[str, str] = {}
    for video in videos:
        try:
            predictions.append(recognizer(video, top_k=arguments.top))
        except StmnetError as error:
            errors[str(video)] = str(error)
            complain(str(error), USER_ERROR)
            continue
        for warning in predictions[-1].warnings:
            complain(f"warning: {warning}", 0)
    return predictions, errors
