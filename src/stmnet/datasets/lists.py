"""What published lists have in common: their lines, the entries made of them, where they lie.

Parsing is pure: text in, entries out. What is on the disk is `video_folder.py`'s to say.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stmnet.datasets.clip_list import UNLABELED
from stmnet.errors import DatasetError

LIST_FOLDERS = ("", "annotations", "labels", "lists")


class Entry(NamedTuple):
    """One clip as a list names it; `video` is relative to the videos' folder, without a suffix.

    `label` is a class id or `UNLABELED`; the frames are those of `stmnet.datasets.clip_list.Clip`.
    """

    video: str
    label: int
    start_frame: int = 0
    end_frame: int | None = None


OnWrong = Callable[[str], None]
"""Called with `path:line: what is wrong` for a wrong line, which is left out if this returns."""


def refuse(message: str) -> None:
    """Raise `DatasetError` for a wrong line: what training and testing do."""
    raise DatasetError(message)


def read_text(path: Path, *, errors: str = "strict") -> str:
    """The text of a list. Raises `DatasetError` for a file that cannot be read as UTF-8."""
    try:
        # Spreadsheets put a byte order mark in front.
        return path.read_text(encoding="utf-8-sig", errors=errors)
    except UnicodeDecodeError as e:
        raise DatasetError(f"{path}: not UTF-8 text ({e.reason}). Save it as UTF-8.") from e
    except OSError as e:
        raise DatasetError(f"{path}: cannot be read ({e.strerror}). Check its permissions.") from e


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without the space around them, with their numbers from 1."""
    # Not splitlines: it also breaks at characters that editors and FFmpeg's names keep in a line.
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def csv_lines(text: str, source: Path, on_wrong: OnWrong) -> Iterator[tuple[int, list[str]]]:
    """The cells of the lines that are not blank, with their numbers from 1."""
    for number, line in numbered_lines(text):
        # Line by line: a quote that is not closed would take in those that follow.
        try:
            (cells,) = csv.reader([line], strict=True)
        except csv.Error as e:
            on_wrong(
                f"{source}:{number}: not CSV: its quotes do not match, or a field is too long "
                f"({e}); found {line!r:.80}. Correct the line."
            )
        else:
            yield number, cells


class ListedClips:
    """The clips of a list so far: each has a name that a file can have, and one label.

    A line that is there twice says the same twice, and is two clips. `file_of` gives what tells a
    video from others, where that is not its name.
    """

    def __init__(self, file_of: Callable[[str], str] = str) -> None:
        self._file_of = file_of
        self._labels: dict[tuple[str | int | None, ...], str] = {}

    def wrong_with(self, video: str, label: str, *part: int | None) -> str:
        """Add a clip; what is wrong with it, or ""."""
        if not _can_be_a_file(video):
            return (
                f"{video!r:.80} is not a valid file name (empty, over 255 bytes, or with a NUL or "
                "half a character). Correct it."
            )
        before = self._labels.setdefault((self._file_of(video), *part), label)
        if before != label:
            return f"{video} is {label!r} here and {before!r} in a line before. Remove one of them."
        return ""


def _can_be_a_file(video: str) -> bool:
    try:
        names = os.fsencode(video).split(b"/")
    except UnicodeEncodeError:  # half a character, which JSON can write
        return False
    return bool(video) and "\0" not in video and all(len(name) <= 255 for name in names)


def find_list(
    root: Path, names: Iterable[str], *, folders: Sequence[str] = LIST_FOLDERS
) -> Path | None:
    """The first of `names` that is a file in one of `folders` of `root`; names come first."""
    for name in names:
        for folder in folders:
            path = root / folder / name
            if path.is_file():
                return path
    return None


def need_list(root: Path, names: Sequence[str], *, folders: Sequence[str] = LIST_FOLDERS) -> Path:
    """As `find_list`. Raises `DatasetError`, naming the first of `names`, where none is there."""
    path = find_list(root, names, folders=folders)
    if path is None:
        raise DatasetError(f"{root}: no {names[0]} there. Set root to the folder of the data set.")
    return path


def parse_labels(text: str, source: Path, on_wrong: OnWrong = refuse) -> tuple[str, ...]:
    """One label name a line; the class id is the position. A name twice is wrong."""
    names: dict[str, int] = {}
    for number, name in numbered_lines(text):
        if name in names:
            on_wrong(f"{source}:{number}: {name!r} is in line {names[name]} already. Remove one.")
        names.setdefault(name, number)
    return tuple(names)


def parse_semicolons(
    text: str,
    source: Path,
    ids: Mapping[str, int],
    on_wrong: OnWrong = refuse,
    *,
    unlabeled: bool = False,
) -> list[Entry]:
    """Lines `id;label`, as Something-Something v1 and Jester are published.

    `unlabeled` lists, whose answers are not published, may hold the id alone.
    """
    entries = []
    clips = ListedClips()
    for number, line in numbered_lines(text):
        video, separator, name = line.partition(";")
        if not separator and not unlabeled:
            on_wrong(f"{source}:{number}: expected `id;label`, found {line!r:.80}.")
        elif separator and name not in ids:
            on_wrong(f"{source}:{number}: {name!r:.80} is not among the {len(ids)} labels.")
        elif wrong := clips.wrong_with(video, name):
            on_wrong(f"{source}:{number}: {wrong}")
        else:
            entries.append(Entry(video, ids[name] if separator else UNLABELED))
    return entries


def ids_of(label_names: Sequence[str]) -> dict[str, int]:
    """From a label's name to its class id, which is its position."""
    return {name: label for label, name in enumerate(label_names)}


def without_suffix(video: str) -> str:
    """`Class/clip.avi` -> `Class/clip`. A dot that begins no suffix stays."""
    return re.sub(r"\.[A-Za-z0-9]{2,4}$", "", video)
