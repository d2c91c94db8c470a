"""Where the benchmarks leave what they measured: JSON and figures, and tables inside pages."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from stmnet.profiling.machine import describe_machine


def save_json(path: Path, command: str, content: dict[str, Any]) -> None:
    """Write the figures with the command, the date and the machine that they are from.

    `content` may describe another device than the CPU, or other threads than torch's own.
    """
    head = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        **asdict(describe_machine("cpu")),
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(head | content, indent=1) + "\n", encoding="utf-8")


def save_figure(path: Path, figure: Figure) -> None:
    """Write an SVG whose bytes depend on what is drawn alone."""
    path.parent.mkdir(exist_ok=True)
    with rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})


def put_table(page: Path, name: str, table: str) -> None:
    """Replace what stands in a page between `<!-- NAME: table -->` and `<!-- NAME: end -->`."""
    begins, ends = f"<!-- {name}: table -->\n", f"<!-- {name}: end -->\n"
    before, begun, rest = page.read_text(encoding="utf-8").partition(begins)
    _, ended, after = rest.partition(ends)
    if not (begun and ended):
        raise SystemExit(f"{page}: no lines {begins.strip()!r} and {ends.strip()!r} there")
    page.write_text(f"{before}{begins}\n{table}\n{ends}{after}", encoding="utf-8")
