"""The names of the files in a run's folder, and what its recipe says of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stmnet.errors import DatasetError, RecipeError
from stmnet.runs.recipe_yaml import read_recipe_file

HISTORY = "history.jsonl"
RECIPE = "recipe.yaml"
RUN = "run.json"
SCORES = "scores"
TENSORBOARD = "tensorboard"
BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"
PREVIOUS_CHECKPOINT = "previous.ckpt"
"""What the last checkpoint was, before it was rewritten."""


def data_of_run(run: Path) -> dict[str, Any]:
    """The recipe's part on the data; empty without a recipe. Raises `DatasetError`."""
    path = run / RECIPE
    if not path.is_file():
        return {}
    try:
        return dict(read_recipe_file(path)["data"])
    except (KeyError, TypeError, ValueError, RecipeError) as e:
        raise DatasetError(
            f"{path}: not the recipe of a run. Put it back, or delete it, and give dataset and "
            "root."
        ) from e
