"""The lists of the studies on real video: who trains, who is tested, and that none is both."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from stmnet.datasets.class_folders import COLUMNS, ListedPart
from stmnet.errors import DatasetError


def split_by_recording(rows: Sequence[ListedPart], num_folds: int) -> list[list[ListedPart]]:
    """Divide clips into folds of whole recordings, every class spread as evenly as they allow.

    Recordings with most clips of the rarest class go first, each to the fold that has the fewest
    clips of that class, then the fewest in all. Nothing is drawn: the same rows give the same
    folds. Raises `DatasetError` for fewer recordings than folds.
    """
    recordings: dict[str, list[ListedPart]] = {}
    for row in rows:
        recordings.setdefault(row.video, []).append(row)
    if len(recordings) < num_folds:
        raise DatasetError(f"{len(recordings)} recordings cannot make {num_folds} folds.")
    labels = sorted({row.label for row in rows})
    rarest = min(labels, key=lambda label: sum(row.label == label for row in rows))

    def burden(clips: Sequence[ListedPart]) -> tuple[int, int]:
        return sum(row.label == rarest for row in clips), len(clips)

    folds: list[list[ListedPart]] = [[] for _ in range(num_folds)]
    by_name = [clips for _, clips in sorted(recordings.items())]
    for clips in sorted(by_name, key=burden, reverse=True):
        min(folds, key=burden).extend(clips)
    return folds


def write_lists(
    root: Path, videos: str, train: Sequence[ListedPart], test: Sequence[ListedPart]
) -> None:
    """Write train.csv, validation.csv and test.csv for the `folder` data set at `root`.

    `videos` is the folder of the videos, as seen from `root`. The validation list, which the
    training loop asks for, has the first two training clips of each class, and decides nothing.
    """
    root.mkdir(parents=True, exist_ok=True)
    labels = sorted({row.label for row in train})
    few = [row for label in labels for row in [r for r in train if r.label == label][:2]]
    for name, rows in {"train": train, "validation": few, "test": test}.items():
        with (root / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in rows:
                end = "" if row.end_frame is None else row.end_frame
                writer.writerow([f"{videos}/{row.video}", row.label, row.start_frame, end])
