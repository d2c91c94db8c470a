"""Kinetics-400, as published: `label,youtube_id,time_start,time_end,split`, a folder a label.

Videos are LABEL/ID_000012_000022.mp4 (the times in seconds) or LABEL/ID.mp4, with spaces or
underscores in LABEL, or lie side by side without it; any video suffix. Many are missing in
anyone's copy, since they are gone from where they were published.

Class ids: the alphabetical order of the names (in the C locale), as in the published
label_map_k400.txt; from such a list where one is there, else from the labels of all csv lists.
"test" reads test.csv where it is there with labels, else the validation list, on which the paper's
and most figures are.
Source: the data set's own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.lists import (
    Entry,
    ListedClips,
    OnWrong,
    csv_lines,
    find_list,
    ids_of,
    need_list,
    parse_labels,
    read_text,
    refuse,
)
from stmnet.datasets.video_folder import first_folder, place

COLUMNS = ("label", "youtube_id", "time_start", "time_end")
LABEL_LISTS = ("label_map_k400.txt", "kinetics_label_map.txt", "labels.txt")
LIST_PREFIXES = ("", "kinetics_", "kinetics400_", "kinetics-400_", "k400_")
NAMES = {
    "train": ("train",),
    "validation": ("validation", "validate", "val"),
    "test": ("test",),
}


class KineticsRow(NamedTuple):
    """A line of a csv list: `video` is "label/ID_000012_000022"."""

    line: int
    label: str
    video: str


def read_kinetics400(root: Path, split: str, on_wrong: OnWrong = refuse) -> ClipList:
    """Read a split of Kinetics-400. Raises `DatasetError` for lists not as published."""
    lists = {name: path for name in NAMES if (path := find_list(root, _list_names(name)))}
    rows = {name: parse_rows(read_text(path), path, _ignore) for name, path in lists.items()}
    if split == "test" and not rows.get("test"):
        split = "validation"
    path = need_list(root, _list_names(split))
    label_names = _label_names(root, rows, on_wrong)
    entries = parse_kinetics(read_text(path), path, ids_of(label_names), on_wrong)
    folders = [f"{form}{name}" for name in NAMES[split] for form in ("", "videos/", "videos_")]
    videos = first_folder(root, (*folders, "videos", ""))
    return place(entries, videos, label_names, suffix=".mp4", candidates=_candidates)


def parse_kinetics(
    text: str, source: Path, ids: Mapping[str, int], on_wrong: OnWrong = refuse
) -> list[Entry]:
    """The entries of a csv list. A label that `ids` does not hold is wrong."""
    entries = []
    # Each label has a folder of its own, so that only the id tells that it is the same video.
    clips = ListedClips(lambda video: video.rpartition("/")[2])
    for row in parse_rows(text, source, on_wrong):
        if row.label not in ids:
            on_wrong(f"{source}:{row.line}: {row.label!r:.80} is not among the {len(ids)} labels.")
        elif wrong := clips.wrong_with(row.video, row.label):
            on_wrong(f"{source}:{row.line}: {wrong}")
        else:
            entries.append(Entry(row.video, ids[row.label]))
    return entries


def parse_rows(text: str, source: Path, on_wrong: OnWrong = refuse) -> list[KineticsRow]:
    """The lines of a csv list, by the names in its header, or in the published order without one.

    A list without labels, as the test list was at first, has no rows.
    """
    lines = list(csv_lines(text, source, on_wrong))
    has_header = bool(lines) and "youtube_id" in lines[0][1]
    header = lines.pop(0)[1] if has_header else list(COLUMNS)
    if "label" not in header:
        return []
    places = [header.index(column) if column in header else len(header) for column in COLUMNS]
    rows = []
    for number, cells in lines:
        try:
            label, video, start, end = (cells[place] for place in places)
            first, last = int(float(start)), int(float(end))
            if not (label and video and 0 <= first < last):
                raise ValueError
        except (IndexError, ValueError, OverflowError):
            on_wrong(
                f"{source}:{number}: expected `{','.join(COLUMNS)}`, found {','.join(cells)!r:.80}."
            )
            continue
        rows.append(KineticsRow(number, label, f"{label}/{video}_{first:06}_{last:06}"))
    return rows


def _label_names(
    root: Path, rows: Mapping[str, Sequence[KineticsRow]], on_wrong: OnWrong
) -> tuple[str, ...]:
    path = find_list(root, LABEL_LISTS)
    if path is not None:
        return parse_labels(read_text(path), path, on_wrong)
    return tuple(sorted({row.label for listed in rows.values() for row in listed}))


def _ignore(_: str) -> None:
    """For the look at all lists' labels: a wrong line counts once, in its own split."""


def _list_names(split: str) -> list[str]:
    return [f"{prefix}{name}.csv" for prefix in LIST_PREFIXES for name in NAMES[split]]


def _candidates(video: str) -> Sequence[str]:
    label, _, timed = video.rpartition("/")
    plain = timed.rsplit("_", 2)[0]
    folders = (f"{label}/", f"{label.replace(' ', '_')}/", "")
    return [f"{folder}{name}" for folder in folders for name in (timed, plain)]
