"""Something-Something v2, as published: JSON lists and one video a clip.

labels.json      {"Approaching something with your camera": "0", ...}
train.json       [{"id": "74225", "label": ..., "template": "Spinning [something] ...", ...}, ...]
validation.json  the same
test.json        [{"id": "1420"}, ...], with test-answers.csv `id;label name` where it was published

Source: the data set's own files; class ids are those of labels.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stmnet.data.records import Clip, ClipList
from stmnet.errors import DatasetError

# By name: ids differ between v1's published orders and v2's (see docs/data.md). Four more labels
# contain "left" or "right" and stay as they are.
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

LIST_FOLDERS = ("", "labels", "annotations")
LIST_PREFIXES = ("", "something-something-v2-")
VIDEO_FOLDERS = ("videos", "20bn-something-something-v2", "")
VIDEO_SUFFIXES = (".webm", ".mp4")


def read_something_v2(root: Path, split: str, mirrored: dict[str, str] = MIRRORED) -> ClipList:
    """Read a split ("train", "validation" or "test") of a data set in this format under `root`.

    Raises `DatasetError` naming the list and the entry where one is not as published, and where
    the videos of a list are not there.
    """
    labels_path = _find_list(root, "labels.json")
    ids = {name: int(label) for name, label in _read_json(labels_path, dict).items()}
    if sorted(ids.values()) != list(range(len(ids))):
        raise DatasetError(f"{labels_path}: the ids are not 0 to {len(ids) - 1}, each once.")

    folder = _video_folder(root)
    clips = []
    for video_id, name in _read_split(root, split):
        if name not in ids:
            raise DatasetError(
                f"{root} ({split}): {video_id} has the label {name!r}, which is "
                f"not in {labels_path}."
            )
        clips.append(Clip(_video_path(folder, video_id), ids[name]))
    if not clips:
        raise DatasetError(f"{root}: the {split} list is empty.")
    return ClipList(tuple(clips), tuple(sorted(ids, key=ids.__getitem__)), mirrored)


def _read_split(root: Path, split: str) -> list[tuple[str, str]]:
    """The (id, label name) pairs of a split."""
    if split == "test":
        return _read_answers(_find_list(root, "test-answers.csv"))
    path = _find_list(root, f"{split}.json")
    pairs = []
    for number, entry in enumerate(_read_json(path, list), start=1):
        try:
            # The published templates put brackets around what labels.json names bare.
            name = entry["template"].replace("[", "").replace("]", "")
            pairs.append((str(entry["id"]), name))
        except (TypeError, KeyError, AttributeError) as e:
            raise DatasetError(
                f'{path}: entry {number} has no "id" or no "template": {entry!r:.80}'
            ) from e
    return pairs


def _read_answers(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        video_id, separator, name = line.partition(";")
        if not separator:
            raise DatasetError(f"{path}:{number}: expected `id;label`, found {line!r:.80}")
        pairs.append((video_id, name))
    return pairs


def _read_json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise DatasetError(f"{path}: not valid JSON ({e}). Download the list again.") from e
    if not isinstance(content, kind):
        raise DatasetError(f"{path}: holds no JSON {'object' if kind is dict else 'array'}.")
    return content


def _find_list(root: Path, name: str) -> Path:
    for folder in LIST_FOLDERS:
        for prefix in LIST_PREFIXES:
            path = root / folder / f"{prefix}{name}"
            if path.is_file():
                return path
    raise DatasetError(f"{root}: no {name} there. Set data.root to the folder of the data set.")


def _video_folder(root: Path) -> Path:
    return next(root / folder for folder in VIDEO_FOLDERS if (root / folder).is_dir())


def _video_path(folder: Path, video_id: str) -> Path:
    for suffix in VIDEO_SUFFIXES:
        path = folder / f"{video_id}{suffix}"
        if path.is_file():
            return path
    raise DatasetError(f"{folder}: no video {video_id} there, which the list names.")
