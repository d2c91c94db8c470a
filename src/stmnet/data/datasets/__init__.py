"""The data sets by name: a plain dict from the name to the function that reads a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stmnet.data import motion
from stmnet.data.datasets.something import read_something_v2
from stmnet.data.records import ClipList
from stmnet.errors import DatasetError

DATASETS: dict[str, Callable[[Path, str], ClipList]] = {
    "motion": lambda root, split: read_something_v2(root, split, motion.MIRRORED),
    "something_v2": read_something_v2,
}


def read_split(dataset: str, root: str | Path, split: str) -> ClipList:
    """Read a split ("train", "validation" or "test") of a data set by its name.

    Raises `DatasetError` for an unknown name and for lists and files that are not as published.
    """
    if dataset not in DATASETS:
        raise DatasetError(f"unknown data set {dataset!r}. Known: {', '.join(DATASETS)}.")
    return DATASETS[dataset](Path(root), split)
