"""`stmnet prepare` in words: a progress bar while it works, and lines that say what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stmnet.cli.progress import ProgressOnStderr, in_words
from stmnet.curation.prepare import estimate, prepare
from stmnet.curation.prepared_tree import UNREADABLE_FILE
from stmnet.datasets.exclusions import name_as_written
from stmnet.video.transcode import Shape


@dataclass(frozen=True)
class Told:
    """Lines for stdout, and one for stderr with the exit code if something is not as it should."""

    lines: list[str]
    complaint: str | None = None
    exit_code: int = 0


def prepare_in_words(
    dataset: str, root: Path, out: Path, *, shape: Shape, processes: int | None
) -> Told:
    """Prepare a data set. Raises `DatasetError` as `prepare` does."""
    with ProgressOnStderr("videos") as progress:
        summary = prepare(
            dataset, root, out, shape=shape, processes=processes, on_video=progress.show
        )
    num_there = summary.num_done + summary.num_kept
    if summary.was_stopped:
        complaint = (
            f"stopped by Ctrl-C: {num_there:,} of {summary.num_videos:,} videos are finished and "
            "kept. The same command goes on."
        )
        return Told([], complaint, 130)
    lines = [
        f"data        {out}",
        f"made now    {summary.num_done:,} of {summary.num_videos:,} videos, "
        f"{as_bytes(summary.bytes_in)} -> {as_bytes(summary.bytes_out)}",
        f"from before {summary.num_kept:,}",
        f"not whole   {len(summary.unreadable):,}",
    ]
    if summary.left_out:
        lines.append(
            f"left out    {len(summary.left_out):,} files that are neither video nor list, "
            f"the first {name_as_written(summary.left_out[0].as_posix())}"
        )
    if not summary.unreadable:
        return Told(lines)
    num_absent = summary.num_videos - num_there
    complaint = (
        f"{len(summary.unreadable):,} videos are not whole ({num_absent:,} of them could not be "
        f"made at all): {out / UNREADABLE_FILE} says why, and is a list for data.exclude"
    )
    return Told(lines, complaint)


def estimate_in_words(
    dataset: str, root: Path, out: Path, *, shape: Shape, processes: int | None
) -> Told:
    """Say what preparing will take. Raises `DatasetError` as `estimate` does."""
    with ProgressOnStderr("sample videos") as progress:
        found = estimate(
            dataset, root, out, shape=shape, processes=processes, on_video=progress.show
        )
    lines = [
        f"to make     {found.num_videos - found.num_kept:,} of {found.num_videos:,} videos, "
        f"{as_bytes(found.bytes_in)} now",
        f"will take   about {as_bytes(found.bytes_out)} and {in_words(found.seconds)}, "
        f"judged by {found.num_samples} of them",
        f"free        {as_bytes(found.bytes_free)} at {out}",
    ]
    if found.bytes_out > found.bytes_free:
        missing = as_bytes(found.bytes_out - found.bytes_free)
        return Told(lines, f"{out}: about {missing} too little room. Choose another --out.", 2)
    return Told(lines)


def as_bytes(number: int) -> str:
    """With the decimal unit that fits."""
    amount, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"
