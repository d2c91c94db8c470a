"""How the command line prints."""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_any_name() -> None:
    """From here on, what stdout cannot encode is no reason to end: names of files hold any bytes.

    In JSON, too, what is printed for a byte that is no UTF-8 is its escape.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print one JSON object and nothing else on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(table: RenderableType) -> None:
    """Print what rich can, as wide as the terminal is; a pipe has no width: nothing is cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 500
    # Labels and files are called what they are called: [b] is no markup there, nor :cat: a cat.
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)
