"""`stmnet check`: counts, missing and damaged videos of a data set."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from stmnet.cli.arguments import (
    ROOT_AS_FLAG,
    Verbs,
    add_verb,
    arguments_as_flags,
    path,
    positive_int,
)
from stmnet.cli.printing import print_json, print_table
from stmnet.errors import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from stmnet.curation.check import CheckReport

NUM_SHOWN = 5
"""Findings of a kind that are shown with their reason; the rest is in the JSON and the list."""

HEADINGS = {
    "missing": "missing",
    "unreadable": "unreadable",
    "truncated": "cut off",
    "short": "too short",
}


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "check",
        run,
        "Check a data set: counts, missing and damaged videos.",
        examples=(
            "stmnet check motion --root tiny",
            "stmnet check motion --root tiny --split train --decode --json",
            "stmnet check motion --root tiny --exclusions bad.txt   # a list for training",
        ),
        notes="The exit code is 0 if nothing is wrong, else 1. --json has every split,\n"
        "video and reason; the table has the first of each kind.",
    )
    verb.add_argument("dataset", help="motion, something_v2, kinetics400, folder, ...")
    verb.add_argument(
        "--root", type=path, required=True, metavar="DIR", help="folder of the data set"
    )
    verb.add_argument(
        "--split", nargs="+", help="splits to check (default: all that are published)"
    )
    verb.add_argument("--decode", action="store_true", help="decode every frame (slow)")
    verb.add_argument(
        "--num-frames",
        type=positive_int,
        default=8,
        metavar="T",
        help="clips of fewer frames are too short (default 8)",
    )
    verb.add_argument(
        "--processes",
        type=positive_int,
        metavar="N",
        help="worker processes (default: one for each CPU)",
    )
    verb.add_argument(
        "--exclusions",
        type=path,
        metavar="FILE",
        help="write the list of faulty clips, for data.exclude",
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet check DATASET --root DIR`: a table, or one JSON object; 1 if anything is wrong."""
    from stmnet.cli.progress import ProgressBar
    from stmnet.curation.check import check
    from stmnet.datasets.exclusions import require_exclusions_or_none

    if arguments.exclusions is not None:  # before hours of reading
        require_exclusions_or_none(arguments.exclusions)
    with arguments_as_flags(ROOT_AS_FLAG), ProgressBar("videos") as progress:
        report = check(
            arguments.dataset,
            arguments.root,
            splits=arguments.split,
            decode=arguments.decode,
            num_frames=arguments.num_frames,
            processes=arguments.processes,
            on_video=progress.show,
        )
    if arguments.exclusions is not None:
        num_clips = report.write_exclusions(arguments.exclusions)
        path_shown = escaped(str(arguments.exclusions))
        print(f"{num_clips} clips to leave out are in {path_shown}", file=sys.stderr)
    if arguments.json:
        print_json(report.to_json())
    else:
        print_table(render_report(report))
    return 0 if report.is_ok else 1


def render_report(report: CheckReport) -> RenderableType:
    """A row a split, then the first findings of each kind with their reasons."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from stmnet.curation.check import KINDS
    from stmnet.datasets.exclusions import printable

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("split", no_wrap=True)
    for heading in ("published", "listed", "present", *HEADINGS.values(), "wrong lines"):
        table.add_column(heading, justify="right", no_wrap=True)
    for split in report.splits:
        table.add_row(
            split.split,
            _count(split.published),
            Text(_count(split.num_listed), style="" if split.counts_agree else "red"),
            _count(split.num_present),
            *(_found(split.count(kind)) for kind in KINDS),
            _found(len(split.wrong_lines)),
        )
    if len(report.splits) > 1:
        listed = sum(split.num_listed for split in report.splits)
        present = sum(split.num_present for split in report.splits)
        table.add_row("total", _count(report.published), _count(listed), _count(present))
    return Group(table, *(Text(printable(line)) for line in _details(report)))


def _details(report: CheckReport) -> list[str]:
    from stmnet.curation.check import KINDS

    lines = []
    for split in report.splits:
        lines += _first(split.wrong_lines)
        for kind in KINDS:
            # A missing video has no reason beyond its name.
            lines += _first(
                [
                    f"{f.clip.video}: not there." if kind == "missing" else f.reason
                    for f in split.findings
                    if f.kind == kind
                ]
            )
        if not split.counts_agree:
            published = "" if split.published is None else f", {split.published:,} published"
            lines.append(
                f"{split.split}: {split.num_listed:,} clips listed, {split.num_present:,} "
                f"present{published}."
            )
    return lines


def _first(lines: list[str]) -> list[str]:
    rest = len(lines) - NUM_SHOWN
    return lines if rest <= 1 else [*lines[:NUM_SHOWN], f"... and {rest:,} more like it"]


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _found(count: int) -> Text:
    from rich.text import Text

    return Text(_count(count), style="red" if count else "dim")
