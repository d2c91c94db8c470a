"""One training run: a recipe in, a folder with weights, checkpoints and logs out."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import EvaluationClips, Sample, TrainingClips
from stmnet.data.loaders import TrainingLoader, end_workers, evaluation_loader
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.samplers import ProcessRank
from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.splits import read_split
from stmnet.errors import CheckpointError, RecipeError, Stopped
from stmnet.files import atomic_write
from stmnet.models.weight_files import RUN_WEIGHTS
from stmnet.models.zoo import build_model
from stmnet.profiling.machine import describe_machine
from stmnet.recognizer import ModelConfig, load
from stmnet.runs.provenance import describe_run, read_run, write_run
from stmnet.runs.recipe import DataRecipe, OptimizerRecipe, Recipe
from stmnet.runs.resuming import can_resume, find_resumption, holds_a_run
from stmnet.runs.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT, RECIPE
from stmnet.runs.run_folder import cannot_write, lock_run_folder
from stmnet.runs.validate_recipe import check_num_classes, check_recipe, clips_of_a_pass
from stmnet.training.distributed import is_rank_zero, leave_process_group, say
from stmnet.training.losses import (
    ClassificationObjective,
    CorrelationLoss,
    TwinsObjective,
    class_weights_of,
)
from stmnet.training.module import ActionModule
from stmnet.training.trainer import cores_shared_with, make_trainer, quiet_lightning

__all__ = ["BEST_CHECKPOINT", "LAST_CHECKPOINT", "RUN_WEIGHTS", "train"]


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Train by a recipe and return the run's folder.

    It holds the weights of the best validation epoch (model.safetensors), the best and the last
    checkpoints, history.jsonl, TensorBoard's logs, the recipe with its defaults written out, and
    run.json, which says what the run was made of. `resume` goes on from the newest checkpoint.

    Of several processes each calls this, and the first writes the files.

    Raises `StmnetError` for what the user can mend, before anything is trained, and `Stopped`
    where a signal ended the run.
    """
    output = Path(recipe.output)
    check_recipe(recipe)
    if holds_a_run(output) and not resume:
        remedy = "Go on with --resume, or set" if can_resume(output) else "Set"
        raise RecipeError(f"{output}: holds a run already. {remedy} another output.")
    resumption = find_resumption(recipe) if resume else None
    with quiet_lightning():
        trainer = make_trainer(recipe, output)
    clips_of_a_pass(recipe, world_size=trainer.world_size)
    for line in resumption.notes if resumption else ():
        say(line)
    seed_everything(recipe.seed, verbose=False)

    training_list = read_list(recipe.data, "train")
    validation_list = read_list(recipe.data, "validation")
    check_num_classes(recipe, len(training_list.label_names))
    described = describe_run(
        recipe,
        {"train": training_list, "validation": validation_list},
        world_size=trainer.world_size,
        machine=asdict(describe_machine()),
        before=read_run(output) if resume else None,
    )
    module = make_module(
        recipe,
        training_list,
        described,
        process=ProcessRank(trainer.global_rank, trainer.world_size),
    )
    validation_loader = evaluation_loader(
        EvaluationClips(validation_list, module.config.preprocessing),
        batch_size=recipe.data.batch_size // recipe.optimizer.accumulate,
        num_workers=recipe.data.num_workers,
        pin_memory=torch.cuda.is_available(),
        process=ProcessRank(trainer.global_rank, trainer.world_size),
    )
    say(learning_rate_in_words(recipe.optimizer, recipe.data.batch_size))
    if recipe.data.num_workers > (num_cores := os.cpu_count() or 1):
        say(
            f"warning: data.num_workers is {recipe.data.num_workers}, and here are {num_cores} "
            "cores. Fewer may be quicker, and take less memory."
        )

    with lock_run_folder(output) if is_rank_zero() else nullcontext():
        if is_rank_zero():
            try:
                with atomic_write(output / RECIPE) as unfinished:
                    unfinished.write_text(recipe.to_yaml(), encoding="utf-8")
                write_run(output, described)
            except OSError as e:
                raise cannot_write(output, e) from e
        _fit(
            trainer,
            module,
            validation_loader,
            num_workers=recipe.data.num_workers,
            checkpoint=resumption.checkpoint if resumption else None,
        )
        if is_rank_zero():
            _keep_best(output)
    return output


def _fit(
    trainer: Trainer,
    module: ActionModule,
    validation_loader: DataLoader[Sample],
    *,
    num_workers: int,
    checkpoint: Path | None,
) -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with quiet_lightning(), cores_shared_with(num_workers):
            trainer.fit(
                module,
                module.training_loader,
                validation_loader,
                ckpt_path=None if checkpoint is None else str(checkpoint),
                weights_only=True,
            )
    except SystemExit as e:
        # By this Lightning ends where Ctrl-C comes before its training, or a second time.
        if isinstance(e.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        # And by this, which says that all went well, where SIGTERM comes right before it.
        if isinstance(e, SIGTERMException):
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    except Stopped as stop:
        leave_process_group()
        if not is_rank_zero():
            raise SystemExit(128 + stop.signal_number) from None
        raise
    finally:
        for loader in (module.training_loader, validation_loader):
            end_workers(loader)
        signal.signal(signal.SIGINT, on_interrupt)
    leave_process_group()


def _keep_best(output: Path) -> None:
    """Write the weights of the best epoch."""
    try:
        best = load(output / BEST_CHECKPOINT)
    except CheckpointError as e:
        raise CheckpointError(
            f"{output / BEST_CHECKPOINT}: gone or damaged, and with it the weights of the best "
            f"epoch. Those of the last one are in {output / LAST_CHECKPOINT}; use it instead."
        ) from e
    try:
        best.save(output / RUN_WEIGHTS)
    except CheckpointError as e:
        raise CheckpointError(f"{e} The checkpoints are whole: go on with --resume.") from e


def read_list(data: DataRecipe, split: str) -> ClipList:
    """Read a split by the recipe, and print how many of its clips are left out, if any are."""
    clip_list = read_split(
        data.dataset, data.root, split, allow_missing=data.allow_missing, exclude=data.exclude
    )
    if left_out := clip_list.left_out():
        say(f"{split}: {left_out}")
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


def make_module(
    recipe: Recipe, clip_list: ClipList, described: dict[str, Any], *, process: ProcessRank
) -> ActionModule:
    """The network that `recipe` trains on `clip_list`, with all that belongs to its training."""
    config = make_config(recipe, clip_list)
    network = build_model(
        config.model,
        num_classes=len(config.label_names),
        num_frames=config.preprocessing.num_frames,
        pretrained=recipe.model.pretrained,
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
        described=described,
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


def learning_rate_in_words(optimizer: OptimizerRecipe, batch_size: int) -> str:
    """The rule by which the learning rate follows the batch, as a line."""
    rate = f"learning rate {optimizer.learning_rate_for(batch_size):g}"
    if optimizer.reference_batch_size is None:
        return f"{rate}, not scaled to the {batch_size} clips of a step"
    return (
        f"{rate} = {optimizer.learning_rate:g} x {batch_size} / "
        f"{optimizer.reference_batch_size} clips"
    )
