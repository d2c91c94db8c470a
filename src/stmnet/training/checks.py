"""What is wrong with a recipe, said before any file is read."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import torch

from stmnet.errors import RecipeError
from stmnet.models.zoo import build_model
from stmnet.training.recipe import Recipe

AT_LEAST = {
    "model.num_frames": 1,
    "model.num_classes": 2,
    "data.batch_size": 1,
    "data.num_workers": 0,
    "data.max_unreadable": 0,
    "twins.correlation_weight": 0,
    "twins.off_diagonal_weight": 0,
    "optimizer.epochs": 1,
    "optimizer.reference_batch_size": 1,
    "optimizer.momentum": 0,
    "optimizer.weight_decay": 0,
    "optimizer.accumulate": 1,
    "running.devices": 1,
    "running.nodes": 1,
}
ABOVE_ZERO = (
    "optimizer.learning_rate",
    "optimizer.clip_gradient_norm",
    "running.checkpoint_minutes",
)


def check_recipe(recipe: Recipe) -> None:
    """Raise `StmnetError` for what cannot work, before any file is read."""
    _check_numbers(recipe)
    _check_views(recipe)
    if not 0 <= recipe.optimizer.warmup_epochs < recipe.optimizer.epochs:
        raise RecipeError(
            f"optimizer.warmup_epochs ({recipe.optimizer.warmup_epochs:g}) must be less than "
            f"optimizer.epochs ({recipe.optimizer.epochs})."
        )
    if recipe.optimizer.class_weighted and recipe.data.class_balanced:
        raise RecipeError(
            "optimizer.class_weighted and data.class_balanced both make up for rare classes. "
            "Set one of them to false."
        )
    clips_of_a_pass(recipe, num_processes=1)
    _check_network(recipe)


def clips_of_a_pass(recipe: Recipe, *, num_processes: int) -> int:
    """How many clips each of `num_processes` takes at once, where they share an effective batch.

    Raises `RecipeError` where the batch cannot be shared out evenly.
    """
    accumulate = recipe.optimizer.accumulate
    num_shares = num_processes * accumulate
    if recipe.data.batch_size % num_shares:
        processes = f"{num_processes} processes x " if num_processes > 1 else ""
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
    for key, least in AT_LEAST.items():
        value = attrgetter(key)(recipe)
        if value is not None and value < least:
            raise RecipeError(f"{key} is {value}; it must be at least {least}.")
    for key in ABOVE_ZERO:
        value = attrgetter(key)(recipe)
        if value is not None and value <= 0:
            raise RecipeError(f"{key} is {value}; it must be above 0.")


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
    with torch.device("meta"), torch.no_grad():
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
