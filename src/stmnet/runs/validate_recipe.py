"""What is wrong with a recipe, said before any file is read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stmnet.errors import RecipeError
from stmnet.models.zoo import build_model
from stmnet.runs.recipe import Recipe

ALLOWED: tuple[tuple[str, Callable[[float], bool], tuple[str, ...]], ...] = (
    (
        "at least 0",
        lambda value: value >= 0,
        (
            "data.num_workers",
            "data.max_unreadable",
            "augmentation.brightness",
            "augmentation.contrast",
            "augmentation.saturation",
            "twins.correlation_weight",
            "twins.off_diagonal_weight",
            "optimizer.weight_decay",
            "optimizer.warmup_epochs",
        ),
    ),
    (
        "above 0",
        lambda value: value > 0,
        (
            "optimizer.learning_rate",
            "optimizer.clip_gradient_norm",
            "running.checkpoint_minutes",
        ),
    ),
    (
        "at least 1",
        lambda value: value >= 1,
        (
            "model.num_frames",
            "model.options.width",
            "data.short_side",
            "data.crop_size",
            "data.batch_size",
            "optimizer.epochs",
            "optimizer.reference_batch_size",
            "optimizer.milestones",
            "optimizer.accumulate",
            "running.devices",
            "running.nodes",
        ),
    ),
    ("at least 2", lambda value: value >= 2, ("model.num_classes",)),
    (
        "from 0 to 1",
        lambda value: 0 <= value <= 1,
        ("augmentation.flip_probability", "augmentation.grayscale_probability"),
    ),
    # Half a turn either way is every hue there is.
    ("from 0 to 0.5", lambda value: 0 <= value <= 0.5, ("augmentation.hue",)),
    # With a momentum of 1 steps grow without end; with all dropped there is nothing to learn from.
    (
        "from 0 up to, but not, 1",
        lambda value: 0 <= value < 1,
        ("optimizer.momentum", "model.options.dropout"),
    ),
    # NumPy takes no other.
    ("from 0 to 4294967295", lambda value: 0 <= value < 2**32, ("seed",)),
)
"""What numbers must be, by their keys; in a list, each of them. All must be finite besides.

Those that depend on others are `_check_views`'s.
"""

LARGEST = 2**31
"""Whole numbers must be below it: what trains counts in 32 bits."""


def check_recipe(recipe: Recipe) -> None:
    """Raise `StmnetError` for what cannot work, before any file is read."""
    _check_numbers(recipe)
    _check_views(recipe)
    if recipe.optimizer.warmup_epochs >= recipe.optimizer.epochs:
        raise RecipeError(
            f"optimizer.warmup_epochs ({recipe.optimizer.warmup_epochs:g}) must be less than "
            f"optimizer.epochs ({recipe.optimizer.epochs})."
        )
    if recipe.optimizer.class_weighted and recipe.data.class_balanced:
        raise RecipeError(
            "optimizer.class_weighted and data.class_balanced both make up for rare classes. "
            "Set one of them to false."
        )
    clips_of_a_pass(recipe, world_size=1)
    _check_output(recipe)
    _check_network(recipe)


def _check_output(recipe: Recipe) -> None:
    try:
        output, root = Path(recipe.output).resolve(), Path(recipe.data.root).resolve()
        is_file = output.is_file()
    except (OSError, RuntimeError, ValueError) as e:  # too long, a loop of links, a zero byte
        raise RecipeError(
            f"output {recipe.output} or data.root {recipe.data.root} is no path of a folder ({e}). "
            "Correct it."
        ) from e
    if is_file:
        raise RecipeError(f"output {recipe.output}: is a file. Set output to a folder.")
    if recipe.data.dataset == "folder" and root.is_dir() and output.is_relative_to(root):
        raise RecipeError(
            f"output {recipe.output}: lies in data.root, where folders are classes. Set another "
            "output."
        )


def clips_of_a_pass(recipe: Recipe, *, world_size: int) -> int:
    """How many clips each of `world_size` takes at once, where they share an effective batch.

    Raises `RecipeError` where the batch cannot be shared out evenly.
    """
    accumulate = recipe.optimizer.accumulate
    num_shares = world_size * accumulate
    if recipe.data.batch_size % num_shares:
        processes = f"{world_size} processes x " if world_size > 1 else ""
        raise RecipeError(
            f"data.batch_size {recipe.data.batch_size} cannot be shared by {processes}"
            f"optimizer.accumulate {accumulate}. Take a multiple of {num_shares}, or other "
            "running.devices."
        )
    return recipe.data.batch_size // num_shares


def check_num_classes(recipe: Recipe, num_classes: int) -> None:
    """Raise `RecipeError` where the data's labels are not as stated, or leave nothing to tell."""
    if num_classes < 2:
        raise RecipeError(
            f"{recipe.data.dataset} in {recipe.data.root} has {num_classes} label. Training needs "
            "two: a folder for each, or other lists."
        )
    if recipe.model.num_classes not in (None, num_classes):
        raise RecipeError(
            f"model.num_classes is {recipe.model.num_classes}, and {recipe.data.dataset} in "
            f"{recipe.data.root} has {num_classes} labels. Correct one of them, or set "
            "--model.num_classes null."
        )


def _check_numbers(recipe: Recipe) -> None:
    for key, value in _numbers(asdict(recipe)):
        if not -math.inf < value < math.inf:
            raise RecipeError(f"{key} is {value}; it must be a finite number.")
        for words, is_allowed, keys in ALLOWED:
            if key in keys and not is_allowed(value):
                raise RecipeError(f"{key} is {value}; it must be {words}.")
        if isinstance(value, int) and value >= LARGEST and key != "seed":
            raise RecipeError(f"{key} is {value}; it must be below {LARGEST}.")


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a value of a recipe, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value


def _check_views(recipe: Recipe) -> None:
    augmentation, data = recipe.augmentation, recipe.data
    if augmentation.crop == "scale_jitter":
        if min(augmentation.short_sides, default=0) < data.crop_size:
            raise RecipeError(
                f"augmentation.short_sides {augmentation.short_sides} must all be at least "
                f"data.crop_size ({data.crop_size})."
            )
    elif not augmentation.scales or not all(0 < scale <= 1 for scale in augmentation.scales):
        raise RecipeError(
            f"augmentation.scales {augmentation.scales} must be above 0 and at most 1."
        )
    if data.short_side < data.crop_size:
        raise RecipeError(
            f"data.short_side ({data.short_side}) must be at least data.crop_size "
            f"({data.crop_size})."
        )


def _check_network(recipe: Recipe) -> None:
    """Build the network and show it one clip, on a device that computes nothing."""
    model, size = recipe.model, recipe.data.crop_size
    options: dict[str, Any] = model.options
    # torch warns of empty tensors, and then fails on them: one line is enough.
    quietly = warnings.catch_warnings(action="ignore")
    with torch.device("meta"), torch.no_grad(), quietly:
        try:
            network = build_model(
                model.name,
                num_classes=model.num_classes or 2,
                num_frames=model.num_frames,
                **options,
            )
            network.eval()(torch.empty(1, model.num_frames, 3, size, size))
        except (ArithmeticError, LookupError, RuntimeError, ValueError) as e:
            raise RecipeError(
                f"{model.name} cannot take {model.num_frames} frames of {size} x {size} pixels "
                f"with the options {options} ({' '.join(str(e).split())})."
            ) from e
