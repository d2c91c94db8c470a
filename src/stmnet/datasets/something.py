"""Something-Something v1 and v2, as published.

v1  labels.csv (one name a line), train.csv and validation.csv (`id;label`), test.csv (`id`);
    a folder of frames a clip. category.txt or label_map.txt may stand for labels.csv.
    Class ids: the order of the lines of that list.
v2  labels.json      {"Approaching something with your camera": "0", ...}
    train.json       [{"id": "74225", "template": "Spinning [something] ...", ...}, ...]
    validation.json  the same
    test.json        [{"id": "1420"}, ...]; its answers in test-answers.csv, `id;label`
    Class ids: those of labels.json.

Source: the data sets' own files. The two published orders of v1's labels differ: category.txt is
sorted, and so in v2's order; label_map.txt is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stmnet.datasets.clip_list import UNLABELED, ClipList
from stmnet.datasets.lists import (
    Entry,
    ListedClips,
    OnWrong,
    find_list,
    ids_of,
    need_list,
    parse_labels,
    parse_semicolons,
    read_text,
    refuse,
)
from stmnet.datasets.video_folder import first_folder, place
from stmnet.errors import DatasetError

# By name: ids differ between v1's published orders and v2's (see docs/reference/datasets.md).
# Four more labels contain "left" or "right" and stay as they are.
MIRRORED = {
    "Pulling something from left to right": "Pulling something from right to left",
    "Pulling something from right to left": "Pulling something from left to right",
    "Pushing something from left to right": "Pushing something from right to left",
    "Pushing something from right to left": "Pushing something from left to right",
    "Turning the camera left while filming something": (
        "Turning the camera right while filming something"
    ),
    "Turning the camera right while filming something": (
        "Turning the camera left while filming something"
    ),
}

V1_LABELS = ("labels.csv", "something-something-v1-labels.csv", "category.txt", "label_map.txt")
V1_FOLDERS = ("20bn-something-something-v1", "frames", "videos", "")
V2_FOLDERS = ("videos", "20bn-something-something-v2", "frames", "")


def read_something_v1(root: Path, split: str, on_wrong: OnWrong = refuse) -> ClipList:
    """Read a split of Something-Something v1. Raises `DatasetError` for a list not as published."""
    labels_path = need_list(root, V1_LABELS)
    label_names = parse_labels(read_text(labels_path), labels_path, on_wrong)
    path = need_list(root, (f"{split}.csv", f"something-something-v1-{split}.csv"))
    entries = parse_semicolons(
        read_text(path), path, ids_of(label_names), on_wrong, unlabeled=split == "test"
    )
    return place(entries, first_folder(root, V1_FOLDERS), label_names, mirrored=MIRRORED)


def read_something_v2(
    root: Path, split: str, on_wrong: OnWrong = refuse, mirrored: dict[str, str] = MIRRORED
) -> ClipList:
    """Read a split of a data set in v2's format. Raises `DatasetError` for a list not as published.

    The test split has labels where test-answers.csv is there.
    """
    labels_path = need_list(root, _v2("labels.json"))
    label_names = parse_label_ids(read_text(labels_path), labels_path)
    ids = ids_of(label_names)
    answers = find_list(root, _v2("test-answers.csv")) if split == "test" else None
    if answers is not None:
        entries = parse_semicolons(read_text(answers), answers, ids, on_wrong)
    else:
        path = need_list(root, _v2(f"{split}.json"))
        unlabeled = split == "test"
        entries = parse_v2(read_text(path), path, ids, on_wrong, unlabeled=unlabeled)
    videos = first_folder(root, V2_FOLDERS)
    return place(entries, videos, label_names, suffix=".webm", mirrored=mirrored)


def parse_label_ids(text: str, source: Path) -> tuple[str, ...]:
    """v2's labels.json, which maps every name to its id: the names in the order of the ids."""
    content = _load(text, source, dict)
    ids = {}
    for name, label in content.items():
        try:
            ids[name] = int(_text(label))
        except ValueError as e:
            raise DatasetError(
                f"{source}: the id of {name!r:.80} is {label!r:.80}, not a whole number. Correct "
                "it."
            ) from e
    if sorted(ids.values()) != list(range(len(ids))):
        raise DatasetError(f"{source}: the ids are not 0 to {len(ids) - 1}, each once.")
    return tuple(sorted(ids, key=ids.__getitem__))


def parse_v2(
    text: str,
    source: Path,
    ids: Mapping[str, int],
    on_wrong: OnWrong = refuse,
    *,
    unlabeled: bool = False,
) -> list[Entry]:
    """A v2 list: a JSON array of objects with "id" and, but for `unlabeled` ones, "template"."""
    entries = []
    clips = ListedClips()
    wrong: dict[int, str] = {}
    for number, record in enumerate(_load(text, source, list)):
        try:
            video = _text(record["id"])
            # The published templates put brackets around what labels.json names bare.
            name = "" if unlabeled else re.sub(r"[\[\]]", "", record["template"])
        except (TypeError, KeyError, ValueError):
            keys = '"id"' if unlabeled else '"id" or no "template"'
            wrong[number] = f"entry {number + 1} has no {keys}: {record!r:.80}."
            continue
        if not unlabeled and name not in ids:
            wrong[number] = (
                f"video {video:.80} has the label {name!r:.80}, which is not among the {len(ids)} "
                "labels."
            )
        elif problem := clips.wrong_with(video, name):
            wrong[number] = problem
        else:
            entries.append(Entry(video, UNLABELED if unlabeled else ids[name]))
    if wrong:
        for number, line in enumerate(_element_lines(text)):
            if number in wrong:
                on_wrong(f"{source}:{line}: {wrong[number]}")
    return entries


def _text(value: object) -> str:
    """An id, which is text or a whole number. Raises `ValueError` for all else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError
    return str(value)


def _v2(name: str) -> tuple[str, str]:
    return name, f"something-something-v2-{name}"


def _load(text: str, source: Path, kind: type) -> Any:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as e:
        raise DatasetError(f"{source}: not valid JSON ({e}). Download the list again.") from e
    except (ValueError, RecursionError) as e:
        raise DatasetError(
            f"{source}: not a valid list: brackets nested too deep, or a number of thousands of "
            "digits. Download it again."
        ) from e
    if not isinstance(content, kind):
        raise DatasetError(
            f"{source}: not a JSON {'object' if kind is dict else 'array'}. Download it again."
        )
    return content


def _element_lines(text: str) -> Iterator[int]:
    """The lines in which the elements of the JSON array `text` begin."""
    line, counted = 1, 0
    for start in _element_starts(text):
        line += text.count("\n", counted, start)
        counted = start
        yield line


def _element_starts(text: str) -> Iterator[int]:
    # The JSON parser does not keep positions: the text is parsed again, where an element is wrong.
    decode = json.JSONDecoder().raw_decode
    between = re.compile(r"[\s,]*")
    at = between.match(text, text.index("[") + 1)
    while at is not None and text[at.end()] != "]":
        yield at.end()
        _, end = decode(text, at.end())
        at = between.match(text, end)
