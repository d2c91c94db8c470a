"""A user's own videos: a folder a class, or CSV lists.

folders  CLASS/any video or folder of frames; or train/CLASS/..., validation/CLASS/... (or val/)
         and, if there is one, test/CLASS/...
lists    train.csv, validation.csv (or val.csv), test.csv; or one CSV, as `root` itself or, by
         another name, alone in it:
         `path,label[,start_frame,end_frame]`, with or without a header that names its columns;
         `video` may stand for `path`. Paths are relative to the list's folder, `end_frame` is the
         first frame after the part, and both may be empty: the whole video.

Class ids: the alphabetical order of the names in all splits.
One folder or one list is split by `held_out`. Where there is no validation part, "validation" is
the test part, and the other way round. A training part alone, or with lists or folders beside it
whose names say no split, is an error: what is meant for validation would be passed over.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stmnet.datasets.clip_list import UNLABELED, ClipList
from stmnet.datasets.lists import (
    Entry,
    ListedClips,
    OnWrong,
    csv_lines,
    ids_of,
    read_text,
    refuse,
)
from stmnet.datasets.video_folder import VideoFolder, is_video, list_folder, place
from stmnet.errors import DatasetError

NAMES = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
COLUMNS = ("path", "label", "start_frame", "end_frame")
FOREIGN_COLUMNS = {
    "file", "filename", "file_name", "filepath", "file_path", "video_path", "video_name",
    "video_id", "clip", "name", "id", "class", "class_name", "category", "target", "action",
}  # fmt: skip
"""What others call the columns: a first line of two of these, or of ours, is a header."""

HELD_OUT = 5
"""One in this many videos of a class is held out for validation."""


class ListedPart(NamedTuple):
    """A clip by the name of its label; "" where it has none."""

    video: str
    label: str
    start_frame: int = 0
    end_frame: int | None = None


def read_folder(root: Path, split: str, on_wrong: OnWrong = refuse) -> ClipList:
    """Read a split of a user's own data set. Raises `DatasetError`."""
    if not root.exists():
        raise DatasetError(f"{root}: no such folder or list. Set root to one.")
    videos, parts = _read_lists(root, on_wrong) or _read_classes(root, on_wrong)
    label_names = tuple(sorted({row.label for rows in parts.values() for row in rows} - {""}))
    ids = ids_of(label_names) | {"": UNLABELED}
    rows = _part(parts, split, root)
    entries = [Entry(row.video, ids[row.label], row.start_frame, row.end_frame) for row in rows]
    return place(entries, videos, label_names)


def held_out(rows: Iterable[ListedPart]) -> set[str]:
    """The videos that are for validation where a set has no split of its own.

    Of each class the fifth of the videos (at least one, if there are two) whose names have the
    lowest SHA-256: always the same ones of the same videos, whatever else is in the set's folder.
    With videos added or taken away some may change sides, which resuming and testing a run notice.
    A recording's parts stay together; it counts for the class of its first part, and by the name it
    has there.
    """
    classes: dict[str, str] = {}
    for row in rows:
        classes.setdefault(row.video, row.label)
    videos = defaultdict(list)
    for video, label in classes.items():
        videos[label].append(video)
    chosen: set[str] = set()
    for of_class in videos.values():
        if len(of_class) > 1:
            of_class.sort(key=_digest)
            chosen.update(of_class[: max(1, round(len(of_class) / HELD_OUT))])
    return chosen


def _digest(video: str) -> bytes:
    # The bytes of a name that is not UTF-8 are those it has on the disk.
    return hashlib.sha256(video.encode("utf-8", "surrogateescape")).digest()


def parse_segments(
    text: str,
    source: Path,
    on_wrong: OnWrong = refuse,
    *,
    unlabeled: bool = False,
    file_of: Callable[[str], str] = str,
) -> list[ListedPart]:
    """The rows of a CSV list; those of an `unlabeled` one may lack the label.

    `file_of` tells which names are those of one file.
    """
    columns: Mapping[str, int] = ids_of(COLUMNS)
    rows: list[ListedPart] = []
    clips = ListedClips(file_of)
    for number, cells in csv_lines(text, source, on_wrong):
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        header = ["path" if cell.lower() == "video" else cell.lower() for cell in stripped]
        if not rows and "path" in header and ("label" in header or unlabeled):
            columns = ids_of(header)
            continue
        if not rows and _is_header(header):
            on_wrong(
                f"{source}:{number}: a header needs `path` and `label`; found "
                f"{','.join(cells)!r:.80}."
            )
            continue
        try:
            row = _row(stripped, columns)
        except ValueError:
            on_wrong(
                f"{source}:{number}: expected `{','.join(columns)}`, start_frame less "
                f"than end_frame; found {','.join(cells)!r:.80}."
            )
            continue
        if not (row.label or unlabeled):
            commas = " Put commas between the fields." if set(";\t") & set(row.video) else ""
            on_wrong(f"{source}:{number}: {row.video:.80} has no label.{commas}")
        elif wrong := clips.wrong_with(row.video, row.label, row.start_frame, row.end_frame):
            on_wrong(f"{source}:{number}: {wrong}")
        else:
            rows.append(row)
    return rows


def _is_header(cells: Sequence[str]) -> bool:
    known = FOREIGN_COLUMNS | {*COLUMNS}
    return cells[0] == "path" or "start_frame" in cells or len(known & set(cells)) > 1


