"""What a run was made of: recipe, data, versions, source, machines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stmnet.datasets.clip_list import ClipList
from stmnet.errors import CheckpointError, DatasetError
from stmnet.files import atomic_write_text
from stmnet.runs.list_summary import ListSummary
from stmnet.runs.recipe import Recipe
from stmnet.runs.run_files import RUN

SOURCE = Path(__file__).parents[3]
"""Where the project lies, if this is a checkout of it."""


def describe_run(
    recipe: Recipe,
    lists: dict[str, ClipList],
    *,
    world_size: int,
    machine: Mapping[str, Any],
    before: dict[str, Any] | None,
) -> dict[str, Any]:
    """The run as JSON's plain values; `before` is what was said of it when it was started.

    A session is one of the times that it ran, on a `machine` that is described by plain values.
    Raises `DatasetError` where the data are not those of the sessions before.
    """
    data = {split: ListSummary.of(clip_list) for split, clip_list in lists.items()}
    for split, now in data.items():
        then = now if before is None else ListSummary(**before["data"][split])
        if now != then:
            raise DatasetError(
                f"{recipe.data.root}: {now.change_from(then, split)}. Resume with the data as they "
                "were, or set another output."
            )
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "processes": world_size,
        **machine,
        "commit": commit_of(SOURCE),
    }
    sessions = before["sessions"] if before is not None else []
    return {
        "recipe": asdict(recipe),
        "data": {split: asdict(summary) for split, summary in data.items()},
        "sessions": [*sessions, session],
    }


def commit_of(folder: Path) -> str | None:
    """The commit that is checked out in `folder`, with a + where files differ from it.

    None where it is not a checkout, or git is not installed.
    """
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def read_run(folder: Path) -> dict[str, Any] | None:
    """What was said of the run in `folder` when it was last started, if there is one.

    Raises `CheckpointError` for a file that says no such thing.
    """
    path = folder / RUN
    if not path.is_file():
        return None
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if {"data", "sessions"} <= description.keys():
            return description
    except (AttributeError, ValueError):
        pass
    raise CheckpointError(
        f"{path}: not as training wrote it. Put it back, or delete it: without it, a resumed run "
        "does not compare the data."
    )


def write_run(folder: Path, description: dict[str, Any]) -> None:
    """Write it beside the weights."""
    text = json.dumps(description, indent=2, ensure_ascii=False)
    # Bytes of a name that are not UTF-8 become what JSON escapes them to.
    atomic_write_text(folder / RUN, text + "\n", errors="backslashreplace")
