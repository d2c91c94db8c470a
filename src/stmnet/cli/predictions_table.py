"""What `stmnet predict` says of videos: a table, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from stmnet.recognizer import Prediction


def predictions_as_table(predictions: Sequence[Prediction]) -> Table:
    """A row for each of a video's likeliest labels. Videos of one name are told by their paths."""
    names = [Path(prediction.video).name for prediction in predictions]
    if len(set(names)) < len(names):
        names = [prediction.video for prediction in predictions]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("video", "action", "probability"):
        table.add_column(heading, no_wrap=True)
    for name, prediction in zip(names, predictions, strict=True):
        for rank, (label, probability) in enumerate(prediction.top):
            style = "bold" if rank == 0 else "dim"
            table.add_row(name if rank == 0 else "", label, f"{probability:.1%}", style=style)
    return table


def prediction_as_json(prediction: Prediction) -> dict[str, Any]:
    """One video's likeliest labels, the likeliest first, and what was wrong with it."""
    return {
        "video": prediction.video,
        "label": prediction.label,
        "top": [
            {"label": label, "probability": probability} for label, probability in prediction.top
        ],
        "warnings": list(prediction.warnings),
    }