def _row(cells: list[str], columns: Mapping[str, int]) -> ListedPart:
    """The clip of a row. Raises `ValueError` for a row of another form."""
    if len(cells) > len(columns):
        raise ValueError
    values = {name: cells[place] for name, place in columns.items() if place < len(cells)}
    video, label = values.get("path", ""), values.get("label", "")
    start = int(values.get("start_frame") or 0)
    end = int(values["end_frame"]) if values.get("end_frame") else None
    if not video or start < 0 or (end is not None and end <= start):
        raise ValueError
    return ListedPart(video, label, start, end)


def _read_lists(
    root: Path, on_wrong: OnWrong
) -> tuple[VideoFolder, dict[str, list[ListedPart]]] | None:
    """The folder of the CSV lists and their rows by split; None where there is no list."""
    if root.is_file():
        return _read_list(root, on_wrong)
    found = [name for name in list_folder(root) if name.endswith(".csv")]
    folders = {f"{name}/" for name in list_folder(root) if (root / name).is_dir()}
    if not found or (not _split_names(found, ".csv") and _are_splits(folders)):
        return None
    if len(found) == 1 and not _split_names(found, ".csv"):
        return _read_list(root / found[0], on_wrong)
    videos = VideoFolder(root)
    return videos, {
        split: parse_segments(
            read_text(root / name),
            root / name,
            on_wrong,
            unlabeled=split == "test",
            file_of=videos.file_of,
        )
        for split, name in _parts_among(found, root, ".csv").items()
    }


def _read_list(path: Path, on_wrong: OnWrong) -> tuple[VideoFolder, dict[str, list[ListedPart]]]:
    """The folder of the one list there is, and its rows divided: those of a file lie together."""
    videos = VideoFolder(path.parent)
    names: dict[str, str] = {}
    rows = [
        row._replace(video=names.setdefault(videos.file_of(row.video), row.video))
        for row in parse_segments(read_text(path), path, on_wrong, file_of=videos.file_of)
    ]
    return videos, _divided(rows)


def _read_classes(root: Path, on_wrong: OnWrong) -> tuple[VideoFolder, dict[str, list[ListedPart]]]:
    """`root` and the rows of its folders of classes by split."""
    folders = [f"{name}/" for name in list_folder(root) if (root / name).is_dir()]
    named = _split_names(folders, "/")
    # A class may be called "train": then it has videos, and no folders of them.
    if not _are_splits(folders) and not any(_holds_classes(root / name) for name in named):
        return VideoFolder(root), _divided(list(_class_rows(root, "", on_wrong)))
    found = [name for name in folders if name in named or _holds_classes(root / name)]
    return VideoFolder(root), {
        split: list(_class_rows(root, name, on_wrong))
        for split, name in _parts_among(found, root, "/").items()
    }


def _are_splits(folders: Collection[str]) -> bool:
    """Whether there are a folder for training and one for another split."""
    return "train/" in folders and len(_split_names(folders, "/")) > 1


def _split_names(found: Iterable[str], ending: str) -> list[str]:
    known = {f"{name}{ending}" for names in NAMES.values() for name in names}
    return [name for name in found if name in known]


def _parts_among(found: Sequence[str], root: Path, ending: str) -> dict[str, str]:
    """From each split that `root` has to its list or folder, of those `found` there.

    Raises `DatasetError` where one is missing for which another name may be meant, or there twice.
    """
    named = _split_names(found, ending)
    parts = {
        split: f"{name}{ending}"
        for split, names in NAMES.items()
        for name in names
        if f"{name}{ending}" in named
    }
    is_doubtful = len(named) < len(found) and not {"train", "validation"} <= parts.keys()
    if parts.keys() == {"train"} or len(parts) < len(named) or is_doubtful:
        raise DatasetError(
            f"{root}: found {', '.join(found)}; expected train{ending} with validation{ending} (or "
            f"val{ending}), test{ending} or both. Add what is missing, rename or move what has "
            "another name, or set root to one of them: a fifth of it is then held out."
        )
    return parts


def _holds_classes(folder: Path) -> bool:
    """Whether there are videos, or folders of frames, in folders of this one."""
    try:
        return any(
            is_video(name) or (folder / label / name).is_dir()
            for label in list_folder(folder)
            for name in list_folder(folder / label)
        )
    except PermissionError:  # the system's own, such as lost+found
        return False


def _class_rows(root: Path, below: str, on_wrong: OnWrong) -> Iterator[ListedPart]:
    """Each class's videos; `below` is the split's folder, "train/", or ""."""
    labels = [name for name in list_folder(root / below) if (root / below / name).is_dir()]
    if not labels:
        raise DatasetError(
            f"{root / below}: neither folders of classes nor a CSV list there. Set root to "
            "the folder of the data set."
        )
    for label in labels:
        folder = root / below / label
        names = [n for n in list_folder(folder) if is_video(n) or (folder / n).is_dir()]
        if not names:
            on_wrong(f"{folder}: no video in this class's folder. Remove it, or put some there.")
        for name in names:
            yield ListedPart(f"{below}{label}/{name}", label)


def _divided(rows: list[ListedPart]) -> dict[str, list[ListedPart]]:
    chosen = held_out(rows)
    return {
        "train": [row for row in rows if row.video not in chosen],
        "validation": [row for row in rows if row.video in chosen],
    }


def _part(parts: Mapping[str, list[ListedPart]], split: str, root: Path) -> list[ListedPart]:
    other = {"validation": "test", "test": "validation"}.get(split, split)
    if split not in parts and other not in parts:
        raise DatasetError(
            f"{root}: no {split} part, only {' and '.join(parts)}. "
            f"Add a folder {split}, or a list {split}.csv."
        )
    return parts[split] if split in parts else parts[other]
