"""UCF-101, as published: classInd.txt and three splits of trainlist0N.txt and testlist0N.txt.

classInd.txt     `1 ApplyEyeMakeup`
trainlist01.txt  `ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`
testlist01.txt   the same without the number

Class ids: the numbers of classInd.txt less one, which is alphabetical order. No validation list is
published: "validation" reads the test list, as the field does.
Source: the data set's own files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.lists import (
    Entry,
    ListedClips,
    OnWrong,
    ids_of,
    need_list,
    numbered_lines,
    read_text,
    refuse,
    without_suffix,
)
from stmnet.datasets.video_folder import first_folder, place

LIST_FOLDERS = ("", "annotations", "ucfTrainTestlist", "lists", "labels")
VIDEO_FOLDERS = ("videos", "UCF-101", "UCF101", "frames", "")


def read_ucf101(root: Path, split: str, on_wrong: OnWrong = refuse, *, number: int = 1) -> ClipList:
    """Read a split of list `number` (1 to 3). Raises `DatasetError` for lists not as published."""
    labels_path = need_list(root, ("classInd.txt",), folders=LIST_FOLDERS)
    label_names = parse_class_index(read_text(labels_path), labels_path, on_wrong)
    kind = "train" if split == "train" else "test"
    path = need_list(root, (f"{kind}list{number:02}.txt",), folders=LIST_FOLDERS)
    entries = parse_ucf101(read_text(path), path, label_names, on_wrong)
    videos = first_folder(root, VIDEO_FOLDERS)
    return place(entries, videos, label_names, suffix=".avi", candidates=_candidates)


def parse_class_index(text: str, source: Path, on_wrong: OnWrong = refuse) -> tuple[str, ...]:
    """Lines `number name`, numbers from 1 without a gap."""
    names: list[str] = []
    for number, line in numbered_lines(text):
        position, _, name = line.partition(" ")
        if position != str(len(names) + 1) or not name:
            on_wrong(
                f"{source}:{number}: expected `{len(names) + 1} ClassName`, found {line!r:.80}."
            )
        elif name in names:
            on_wrong(f"{source}:{number}: {name!r:.80} is a class already. Remove one of them.")
        else:
            names.append(name)
    return tuple(names)


def parse_ucf101(
    text: str, source: Path, label_names: Sequence[str], on_wrong: OnWrong = refuse
) -> list[Entry]:
    """Lines `Class/clip.avi` with or without the class's number, which must agree."""
    ids = ids_of(label_names)
    entries = []
    clips = ListedClips()
    for number, line in numbered_lines(text):
        video, _, position = line.partition(" ")
        name = video.partition("/")[0]
        if "/" not in video:
            on_wrong(f"{source}:{number}: expected `Class/clip.avi`, found {line!r:.80}.")
        elif name not in ids:
            on_wrong(f"{source}:{number}: {name!r:.80} is not among the {len(ids)} classes.")
        elif position and position != str(ids[name] + 1):
            on_wrong(
                f"{source}:{number}: {name} is class {ids[name] + 1} in classInd.txt, here "
                f"{position!r:.80}."
            )
        elif wrong := clips.wrong_with(video, name):
            on_wrong(f"{source}:{number}: {wrong}")
        else:
            entries.append(Entry(without_suffix(video), ids[name]))
    return entries


def _candidates(video: str) -> Sequence[str]:
    # Frames are often extracted without the folders of the classes.
    return video, video.partition("/")[2]
