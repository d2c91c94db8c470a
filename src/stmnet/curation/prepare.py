"""Prepare a data set: a copy whose videos are small and quick to read at random.

The copy is laid out as the original: every video and every folder of frames at the same relative
path, and the lists beside them, so that whatever reads the one reads the other.

A run may be killed at any moment and started again: files appear only once they are whole, and what
is there is not made again.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from stmnet.curation.prepared_tree import (
    Plan,
    claim,
    copy_lists,
    note_damage,
    remove_unfinished,
    size_in_bytes,
    survey,
    write_unreadable,
)
from stmnet.curation.worker_processes import Lost, map_in_processes
from stmnet.datasets.splits import dataset_named
from stmnet.errors import DatasetError, VideoError
from stmnet.files import is_folder
from stmnet.locks import lock_folder, share_lock
from stmnet.video.codings import CODINGS
from stmnet.video.shrink import shrink_folder
from stmnet.video.transcode import Shape, copy_video, transcode

DEFAULT_SHAPE = Shape()
NUM_SAMPLES = 12
"""How many videos `estimate` transcodes to tell the size of all."""
MIN_SHORT_SIDE = 16
MAX_SECONDS_A_VIDEO = 3600.0
"""A video that takes longer counts as unreadable."""


@dataclass
class Summary:
    """What a run did, sizes in bytes of what it made. `unreadable` has the reason for every video
    that is not whole in the copy, `left_out` the files that are neither video nor list.
    """

    num_videos: int
    left_out: tuple[Path, ...]
    num_done: int = 0
    num_kept: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    unreadable: dict[Path, str] = field(default_factory=dict)
    was_stopped: bool = False


@dataclass(frozen=True)
class Estimate:
    """What is still to do and what it will take, estimated from `num_samples` of the videos."""

    num_videos: int
    num_kept: int
    num_samples: int
    bytes_in: int
    bytes_out: int
    bytes_free: int
    seconds: float


@dataclass(frozen=True)
class _Job:
    """One video or folder of frames, `name` under both roots."""

    name: Path
    root: Path
    out: Path
    shape: Shape


@dataclass(frozen=True)
class _Outcome:
    """What became of a job: sizes, or why it is unreadable, or why the whole run cannot go on."""

    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    unreadable: str | None = None
    fatal: str | None = None


def prepare(
    dataset: str,
    root: Path,
    out: Path,
    *,
    shape: Shape = DEFAULT_SHAPE,
    processes: int | None = None,
    on_video: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Write the data set at `root` to `out`, or go on with it where an earlier run stopped.

    `on_video(done, total)` is called after each video that was not there yet. Ctrl-C ends the run;
    the summary says so. Needs an importable caller, as always with `multiprocessing`.

    Raises `DatasetError` for a root without videos, an `out` with other data or other settings or
    at which another run is at work, and where `out` cannot be written.
    """
    _validate(shape, processes)
    plan = _survey(dataset, root, out)
    try:
        # A worker may outlive the run by a file: two writers of one hidden file would spoil it.
        with lock_folder(out, in_use=_in_use(out), shared_with_workers=True):
            claim(out, dataset, shape)
            remove_unfinished(out)
            # What was not made is tried again, and noted again if that fails.
            write_unreadable(out, {})
            summary = Summary(len(plan.videos), plan.left_out)
            try:
                copy_lists(plan, out)
                _make_all(plan, out, shape, _workers(processes), on_video, summary)
            except KeyboardInterrupt:
                summary.was_stopped = True
            finally:
                remove_unfinished(out)
            return summary
    except OSError as e:
        raise _cannot_write(e.filename or out, e.strerror or str(e)) from e


def _make_all(
    plan: Plan,
    out: Path,
    shape: Shape,
    processes: int,
    on_video: Callable[[int, int], None],
    summary: Summary,
) -> None:
    jobs = _todo(plan, out, shape)
    summary.num_kept = len(plan.videos) - len(jobs)
    unreadable: dict[Path, str] = {}
    with closing(_outcomes(jobs, processes)) as outcomes:
        for done, (job, outcome) in enumerate(outcomes, start=1):
            if outcome.fatal is not None:
                raise DatasetError(
                    f"{outcome.fatal}. {summary.num_kept + summary.num_done} of "
                    f"{summary.num_videos} videos are finished and kept; make room or mend the "
                    "folder, then prepare again with the same settings."
                )
            if outcome.unreadable is not None:
                unreadable[job.name] = outcome.unreadable
            else:
                summary.num_done += 1
                summary.bytes_in += outcome.bytes_in
                summary.bytes_out += outcome.bytes_out
            on_video(done, len(jobs))
    summary.unreadable = write_unreadable(out, unreadable)


