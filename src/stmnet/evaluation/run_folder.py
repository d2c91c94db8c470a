"""A run's folder: the names of its files, and what a test asks of it beside the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from stmnet.data.datasets import read_split
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


def chose_the_epoch(clip_list: ClipList, dataset: str, root: str) -> bool:
    """Whether these are the clips of the validation split: some sets have one list for both."""
    try:
        return read_split(dataset, root, "validation", allow_missing=True).clips == clip_list.clips
    except DatasetError:
        return False


def change_of_list(clip_list: ClipList, run: Path, split: str) -> str | None:
    """In words, if the run was started with another list of this split; None if it had none."""
    try:
        then = json.loads((run / RUN).read_text(encoding="utf-8"))["data"][split]
        if then["digest"] == digest_of_clips(clip_list):
            return None
        return (
            f"the {split} list is not what the run was started with ({len(clip_list.clips)} "
            f"clips, and {then['clips']} then)"
        )
    except (OSError, KeyError, TypeError, ValueError):  # a run made elsewhere, or damage
        return None
