"""`stmnet prepare`: a data set made small and quick to read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stmnet.cli.arguments import (
    ROOT_AS_FLAG,
    Verbs,
    add_verb,
    arguments_as_flags,
    path,
    positive_int,
    seed_int,
)
from stmnet.cli.printing import USER_ERROR, complain
from stmnet.errors import DatasetError, escaped

if TYPE_CHECKING:
    from stmnet.curation.prepare import Estimate, Summary
    from stmnet.video.transcode import Shape


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "prepare",
        run,
        "Make a data set small and quick to read.",
        examples=(
            "stmnet prepare motion --root tiny --out small --short-side 64 --dry-run",
            "stmnet prepare motion --root tiny --out small --short-side 64",
        ),
        notes="The copy is laid out as the original, and is read as it is. Where a run was\n"
        "stopped, the same command goes on. Videos that are incomplete are listed in\n"
        "unreadable.txt.",
    )
    verb.add_argument("dataset", help="a name, as something_v2")
    verb.add_argument("--root", type=path, help="folder of the data set, which is not changed")
    verb.add_argument("--out", type=path, required=True, help="folder of the copy")
    verb.add_argument(
        "--short-side", type=int, metavar="PIXELS", help="of the copy's frames (default 256)"
    )
    verb.add_argument(
        "--key-frame-interval",
        type=positive_int,
        metavar="N",
        help="frames from key frame to key frame (default 6, in WebM 16)",
    )
    verb.add_argument(
        "--processes",
        type=positive_int,
        metavar="N",
        help="worker processes (default: one for each CPU)",
    )
    verb.add_argument("--dry-run", action="store_true", help="only estimate disk space and time")
    # The words of version 0.1 for `stmnet generate motion`.
    verb.add_argument("--seed", type=seed_int, default=0, help=argparse.SUPPRESS)
    for split in ("--train", "--validation", "--test"):
        verb.add_argument(split, type=positive_int, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """`stmnet prepare DATASET --root IN --out OUT`, and without a root the motion set."""
    if arguments.root is None:
        return prepare_motion(arguments)
    with arguments_as_flags(ROOT_AS_FLAG):
        return run_estimate(arguments) if arguments.dry_run else run_prepare(arguments)


def run_prepare(arguments: argparse.Namespace) -> int:
    """Write the copy. Videos that are incomplete are not an error: they are listed."""
    from stmnet.cli.progress import ProgressBar
    from stmnet.curation.prepare import prepare
    from stmnet.curation.prepared_tree import UNREADABLE_FILE

    with ProgressBar("videos") as progress:
        summary = prepare(
            arguments.dataset,
            arguments.root,
            arguments.out,
            shape=_shape(arguments),
            processes=arguments.processes,
            on_video=progress.show,
        )
    num_finished = summary.num_done + summary.num_kept
    if summary.was_stopped:
        return complain(
            f"stopped by Ctrl-C: {num_finished:,} of {summary.num_videos:,} videos are finished "
            "and kept. The same command goes on.",
            130,
        )
    for line in format_summary(summary, arguments.out):
        print(line)
    if not summary.unreadable:
        return 0
    num_absent = summary.num_videos - num_finished
    return complain(
        f"{len(summary.unreadable):,} videos are incomplete ({num_absent:,} of them could not be "
        f"made at all): {arguments.out / UNREADABLE_FILE} says why, and is a list for data.exclude",
        0,
    )


def run_estimate(arguments: argparse.Namespace) -> int:
    """Say what preparing will take."""
    from stmnet.cli.progress import ProgressBar
    from stmnet.curation.prepare import estimate

    with ProgressBar("sample videos") as progress:
        found = estimate(
            arguments.dataset,
            arguments.root,
            arguments.out,
            shape=_shape(arguments),
            processes=arguments.processes,
            on_video=progress.show,
        )
    for line in format_estimate(found, arguments.out):
        print(line)
    missing = found.bytes_out - found.bytes_free
    if missing <= 0:
        return 0
    return complain(
        f"{arguments.out}: about {format_bytes(missing)} too little room. Choose another --out.",
        USER_ERROR,
    )


def _shape(arguments: argparse.Namespace) -> Shape:
    from stmnet.video.transcode import Shape

    short_side = Shape.short_side if arguments.short_side is None else arguments.short_side
    return Shape(short_side, arguments.key_frame_interval)


def format_summary(summary: Summary, out: Path) -> list[str]:
    """What was made, a line each."""
    from stmnet.datasets.exclusions import name_as_written

    lines = [
        f"data        {escaped(str(out))}",
        f"made now    {summary.num_done:,} of {summary.num_videos:,} videos, "
        f"{format_bytes(summary.bytes_in)} -> {format_bytes(summary.bytes_out)}",
        f"from before {summary.num_kept:,}",
        f"incomplete  {len(summary.unreadable):,}",
    ]
    if summary.left_out:
        lines.append(
            f"left out    {len(summary.left_out):,} files that are neither video nor list, "
            f"the first {name_as_written(summary.left_out[0].as_posix())}"
        )
    return lines


def format_estimate(found: Estimate, out: Path) -> list[str]:
    """What is to be made and what it will take, a line each."""
    from stmnet.cli.progress import format_seconds

    return [
        f"to make     {found.num_videos - found.num_kept:,} of {found.num_videos:,} videos, "
        f"{format_bytes(found.bytes_in)} now",
        f"will take   about {format_bytes(found.bytes_out)} and {format_seconds(found.seconds)}, "
        f"estimated from {found.num_samples} of them",
        f"free        {format_bytes(found.bytes_free)} at {escaped(str(out))}",
    ]


def format_bytes(number: int) -> str:
    """With the decimal unit that fits."""
    amount, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def prepare_motion(arguments: argparse.Namespace) -> int:
    """`stmnet prepare motion --out DIR`: the words of version 0.1 for `stmnet generate`."""
    if arguments.dataset != "motion":
        raise DatasetError(
            f"{arguments.dataset}: only the motion set can be generated. "
            "Give the folder of this one with --root."
        )
    given = {
        "--dry-run": arguments.dry_run or None,
        "--short-side": arguments.short_side,
        "--key-frame-interval": arguments.key_frame_interval,
        "--processes": arguments.processes,
    }
    if meant := [option for option, value in given.items() if value is not None]:
        raise DatasetError(
            f"{', '.join(meant)}: cannot be given where the motion set is generated. "
            "Leave it out, or give the folder of one with --root."
        )

    from stmnet.cli import generate

    complain(
        "warning: the next version generates the motion set by `stmnet generate motion` only", 0
    )
    return generate.run(arguments)
