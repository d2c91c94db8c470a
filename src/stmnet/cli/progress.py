"""How far long work is: a bar with the time left on a terminal, now and then a line in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 60.0


class ProgressOnStderr:
    """A context manager; `show` after each piece of work."""

    def __init__(self, unit: str, console: Console | None = None) -> None:
        self._unit = unit
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(unit, total=None)
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` pieces are finished."""
        self._bar.update(self._task, completed=done, total=total)
        now = time.monotonic()
        if self._console.is_terminal or now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        left = in_words((now - self._began) / done * (total - done))
        self._console.print(f"{done:,} of {total:,} {self._unit}, about {left} left", style=None)


def in_words(seconds: float) -> str:
    """A length of time to the precision that an estimate deserves."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
