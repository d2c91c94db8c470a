"""A generated data set of short videos that only motion can solve.

The twelve classes are six pairs, each class the other's time reversal: a clip of a pair's second
class is an independently drawn clip of the first with its finished frames in reverse order. Any
one frame is therefore equally likely under both labels, and so is any unordered set of frames: a
network that averages frames without their order (TSN) can do no better than a coin flip in a pair.

Two things guard this on the way to disk. Nothing is added to a clip after the reversal, and the
encoder treats each frame by itself (`write_video`): compression keeps no trace of the order.

The lists are in the JSON format in which Something-Something v2 is published; videos are real MP4.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stmnet.errors import DatasetError
from stmnet.files import atomic_write_text
from stmnet.motion.classes import LABEL_NAMES
from stmnet.motion.clips import FPS, cannot_write, draw_clip, write_video

FORMAT_VERSION = 1
"""Raised whenever the same seed would draw other clips."""


@dataclass(frozen=True)
class SplitSizes:
    """Clips per class in each split."""

    train: int = 180
    validation: int = 10
    test: int = 50


SPLITS = ("train", "validation", "test")
SETTINGS_FILE = "motion.json"


@dataclass(frozen=True)
class _ClipJob:
    """One clip to make. `clip_seed` decides what it shows and is no other clip's."""

    video_id: int
    split: str
    label: int
    clip_seed: tuple[int, ...]
    videos: Path


@dataclass(frozen=True)
class _Record:
    """A clip as the lists have it."""

    video_id: int
    split: str
    label: int
    placeholders: tuple[str, ...]


def generate(
    root: Path,
    *,
    seed: int,
    clips_per_class: SplitSizes = SplitSizes(),
    processes: int | None = None,
    on_clip: Callable[[int, int], None] | None = None,
) -> None:
    """Make the data set: root/videos/ID.mp4, then the lists, then motion.json, which says whole.

    The same seed and sizes give the same bytes with any number of `processes` (default: one for
    each CPU). A root that is whole is left as it is; one that was interrupted is made again.
    `on_clip(done, total)` is called after each clip. More than one process needs the caller's
    script to be importable (`if __name__ == "__main__":`), as always with `multiprocessing`.

    Raises `DatasetError` if the root holds a set with another seed or other sizes, or other data,
    or if it cannot be written.
    """
    settings = {"version": FORMAT_VERSION, "seed": seed, "clips_per_class": asdict(clips_per_class)}
    if _is_whole(root, settings):
        return
    try:
        (root / "videos").mkdir(parents=True, exist_ok=True)
        jobs = _plan(root / "videos", seed, clips_per_class)
        records = []
        for record in _make_all(jobs, processes or os.cpu_count() or 1):
            records.append(record)
            if on_clip is not None:
                on_clip(len(records), len(jobs))
        for name, text in _lists(records).items():
            atomic_write_text(root / name, text)
        atomic_write_text(root / SETTINGS_FILE, json.dumps(settings))
    except OSError as e:
        raise cannot_write(Path(e.filename or root), e) from e


def _names_in(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if not path.name.startswith("."))


def _is_whole(root: Path, settings: dict[str, Any]) -> bool:
    """Whether the root holds the set with these settings. Raises `DatasetError` for other data."""
    path = root / SETTINGS_FILE
    if not path.exists():
        if (root / "labels.json").exists():
            raise DatasetError(
                f"{root}: holds lists but no {SETTINGS_FILE}, so they may be another data set's. "
                "Delete that folder or choose another."
            )
        if others := [name for name in _names_in(root) if name != "videos"]:
            raise DatasetError(f"{root}: holds other files, as {others[0]}. Choose another folder.")
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    if found != settings:
        raise DatasetError(
            f"{root}: holds the motion set with {_format_settings(found)}; asked for: "
            f"{_format_settings(settings)}. Delete that folder, choose another, or ask for what it "
            "holds."
        )
    return True


def _format_settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _plan(videos: Path, seed: int, sizes: SplitSizes) -> list[_ClipJob]:
    """One job a clip, with ids and in an order that tell nothing of the label."""
    # A stream of its own: the clips of split 0, 1 and 2 are drawn from [seed, split, index].
    rng = np.random.default_rng([seed, len(SPLITS)])
    per_class = asdict(sizes)
    num_classes = len(LABEL_NAMES)
    ids = iter(rng.permutation(num_classes * sum(per_class.values())) + 1)
    jobs = []
    for split_number, split in enumerate(SPLITS):
        labels = rng.permutation(np.repeat(np.arange(num_classes), per_class[split]))
        for index, label in enumerate(labels):
            clip_seed = (seed, split_number, index)
            jobs.append(_ClipJob(int(next(ids)), split, int(label), clip_seed, videos))
    return jobs


def _make_all(jobs: Sequence[_ClipJob], processes: int) -> Iterator[_Record]:
    """The records in the order of the jobs."""
    if processes == 1:
        yield from map(_make, jobs)
        return
    # A spawned worker imports this module only: no torch, no locks left by the caller's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(_make, jobs, chunksize=16)


def _make(job: _ClipJob) -> _Record:
    clip = draw_clip(job.label, seed=job.clip_seed)
    write_video(job.videos / f"{job.video_id}.mp4", clip.frames, fps=FPS)
    return _Record(job.video_id, job.split, job.label, clip.placeholders)


# ---- the lists, as Something-Something v2 is published ----


def _lists(records: Sequence[_Record]) -> dict[str, str]:
    """File name -> text."""
    train, validation, test = (
        [record for record in records if record.split == split] for split in SPLITS
    )
    answers = [f"{record.video_id};{LABEL_NAMES[record.label]}\n" for record in test]
    return {
        "labels.json": _as_json({name: str(label) for label, name in enumerate(LABEL_NAMES)}),
        "train.json": _as_json([_entry(record) for record in train]),
        "validation.json": _as_json([_entry(record) for record in validation]),
        "test-answers.csv": "".join(answers),
        "test.json": _as_json([{"id": str(record.video_id)} for record in test]),
    }


def _entry(record: _Record) -> dict[str, Any]:
    name = LABEL_NAMES[record.label]
    label = name.lower()
    for placeholder in record.placeholders:
        label = label.replace("something", placeholder, 1)
    return {
        "id": str(record.video_id),
        "label": label,
        "template": name.replace("something", "[something]").replace("Something", "[Something]"),
        "placeholders": list(record.placeholders),
    }


def _as_json(content: object) -> str:
    return json.dumps(content, indent=1)
