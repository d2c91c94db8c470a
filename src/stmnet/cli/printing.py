"""How the command line prints: results, notes of the library, complaints."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal

from stmnet.errors import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType

USER_ERROR = 2
"""The exit code for what the user can mend."""


def complain(message: str, code: int) -> int:
    """Say on stderr, in one line, what went wrong; returns `code`."""
    print(f"stmnet: {escaped(message)}", file=sys.stderr)
    return code


def print_any_name() -> None:
    """Have stdout escape what it cannot encode: names of files hold any bytes.

    In JSON, too, a byte that is not UTF-8 is printed as its escape.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print one JSON object and nothing else on stdout."""
    with to_stdout():
        print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(table: RenderableType) -> None:
    """Print what rich can, as wide as the terminal is; a pipe has no width: nothing is cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 500
    # A label or a file may be called [b] or :cat:, which rich would take for markup and an emoji.
    with to_stdout():
        Console(width=width, highlight=False, markup=False, emoji=False).print(table)


class PrintingError(Exception):
    """Stdout takes no more, as where a disk is full."""


@contextmanager
def to_stdout() -> Iterator[None]:
    """Raises `PrintingError` for what goes wrong in the block, and `BrokenPipeError` as it is."""
    try:
        yield
    except BrokenPipeError:  # the reader has ended, as `head` does
        raise
    except OSError as e:
        raise PrintingError(f"stdout: cannot be written ({e.strerror}). Make room there.") from e


def close_stdout() -> None:
    """What is still to be printed goes nowhere, instead of failing once more at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def show_notes(stream: Literal["stdout", "stderr"]) -> Iterator[None]:
    """Show what the library logs: a note as it is, a warning with that word before it."""
    handler = _NotesHandler(stream)
    logger = logging.getLogger("stmnet")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _NotesHandler(logging.Handler):
    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        message = escaped(record.getMessage())
        if record.levelno >= logging.WARNING:
            message = f"warning: {message}"
        # The stream of this moment: a progress bar puts itself in its place, to stay below.
        print(message, file=getattr(sys, self._stream), flush=True)
