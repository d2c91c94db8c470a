"""Whether a recipe's network can be built, and takes the recipe's clips."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from stmnet.errors import RecipeError
from stmnet.models.zoo import build_model
from stmnet.runs.recipe import Recipe


def validate_network(recipe: Recipe) -> None:
    """Build the network and show it one clip, on a device that computes nothing.

    Raises `UnknownModelError` for a name or an option that does not exist, and `RecipeError` where
    the network does not take clips of this size.
    """
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
