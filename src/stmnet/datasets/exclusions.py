"""Lists of clips to leave out: `stmnet check` writes them, `read_split(exclude=...)` takes one.

A line is `video<TAB>reason`, the video relative to the data set's root; for a part of a recording
`video<TAB>reason<TAB>start_frame<TAB>end_frame`. A video without frames means all of its parts.
A name that would not be read again as it is (a tab in it, a space in front, bytes that are not
UTF-8) is written as a JSON string.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.datasets.lists import numbered_lines, read_text
from stmnet.errors import DatasetError
from stmnet.files import atomic_write_text, is_folder, replaceable

Part = tuple[Path, int, int | None]


def write_exclusions(path: Path, root: Path, reasons: Iterable[tuple[Clip, str]]) -> None:
    """Write a clip a line, with the reason.

    Raises `DatasetError` if the file cannot be written, or is there and no such list.
    """
    require_exclusions_or_none(path)
    lines = []
    for clip, reason in reasons:
        line = f"{name_as_written(relative_to_root(clip.video, root))}\t{' '.join(reason.split())}"
        if not is_whole(clip):
            end = "" if clip.end_frame is None else clip.end_frame
            line += f"\t{clip.start_frame}\t{end}"
        lines.append(f"{line}\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, printable("".join(lines)))
    except OSError as e:
        raise _cannot_write(path, e) from e


def require_exclusions_or_none(path: Path) -> None:
    """Raise `DatasetError` where a list of exclusions would take the place of something else."""
    if is_folder(path):
        raise DatasetError(f"{path}: is a folder. Give the name of a file.")
    try:
        replaceable(path)
        if not path.is_file():
            return
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            is_other = any("\t" not in line for line in lines if line.strip())
    except OSError as e:
        raise _cannot_write(path, e) from e
    if is_other:
        raise DatasetError(
            f"{path}: is there, and not as `stmnet check` writes it. Choose another file."
        )


def _cannot_write(path: Path, e: OSError) -> DatasetError:
    return DatasetError(f"{path}: cannot be written ({e.strerror}). Choose another file.")


def exclude_clips(clip_list: ClipList, path: Path, root: Path) -> ClipList:
    """The list without the clips that the list at `path` names, which are then its `excluded`.

    Lines that name nothing in the set are not an error: one list serves all splits. Raises
    `DatasetError` for a file that is not such a list.
    """
    if not path.exists():
        raise DatasetError(
            f"{path}: no such file. Write it with `stmnet check ... --exclusions {path}`, or "
            "correct data.exclude."
        )
    # `stmnet prepare` writes names byte by byte, whether they are UTF-8 or not.
    videos, parts = parse_exclusions(read_text(path, errors="surrogateescape"), path, root)

    def is_excluded(clip: Clip) -> bool:
        return clip.video in videos or (clip.video, clip.start_frame, clip.end_frame) in parts

    return replace(
        clip_list,
        clips=tuple(clip for clip in clip_list.clips if not is_excluded(clip)),
        missing=tuple(video for video in clip_list.missing if video not in videos),
        excluded=(
            *(clip.video for clip in clip_list.clips if is_excluded(clip)),
            *(video for video in clip_list.missing if video in videos),
        ),
    )


def parse_exclusions(text: str, source: Path, root: Path) -> tuple[set[Path], set[Part]]:
    """The videos to leave out whole, and the parts of others."""
    videos: set[Path] = set()
    parts: set[Part] = set()
    for number, line in numbered_lines(text):
        name, *columns = line.split("\t")
        video = root / name_as_read(name)
        try:
            match columns[1:]:
                case []:
                    videos.add(video)
                case [start]:
                    parts.add((video, int(start), None))
                case [start, end]:
                    parts.add((video, int(start), int(end)))
                case _:
                    raise ValueError
        except ValueError as e:
            raise DatasetError(
                f"{source}:{number}: expected `video<TAB>reason[<TAB>start_frame<TAB>end_frame]`, "
                f"found {line!r:.80}."
            ) from e
    return videos, parts


def name_as_written(name: str) -> str:
    """A video's name as a list has it: on one line, without a tab, read again as it is."""
    is_plain = name.isprintable() and name == name.strip() and not name.startswith('"')
    return name if is_plain else json.dumps(name)


def name_as_read(name: str) -> str:
    """What `name_as_written` was given."""
    try:
        return str(json.loads(name)) if name.startswith('"') else name
    except ValueError:  # written by hand
        return name


def printable(text: str) -> str:
    """The text as a terminal, JSON and UTF-8 take it: bytes that are not UTF-8 escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_whole(clip: Clip) -> bool:
    """Whether a clip is all of its video."""
    return clip.start_frame == 0 and clip.end_frame is None


def relative_to_root(video: Path, root: Path) -> str:
    """A video as exclusion lists and reports name it; a video elsewhere by its whole path."""
    return video.relative_to(root).as_posix() if video.is_relative_to(root) else str(video)
