"""Rules between the keys of a recipe; the range of each value stands on its field.

Nothing here needs torch: what is wrong is said at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stmnet.errors import RecipeError
from stmnet.runs.recipe import Recipe, validate_values


def validate_recipe(recipe: Recipe) -> Recipe:
    """The recipe with every value of its field's type, also where it was built in Python.

    Raises `RecipeError` for what cannot work, before any file is read.
    """
    recipe = validate_values(recipe)
    _validate_sizes(recipe)
    if recipe.optimizer.class_weighted and recipe.data.class_balanced:
        raise RecipeError(
            "optimizer.class_weighted and data.class_balanced both make up for rare classes. "
            "Set one of them to false."
        )
    micro_batch_size(recipe, world_size=1)
    _validate_output(recipe)
    return recipe


def _validate_output(recipe: Recipe) -> None:
    try:
        output, root = Path(recipe.output).resolve(), Path(recipe.data.root).resolve()
        is_file = output.is_file()
    except (OSError, RuntimeError, ValueError) as e:  # too long, a loop of links, a zero byte
        raise RecipeError(
            f"output {recipe.output} or data.root {recipe.data.root} is not a valid path ({e}). "
            "Correct it."
        ) from e
    if is_file:
        raise RecipeError(f"output {recipe.output}: is a file. Set output to a folder.")
    if recipe.data.dataset == "folder" and root.is_dir() and output.is_relative_to(root):
        raise RecipeError(
            f"output {recipe.output}: lies in data.root, where folders are classes. Set another "
            "output."
        )


def micro_batch_size(recipe: Recipe, *, world_size: int) -> int:
    """How many clips of a step's batch a rank takes at once.

    Raises `RecipeError` where the batch cannot be divided evenly.
    """
    accumulate = recipe.optimizer.accumulate
    num_parts = world_size * accumulate
    if recipe.data.batch_size % num_parts:
        processes = f"{world_size} processes x " if world_size > 1 else ""
        raise RecipeError(
            f"data.batch_size {recipe.data.batch_size} is not divisible by {processes}"
            f"optimizer.accumulate {accumulate}. Set a multiple of {num_parts}, or other "
            "running.devices."
        )
    return recipe.data.batch_size // num_parts


def validate_classes(recipe: Recipe, label_names: Sequence[str]) -> None:
    """Raise `RecipeError` where the data's labels are not as stated, or leave nothing to tell."""
    num_classes = len(label_names)
    if num_classes < 2:
        only = "".join(f" ({name})" for name in label_names)
        raise RecipeError(
            f"{recipe.data.root}: only one class{only}. Training needs at least two: a folder for "
            "each, or other lists."
        )
    if recipe.model.num_classes not in (None, num_classes):
        raise RecipeError(
            f"model.num_classes is {recipe.model.num_classes}, and {recipe.data.dataset} in "
            f"{recipe.data.root} has {num_classes} labels. Correct one of them, or set "
            "model.num_classes to null."
        )


def _validate_sizes(recipe: Recipe) -> None:
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
