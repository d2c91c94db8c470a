"""`stmnet predict`: which action is in videos."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stmnet.cli.arguments import DTYPE_HELP, DTYPES, Verbs, add_verb, path, positive_int
from stmnet.cli.printing import USER_ERROR, complain, print_json, print_table
from stmnet.errors import StmnetError, escaped

if TYPE_CHECKING:
    from rich.table import Table

    from stmnet.recognizer import Prediction


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "predict",
        run,
        "Recognize the action in videos.",
        examples=(
            "stmnet predict   # the sample clips that come with stmnet",
            "stmnet predict clip.mp4",
            "stmnet predict clips --top 1 --json   # every video below a folder",
            "stmnet predict clip.mp4 --model runs/mine   # by a network of your own",
        ),
    )
    verb.add_argument(
        "videos",
        nargs="*",
        type=path,
        help="video files, or folders of them; none: the sample clips that come with stmnet",
    )
    verb.add_argument(
        "--model", default="motion", help="motion (default), a file of weights, or a run's folder"
    )
    verb.add_argument(
        "--top",
        type=positive_int,
        default=3,
        metavar="K",
        help="number of labels to show (default 3)",
    )
    verb.add_argument("--dtype", choices=DTYPES, default="float32", help=DTYPE_HELP)
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet predict VIDEO...`: a table, or one JSON object."""
    from stmnet.files import packaged_file
    from stmnet.models.weight_files import find_weights
    from stmnet.video.video_paths import find_videos, missing_videos

    # Missing files are reported before torch is imported, which takes a second and more.
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
        print_json(
            {
                "model": arguments.model,
                "dtype": arguments.dtype,
                "predictions": list(map(prediction_to_json, predictions)),
                "errors": errors,
            }
        )
    elif predictions:
        print_table(render_predictions(predictions, arguments.videos))
    return USER_ERROR if errors else 0


def predict(
    videos: Sequence[Path], arguments: argparse.Namespace
) -> tuple[list[Prediction], dict[str, str]]:
    """The predictions, and the messages on videos without one, which are printed as they come."""
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


def render_predictions(predictions: Sequence[Prediction], given: Sequence[Path] = ()) -> Table:
    """A row for each of a video's likeliest labels.

    A video is shown by its name, below one of the folders `given` by its path from there, and
    where two of these are the same by its whole path.
    """
    from rich.table import Table

    names = [_shown_name(Path(prediction.video), given) for prediction in predictions]
    if len(set(names)) < len(names):
        names = [prediction.video for prediction in predictions]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("video", "action", "probability"):
        table.add_column(heading, no_wrap=True)
    for name, prediction in zip(names, predictions, strict=True):
        for rank, (label, probability) in enumerate(prediction.top):
            row = (escaped(name) if rank == 0 else "", escaped(label), f"{probability:.1%}")
            table.add_row(*row, style="bold" if rank == 0 else "dim")
    return table


def _shown_name(video: Path, given: Sequence[Path]) -> str:
    above = next((path for path in given if path in video.parents), video.parent)
    return str(video.relative_to(above))


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """One video's likeliest labels, the likeliest first, and what was wrong with it."""
    return {
        "video": prediction.video,
        "label": prediction.label,
        "top": [
            {"label": label, "probability": probability} for label, probability in prediction.top
        ],
        "warnings": list(prediction.warnings),
    }
