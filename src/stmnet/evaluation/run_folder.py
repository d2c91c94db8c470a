"""A run's folder: the names of its files, and what a test asks of it beside the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from stmnet.data.records import ClipList
from stmnet.errors import DatasetError
from stmnet.evaluation.scores import digest_of_clips

HISTORY = "history.jsonl"
RECIPE = "recipe.yaml"
RUN = "run.json"
SCORES = "scores"


def data_of_run(run: Path) -> dict[str, Any]:
    """The recipe's part on the data; empty without a recipe. Raises `DatasetError`."""
    path = run / RECIPE
    if not path.is_file():
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
        return dict(data)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as e:
        raise DatasetError(
            f"{path}: not the recipe of a run. Put it back, or delete it, and give --dataset and "
            "--root."
        ) from e


@dataclass(frozen=True)
class ListSummary:
    """By which a list is known again, wherever its folder stands."""

    clips: int
    digest: str

    @classmethod
    def of(cls, clip_list: ClipList) -> Self:
        """The summary of a list."""
        return cls(len(clip_list.clips), digest_of_clips(clip_list))

    def change_from(self, then: ListSummary, split: str) -> str:
        """In words, that this is another list than the run had."""
        return (
            f"the {split} list is not what the run was started with ({self.clips} clips, and "
            f"{then.clips} then)"
        )


def lists_of_run(run: Path) -> dict[str, ListSummary]:
    """The lists that the run was started with, by split; empty for one made elsewhere."""
    try:
        lists = json.loads((run / RUN).read_text(encoding="utf-8"))["data"]
        return {split: ListSummary(**plain) for split, plain in lists.items()}
    except (OSError, AttributeError, KeyError, TypeError, ValueError):  # there is none, or damage
        return {}
