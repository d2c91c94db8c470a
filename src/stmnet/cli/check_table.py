"""What `stmnet check` shows on a terminal: its progress, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stmnet.cli.progress import ProgressOnStderr
from stmnet.curation.check import KINDS, CheckReport, check
from stmnet.datasets.exclusions import printable

NUM_SHOWN = 5
"""Findings of a kind that are shown with their reason; the rest is in the JSON and the list."""

HEADINGS = {
    "missing": "missing",
    "unreadable": "unreadable",
    "truncated": "cut off",
    "short": "too short",
}


def check_with_progress(dataset: str, root: Path, **options: Any) -> CheckReport:
    """As `check`, saying on stderr how far it is."""
    with ProgressOnStderr("videos") as progress:
        return check(dataset, root, on_video=progress.show, **options)


def as_table(report: CheckReport) -> RenderableType:
    """A row a split, then the first findings of each kind with their reasons."""
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
        table.add_row("in all", _count(report.published), _count(listed), _count(present))
    return Group(table, *(Text(printable(line)) for line in _details(report)))


def _details(report: CheckReport) -> list[str]:
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
    return Text(_count(count), style="red" if count else "dim")
