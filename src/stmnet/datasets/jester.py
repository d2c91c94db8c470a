"""Jester, as published: labels.csv, train.csv and validation.csv (`id;label`), test.csv (`id`).

A folder of frames a clip. Class ids: the order of the lines of labels.csv.
Source: the data set's own files.
"""

from __future__ import annotations

from pathlib import Path

from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.lists import (
    OnWrong,
    ids_of,
    need_list,
    parse_labels,
    parse_semicolons,
    read_text,
    refuse,
)
from stmnet.datasets.video_folder import first_folder, place

# Rolling forward and backward turn about an axis that runs left to right, which a flip keeps.
MIRRORED = {
    "Swiping Left": "Swiping Right",
    "Swiping Right": "Swiping Left",
    "Sliding Two Fingers Left": "Sliding Two Fingers Right",
    "Sliding Two Fingers Right": "Sliding Two Fingers Left",
    "Turning Hand Clockwise": "Turning Hand Counterclockwise",
    "Turning Hand Counterclockwise": "Turning Hand Clockwise",
}

VIDEO_FOLDERS = ("20bn-jester-v1", "frames", "videos", "")


def read_jester(root: Path, split: str, on_wrong: OnWrong = refuse) -> ClipList:
    """Read a split of Jester. Raises `DatasetError` for a list that is not as published."""
    labels_path = need_list(root, _names("labels"))
    label_names = parse_labels(read_text(labels_path), labels_path, on_wrong)
    path = need_list(root, _names(split))
    entries = parse_semicolons(
        read_text(path), path, ids_of(label_names), on_wrong, unlabeled=split == "test"
    )
    return place(entries, first_folder(root, VIDEO_FOLDERS), label_names, mirrored=MIRRORED)


def _names(kind: str) -> tuple[str, str]:
    return f"{kind}.csv", f"jester-v1-{kind}.csv"
