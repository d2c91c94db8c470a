"""Going on with a run: from which checkpoint, and by which recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from stmnet.errors import CheckpointError, RecipeError
from stmnet.models.weight_files import RUN_WEIGHTS
from stmnet.runs.recipe import Recipe, load_recipe
from stmnet.runs.run_files import (
    BEST_CHECKPOINT,
    HISTORY,
    LAST_CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    RECIPE,
)

CHECKPOINTS = (LAST_CHECKPOINT, BEST_CHECKPOINT, PREVIOUS_CHECKPOINT)
MAY_CHANGE = (
    "data.root",
    "data.num_workers",
    "data.cache_gigabytes",
    "data.max_unreadable",
    "running.devices",
    "running.nodes",
    "running.checkpoint_minutes",
    "output",
)
"""Keys that change nothing in what is learned; the data behind a new root must be the same."""


@dataclass(frozen=True)
class Resumption:
    """The checkpoint to go on from, and how many steps it has taken.

    `changes` says what of the recipe is not as the run was started with, and `warnings` which
    checkpoints are damaged.
    """

    checkpoint: Path
    num_steps: int
    changes: tuple[str, ...]
    warnings: tuple[str, ...]

    def describe(self, num_epochs: int, steps_an_epoch: int) -> str:
        """The step that comes next, counted from 1 as epochs are."""
        num_done, step = divmod(self.num_steps, steps_an_epoch)
        where = f"epoch {num_done + 1} of {num_epochs}, step {step + 1} of {steps_an_epoch}"
        if num_done >= num_epochs:
            where = "every epoch is trained"
        return f"resuming from {self.checkpoint.name}: {where}"


def holds_a_run(output: Path) -> bool:
    """Whether there is anything in the folder that a new run would overwrite."""
    return can_resume(output) or any((output / name).is_file() for name in (RUN_WEIGHTS, HISTORY))


def can_resume(output: Path) -> bool:
    """Whether there is a checkpoint in the folder, whole or not."""
    return any((output / name).is_file() for name in CHECKPOINTS)


def delete_history_without_checkpoint(output: Path) -> None:
    """Let a new run take the place of one that was ended before its first checkpoint."""
    if not can_resume(output):
        (output / HISTORY).unlink(missing_ok=True)


def find_resumption(recipe: Recipe) -> Resumption:
    """Choose the newest good checkpoint in the recipe's output.

    Raises `RecipeError` where the run was started by a recipe that says otherwise, or there is
    none, and `CheckpointError` where no checkpoint can be read.
    """
    output = Path(recipe.output)
    changes = validate_resuming(recipe)
    damaged: list[str] = []
    steps: dict[Path, int] = {}
    for path in (output / name for name in CHECKPOINTS if (output / name).is_file()):
        try:
            steps[path] = _steps_of(path)
        except CheckpointError as e:
            damaged.append(str(e))
    if not steps:
        raise CheckpointError(f"{damaged[0]} No good one is beside it: start a new output.")
    newest = max(steps, key=lambda path: steps[path])
    warnings = (f"{why} Going on from {newest.name}, step {steps[newest]}." for why in damaged)
    return Resumption(newest, steps[newest], changes, tuple(warnings))


def validate_resuming(recipe: Recipe) -> tuple[str, ...]:
    """A line on each change since the run was started, of those that may be.

    Raises `RecipeError` where there is no checkpoint, or the run was started by a recipe that says
    otherwise.
    """
    output = Path(recipe.output)
    if not can_resume(output):
        remedy = "Set another output" if holds_a_run(output) else "Start without resume=True"
        raise RecipeError(f"{output / LAST_CHECKPOINT}: no checkpoint to resume. {remedy}.")
    return compare_recipes(recipe, output / RECIPE)


def _steps_of(path: Path) -> int:
    # Here, not above: what is wrong with a recipe is said before torch is imported.
    from stmnet.models.weights import read_checkpoint_file

    content = read_checkpoint_file(path)
    # torch reads flipped bits as weights; the archive's checksums know better.
    with ZipFile(path) as archive:
        if archive.testzip() is not None or "global_step" not in content:
            raise CheckpointError(f"{path}: not a checkpoint, or a damaged one.")
    steps: int = content["global_step"]
    return steps


def compare_recipes(recipe: Recipe, path: Path) -> tuple[str, ...]:
    """Compare with the recipe that the run was started by: a line on each change that may be.

    Raises `RecipeError` naming the first value that may not.
    """
    if not path.is_file():
        raise RecipeError(
            f"{path}: no such file, and it says how the run was started. Put the run's recipe back "
            "there, or set another output."
        )
    notes = []
    now = dict(_values(asdict(recipe)))
    for key, was in _values(asdict(load_recipe(path))):
        if now[key] == was:
            continue
        if not _may_change(key, was, recipe):
            raise RecipeError(
                f"{path}: the run was started with {key} {was}, and the recipe now says "
                f"{now[key]}. Resume with the recipe as it was, or set another output."
            )
        notes.append(f"resuming with {key} {now[key]}, which was {was}")
    return tuple(notes)


def _may_change(key: str, was: Any, recipe: Recipe) -> bool:
    data, augmentation = recipe.data, recipe.augmentation
    if key == "data.cache_gigabytes" and not (was and data.cache_gigabytes):
        # With a cache, frames are resized before they are augmented.
        return augmentation.crop == "scale_jitter" and augmentation.short_sides == [data.short_side]
    return key in MAY_CHANGE


def _values(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and f"{prefix}{key}" != "model.options":
            yield from _values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
