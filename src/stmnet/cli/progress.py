"""How far long work is: a bar with the time left on a terminal, now and then a line in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

SECONDS_BETWEEN_LINES = 60.0


class ProgressBar:
    """A context manager; `show` after each piece of work. By default it is drawn on stderr."""

    def __init__(self, unit: str, console: Console | None = None) -> None:
        self._unit = unit
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[details]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(unit, total=None, details="")
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` pieces are finished; the rest is as slow as they were."""
        now = time.monotonic()
        seconds_left = (now - self._began) / max(1, done) * (total - done)
        self._show(self._unit, done, total, "", seconds_left, now)

    def show_stage(
        self,
        title: str,
        done: int,
        total: int,
        *,
        details: str = "",
        seconds_left: float | None,
    ) -> None:
        """Show one stage of longer work, with its `title`, and `details` behind the pieces.

        `seconds_left` is of the whole work; None: nothing is known of it yet.
        """
        self._show(title, done, total, details, seconds_left, time.monotonic())

    def _show(
        self,
        title: str,
        done: int,
        total: int,
        details: str,
        seconds_left: float | None,
        now: float,
    ) -> None:
        left = "" if seconds_left is None else f"about {format_seconds(seconds_left)} left"
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                completed=done,
                total=total,
                description=title,
                details="  ".join(filter(None, (details, left))),
            )
        elif now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            parts = (
                "" if title == self._unit else title,
                f"{done:,} of {total:,} {self._unit}",
                details,
                left,
            )
            self._console.print(", ".join(filter(None, parts)), style=None, soft_wrap=True)


def format_seconds(seconds: float) -> str:
    """A length of time to the precision that an estimate deserves."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
