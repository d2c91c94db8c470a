"""The data sets by name: a plain dict from the name to how its splits are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stmnet.datasets.class_folders import read_folder
from stmnet.datasets.clip_list import UNLABELED, ClipList
from stmnet.datasets.exclusions import exclude_clips
from stmnet.datasets.hmdb51 import read_hmdb51
from stmnet.datasets.jester import read_jester
from stmnet.datasets.kinetics import read_kinetics400
from stmnet.datasets.lists import OnWrong, refuse
from stmnet.datasets.motion import MIRRORED
from stmnet.datasets.something import read_something_v1, read_something_v2
from stmnet.datasets.ucf101 import read_ucf101
from stmnet.errors import DatasetError
from stmnet.models.builder_options import nearest

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """`read(root, split, on_wrong)` gives a split; `published` is the clips of each list, if known.

    `total` is the published number of clips, where some are in no list of a split. Kinetics'
    numbers are those of the paper's copy: `of_a_copy` says that the lists name more.
    """

    read: Callable[[Path, str, OnWrong], ClipList]
    published: dict[str, int | None]
    total: int | None = None
    of_a_copy: bool = False


UNKNOWN: dict[str, int | None] = dict.fromkeys(SPLITS)


def _ucf101(number: int, train: int, test: int) -> Dataset:
    return Dataset(partial(read_ucf101, number=number), {"train": train, "test": test}, 13_320)


def _hmdb51(number: int) -> Dataset:
    return Dataset(partial(read_hmdb51, number=number), {"train": 3_570, "test": 1_530}, 6_766)


DATASETS: dict[str, Dataset] = {
    "motion": Dataset(partial(read_something_v2, mirrored=MIRRORED), UNKNOWN),
    "something_v1": Dataset(
        read_something_v1, {"train": 86_017, "validation": 11_522, "test": 10_960}, 108_499
    ),
    "something_v2": Dataset(
        read_something_v2, {"train": 168_913, "validation": 24_777, "test": 27_157}, 220_847
    ),
    "kinetics400": Dataset(
        read_kinetics400, {"train": 236_763, "validation": 19_095}, 255_858, of_a_copy=True
    ),
    "ucf101": _ucf101(1, 9_537, 3_783),
    "ucf101_split2": _ucf101(2, 9_586, 3_734),
    "ucf101_split3": _ucf101(3, 9_624, 3_696),
    "hmdb51": _hmdb51(1),
    "hmdb51_split2": _hmdb51(2),
    "hmdb51_split3": _hmdb51(3),
    "jester": Dataset(
        read_jester, {"train": 118_562, "validation": 14_787, "test": 14_743}, 148_092
    ),
    "folder": Dataset(read_folder, UNKNOWN),
}


def dataset_named(name: str) -> Dataset:
    """Look a data set up. Raises `DatasetError` for a name that is not in `DATASETS`."""
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}.{nearest(name, list(DATASETS))}")
    return DATASETS[name]


def validate_split(split: str) -> None:
    """Raise `DatasetError` for a split that no set has."""
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}. Known: {', '.join(SPLITS)}.")


def read_split(
    dataset: str,
    root: str | Path,
    split: str,
    *,
    allow_missing: bool = False,
    exclude: str | Path | None = None,
    labeled: bool = True,
) -> ClipList:
    """Read a split ("train", "validation" or "test") of a data set by its name.

    `exclude` is a list as `stmnet check` writes it. Clips whose video is not there are an error,
    unless `allow_missing`; so are clips without a label, unless not `labeled`.

    Raises `DatasetError` for an unknown name, for lists that are not as published, and where no
    clip is left.
    """
    known = dataset_named(dataset)
    validate_split(split)
    root = Path(root)
    clip_list = known.read(root, split, refuse)
    num_listed = len(clip_list.clips) + len(clip_list.missing)
    if not num_listed:
        raise DatasetError(f"{root}: the {split} list is empty.")
    if not clip_list.clips:
        raise DatasetError(
            f"{root}: none of the {num_listed:,} videos of the {split} list is there, the first: "
            f"{clip_list.missing[0]}. Set root to the folder of the data set."
        )
    if exclude is not None:
        folder = root.parent if root.is_file() else root
        clip_list = exclude_clips(clip_list, Path(exclude), folder)
        if not clip_list.clips:
            raise DatasetError(f"{exclude}: leaves no clip of the {split} list. Check the list.")
    if clip_list.missing and not allow_missing:
        raise DatasetError(
            f"{root}: {len(clip_list.missing):,} of the {num_listed:,} videos of the {split} list "
            f"are not there, the first: {clip_list.missing[0]}. List them with: stmnet check "
            f"{dataset} --root {root}; or leave them out with allow_missing: true."
        )
    if labeled and any(clip.label == UNLABELED for clip in clip_list.clips):
        raise DatasetError(
            f"{root}: the {split} list has no labels, so that nothing can be learned or tested on "
            "it. Choose another split, such as validation."
        )
    return clip_list
