"""What a recipe trains with: lists of clips, a network, an objective, loaders."""

from __future__ import annotations

from dataclasses import asdict
from tempfile import gettempdir
from typing import Any

import torch
from torch.utils.data import DataLoader

from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import EvaluationClips, Sample, TrainingClips
from stmnet.data.frame_cache import FrameCache
from stmnet.data.loaders import TrainingLoader, evaluation_loader
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.samplers import ProcessRank
from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.splits import read_split
from stmnet.errors import RecipeError
from stmnet.models.zoo import build_model
from stmnet.recognizer import ModelConfig
from stmnet.runs.recipe import DataRecipe, Recipe
from stmnet.training.distributed import rank_zero_logger
from stmnet.training.losses import (
    ClassificationObjective,
    CorrelationLoss,
    TwinsObjective,
    class_weights_of,
)
from stmnet.training.module import ActionModule

logger = rank_zero_logger(__name__)


def read_list(data: DataRecipe, split: str) -> ClipList:
    """Read a split by the recipe, and log how many of its clips are left out, if any are."""
    clip_list = read_split(
        data.dataset, data.root, split, allow_missing=data.allow_missing, exclude=data.exclude
    )
    if left_out := clip_list.left_out():
        logger.info("%s: %s", split, left_out)
    return clip_list


def make_config(recipe: Recipe, clip_list: ClipList) -> ModelConfig:
    """The config of the network that `recipe` trains on `clip_list`."""
    return ModelConfig(
        model=recipe.model.name,
        label_names=clip_list.label_names,
        preprocessing=Preprocessing(
            num_frames=recipe.model.num_frames,
            short_side=recipe.data.short_side,
            crop_size=recipe.data.crop_size,
            by_time=recipe.data.by_time,
        ),
        options=recipe.model.options,
    )


def make_cache(recipe: Recipe, num_clips: int) -> FrameCache | None:
    """What keeps the frames of `num_clips` clips, where the recipe asks for it.

    Raises `RecipeError` where the temporary folder has no room at all.
    """
    gigabytes = recipe.data.cache_gigabytes
    if not gigabytes:
        return None
    try:
        return FrameCache(num_clips, round(gigabytes * 1e9))
    except OSError as e:
        raise RecipeError(
            f"data.cache_gigabytes is {gigabytes:g}: no file can be made in the temporary folder "
            f"{gettempdir()} ({e.strerror}). Set TMPDIR to a folder with room, or "
            "data.cache_gigabytes to 0."
        ) from e


def make_module(
    recipe: Recipe,
    clip_list: ClipList,
    description: dict[str, Any],
    *,
    process: ProcessRank,
    cache: FrameCache | None = None,
    is_resumed: bool = False,
) -> ActionModule:
    """The network that `recipe` trains on `clip_list`, with all that belongs to its training."""
    config = make_config(recipe, clip_list)
    network = build_model(
        config.model,
        num_classes=len(config.label_names),
        num_frames=config.preprocessing.num_frames,
        # A checkpoint takes the place of all of them.
        pretrained=None if is_resumed else recipe.model.pretrained,
        **config.options,
    )
    training_loader = TrainingLoader(
        TrainingClips(
            clip_list,
            config.preprocessing,
            Augmentation(**asdict(recipe.augmentation)),
            sampling=recipe.data.sampling,
            seed=recipe.seed,
            num_views=2 if recipe.twins.enabled else 1,
            cache=cache,
        ),
        batch_size=recipe.data.batch_size,
        num_workers=recipe.data.num_workers,
        class_balanced=recipe.data.class_balanced,
        pin_memory=torch.cuda.is_available(),
        process=process,
        num_micro_batches=recipe.optimizer.accumulate,
    )
    return ActionModule(
        network,
        config,
        recipe.optimizer,
        objective=make_objective(recipe, clip_list),
        learning_rate=recipe.optimizer.learning_rate_for(recipe.data.batch_size),
        training_loader=training_loader,
        max_unreadable=recipe.data.max_unreadable,
        seed=recipe.seed,
        description=description,
    )


def make_objective(recipe: Recipe, clip_list: ClipList) -> ClassificationObjective:
    """What training makes small, by the recipe."""
    class_weights = None
    if recipe.optimizer.class_weighted:
        labels = torch.tensor([clip.label for clip in clip_list.clips])
        class_weights = class_weights_of(labels, len(clip_list.label_names))
    if not recipe.twins.enabled:
        return ClassificationObjective(class_weights)
    return TwinsObjective(
        CorrelationLoss(
            off_diagonal_weight=recipe.twins.off_diagonal_weight, batch=recipe.twins.batch
        ),
        correlation_weight=recipe.twins.correlation_weight,
        class_weights=class_weights,
    )


def make_validation_loader(
    recipe: Recipe,
    clip_list: ClipList,
    preprocessing: Preprocessing,
    *,
    process: ProcessRank,
    cache: FrameCache | None = None,
    first_entry: int = 0,
) -> DataLoader[Sample]:
    """The center views of `clip_list`, in batches of as many clips as a micro-batch has.

    A `cache` keeps them from entry number `first_entry` on.
    """
    return evaluation_loader(
        EvaluationClips(clip_list, preprocessing, cache=cache, first=first_entry),
        batch_size=recipe.data.batch_size // recipe.optimizer.accumulate,
        num_workers=recipe.data.num_workers,
        pin_memory=torch.cuda.is_available(),
        process=process,
    )
