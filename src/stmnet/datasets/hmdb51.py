"""HMDB-51: three splits, in its official lists or in the lists that TSN's authors made of them.

official   brush_hair_test_split1.txt, one file a class: `clip.avi 1` (1 train, 2 test, 0 unused)
TSN-style  train_rgb_split1.txt, val_rgb_split1.txt: `clip number_of_frames class_id`

Class ids: the alphabetical order of the classes' names, which is that of the TSN-style lists. No
validation list is published: "validation" reads the test list, as the field does.
Source: the data set's own files, and TSN's lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.lists import (
    Entry,
    ListedClips,
    OnWrong,
    find_list,
    numbered_lines,
    read_text,
    refuse,
    without_suffix,
)
from stmnet.datasets.video_folder import first_folder, place
from stmnet.errors import DatasetError

# The TSN-style lists hold ids only, so the names are written down here.
LABEL_NAMES = (
    "brush_hair", "cartwheel", "catch", "chew", "clap", "climb", "climb_stairs", "dive",
    "draw_sword", "dribble", "drink", "eat", "fall_floor", "fencing", "flic_flac", "golf",
    "handstand", "hit", "hug", "jump", "kick", "kick_ball", "kiss", "laugh", "pick", "pour",
    "pullup", "punch", "push", "pushup", "ride_bike", "ride_horse", "run", "shake_hands",
    "shoot_ball", "shoot_bow", "shoot_gun", "sit", "situp", "smile", "smoke", "somersault", "stand",
    "swing_baseball", "sword", "sword_exercise", "talk", "throw", "turn", "walk", "wave",
)  # fmt: skip

LIST_FOLDERS = (
    "",
    "annotations",
    "splits",
    "testTrainMulti_7030_splits",
    "test_train_splits/testTrainMulti_7030_splits",
    "lists",
    "labels",
)
VIDEO_FOLDERS = ("videos", "hmdb51_org", "hmdb51", "frames", "")
OFFICIAL_MARKS = {"train": "1", "test": "2", "unused": "0"}


def read_hmdb51(root: Path, split: str, on_wrong: OnWrong = refuse, *, number: int = 1) -> ClipList:
    """Read a split of list `number` (1 to 3). Raises `DatasetError` for lists not as published.

    Official lists come before TSN-style ones where both are there.
    """
    kind = "train" if split == "train" else "test"
    official = _find_official(root, number)
    entries = []
    found = {path.name for path in official}
    lists = [f"{name}_test_split{number}.txt" for name in LABEL_NAMES]
    lacking = [name for name in lists if name not in found]
    if official and lacking:
        on_wrong(
            f"{official[0].parent}: {len(lacking)} of the {len(lists)} classes' lists are not "
            f"there, the first: {lacking[0]}. Add them."
        )
    for path in official:
        entries += parse_official(read_text(path), path, number, kind, on_wrong)
    if not official:
        name = f"{'train' if kind == 'train' else 'val'}_rgb_split{number}.txt"
        listed = find_list(root, (name,), folders=LIST_FOLDERS)
        if listed is None:
            raise DatasetError(
                f"{root}: neither the official CLASS_test_split{number}.txt nor {name} there. "
                "Set root to the folder of the data set."
            )
        entries = parse_tsn(read_text(listed), listed, on_wrong)
    videos = first_folder(root, VIDEO_FOLDERS)
    return place(entries, videos, LABEL_NAMES, suffix=".avi", candidates=_candidates)


def parse_official(
    text: str, source: Path, number: int, split: str, on_wrong: OnWrong = refuse
) -> list[Entry]:
    """Lines `clip.avi mark` of one class, which the file's name tells; those of `split` only."""
    name = source.name.removesuffix(f"_test_split{number}.txt")
    if name not in LABEL_NAMES:
        raise DatasetError(f"{source}: {name!r} is not a class of HMDB-51. Remove the file.")
    label = LABEL_NAMES.index(name)
    entries = []
    clips = ListedClips()
    for line_number, line in numbered_lines(text):
        video, _, mark = line.rpartition(" ")
        if not video or mark not in OFFICIAL_MARKS.values():
            on_wrong(
                f"{source}:{line_number}: expected `clip.avi 0`, `1` or `2`, found {line!r:.80}."
            )
        elif wrong := clips.wrong_with(video.strip(), mark):
            on_wrong(f"{source}:{line_number}: {wrong}")
        elif mark == OFFICIAL_MARKS[split]:
            entries.append(Entry(f"{name}/{without_suffix(video.strip())}", label))
    return entries


def parse_tsn(text: str, source: Path, on_wrong: OnWrong = refuse) -> list[Entry]:
    """Lines `clip number_of_frames class_id`; folders in front of the clip's name are left out."""
    entries = []
    ids = {str(label): label for label in range(len(LABEL_NAMES))}
    clips = ListedClips()
    for number, line in numbered_lines(text):
        words = line.rsplit(maxsplit=2)
        if len(words) < 3 or not (words[1].isdecimal() and words[2].isdecimal()):
            on_wrong(
                f"{source}:{number}: expected `clip number_of_frames class_id`, found {line!r:.80}."
            )
            continue
        clip = words[0].rstrip("/").rpartition("/")[2]
        if words[2] not in ids:
            on_wrong(f"{source}:{number}: class {words[2]:.20} is not 0 to {len(ids) - 1}.")
        elif wrong := clips.wrong_with(clip, words[2]):
            on_wrong(f"{source}:{number}: {wrong}")
        else:
            label = ids[words[2]]
            entries.append(Entry(f"{LABEL_NAMES[label]}/{clip}", label))
    return entries


def _find_official(root: Path, number: int) -> list[Path]:
    """The files of all classes, from the first folder that has any."""
    for folder in LIST_FOLDERS:
        found = sorted((root / folder).glob(f"*_test_split{number}.txt"))
        if found:
            return found
    return []


def _candidates(video: str) -> Sequence[str]:
    # The frames that TSN-style lists speak of lie side by side, without the folders of the classes.
    return video, video.partition("/")[2]
