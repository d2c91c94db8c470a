"""`stmnet predict`: which action is in videos."""

from __future__ import annotations

import argparse
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
    from stmnet.cli.predictions_table import prediction_as_json, predictions_as_table
    from stmnet.files import packaged_file
    from stmnet.recognizer import load
    from stmnet.video.video_paths import find_videos

    videos = find_videos(arguments.videos or [packaged_file("samples")])
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
    if arguments.json:
        print_json(
            {
                "model": arguments.model,
                "dtype": arguments.dtype,
                "predictions": list(map(prediction_as_json, predictions)),
                "errors": errors,
            }
        )
    elif predictions:
        print_table(predictions_as_table(predictions))
    return USER_ERROR if errors else 0