def estimate(
    dataset: str,
    root: Path,
    out: Path,
    *,
    shape: Shape = DEFAULT_SHAPE,
    processes: int | None = None,
    on_video: Callable[[int, int], None] = lambda done, total: None,
) -> Estimate:
    """What `prepare` with the same arguments will take, by making a few videos in a temporary
    folder: evenly spread over the set, the same ones each time. Writes nothing to `out`.

    Raises `DatasetError` as `prepare` does, and where not one of the samples can be read.
    """
    _validate(shape, processes)
    plan = _survey(dataset, root, out)
    _require_folder_or_none(out)
    claim(out, dataset, shape, only_look=True)
    jobs = _todo(plan, out, shape)
    sizes = [size_in_bytes(job.root / job.name) for job in jobs]
    done: list[_Outcome] = []
    with tempfile.TemporaryDirectory(prefix="stmnet-") as folder:
        samples = [
            _Job(job.name, job.root, Path(folder), shape)
            for job in jobs[:: max(1, -(-len(jobs) // NUM_SAMPLES))]
        ]
        with closing(_outcomes(samples, _workers(processes))) as outcomes:
            for number, (_, outcome) in enumerate(outcomes, start=1):
                if outcome.fatal is not None:
                    raise DatasetError(f"{outcome.fatal}. Set TMPDIR to a folder with room.")
                if outcome.unreadable is None:
                    done.append(outcome)
                on_video(number, len(samples))
    if jobs and not done:
        raise DatasetError(
            f"{root}: none of {len(samples)} videos tried can be read, the first {samples[0].name}."
            f" List them with: stmnet check {dataset} --root {root}"
        )
    sampled_bytes = sum(outcome.bytes_in for outcome in done)
    factor = sum(sizes) / sampled_bytes if sampled_bytes else 0.0
    parent = next(p for p in (out, *out.resolve().parents) if is_folder(p))
    return Estimate(
        num_videos=len(plan.videos),
        num_kept=len(plan.videos) - len(jobs),
        num_samples=len(done),
        bytes_in=sum(sizes),
        bytes_out=round(factor * sum(outcome.bytes_out for outcome in done)),
        bytes_free=shutil.disk_usage(parent).free,
        seconds=factor * sum(outcome.seconds for outcome in done) / _workers(processes),
    )


def _validate(shape: Shape, processes: int | None) -> None:
    numbers = {**asdict(shape), "processes": processes}
    for name, value in numbers.items():
        least = MIN_SHORT_SIDE if name == "short_side" else 1
        if value is not None and value < least:
            raise DatasetError(f"{name} is {value}. Give at least {least}.")


def _require_folder_or_none(out: Path) -> None:
    """Raise `DatasetError` where a folder cannot be made, for a part of the path is a file."""
    for path in (out, *out.parents):
        if os.path.lexists(path):
            if not path.is_dir():
                raise _cannot_write(out, os.strerror(errno.ENOTDIR))
            return


def _survey(dataset: str, root: Path, out: Path) -> Plan:
    dataset_named(dataset)
    return survey(root, out)


# ---- one video ----


def _todo(plan: Plan, out: Path, shape: Shape) -> list[_Job]:
    return [_Job(name, plan.root, out, shape) for name in plan.videos if not (out / name).exists()]


def _outcomes(jobs: Sequence[_Job], processes: int) -> Generator[tuple[_Job, _Outcome], None, None]:
    """Each job's outcome, as they come. Closing this ends the processes at once."""
    results = map_in_processes(_make, jobs, processes=processes, seconds=MAX_SECONDS_A_VIDEO)
    with closing(cast("Generator[tuple[_Job, _Outcome | Lost], None, None]", results)):
        for job, result in results:
            # A process may also end right after it finished the video.
            if isinstance(result, Lost) and (job.out / job.name).exists():
                result = _Outcome()
            if isinstance(result, Lost):
                result = _Outcome(unreadable=f"{job.root / job.name}: {result.why}. Remove it.")
            yield job, result


def _make(job: _Job) -> _Outcome:
    source, target = job.root / job.name, job.out / job.name
    # Before the target is there: a kill in between cannot lose the note.
    note = partial(note_damage, job.out, job.name)
    began = time.perf_counter()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with share_lock(job.out, in_use=_in_use(job.out)):
            if source.is_dir():
                shrink_folder(source, target, job.shape.short_side, note)
            elif source.suffix.lower() in CODINGS:
                transcode(source, target, job.shape, note)
            else:
                copy_video(source, target)
        seconds = time.perf_counter() - began
        return _Outcome(size_in_bytes(source), size_in_bytes(target), seconds)
    except VideoError as e:
        return _Outcome(unreadable=str(e))
    except DatasetError as e:
        return _Outcome(fatal=str(e))
    except OSError as e:
        return _Outcome(fatal=_cannot_write_text(e.filename or target, e.strerror or str(e)))
    except Exception as e:
        # The decoder's own errors are this video's, not the whole run's.
        return _Outcome(unreadable=f"{source}: {type(e).__name__}: {e}")


def _workers(processes: int | None) -> int:
    return (os.cpu_count() or 1) if processes is None else processes


def _cannot_write_text(path: str | Path, reason: str) -> str:
    return f"{path}: cannot be written ({reason})"


def _cannot_write(path: str | Path, reason: str) -> DatasetError:
    return DatasetError(f"{_cannot_write_text(path, reason)}. Make room or choose another folder.")


def _in_use(out: Path) -> DatasetError:
    return DatasetError(
        f"{out}: another run of stmnet prepare is at work there (it is locked). Wait until it has "
        "ended."
    )
