"""One training run: a recipe in, a folder with weights, checkpoints and logs out."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Trainer, seed_everything
from torch.utils.data import DataLoader

from stmnet.data.clip_datasets import Sample
from stmnet.data.loaders import end_workers
from stmnet.data.samplers import ProcessRank
from stmnet.errors import CheckpointError
from stmnet.files import atomic_write_text
from stmnet.models.weight_files import RUN_WEIGHTS
from stmnet.profiling.machine import describe_machine
from stmnet.recognizer import load
from stmnet.runs.provenance import describe_run, read_run, write_run
from stmnet.runs.recipe import OptimizerRecipe, Recipe
from stmnet.runs.resuming import Resumption, find_resumption
from stmnet.runs.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT, RECIPE
from stmnet.runs.run_folder import cannot_write, lock_run_folder, validate_run_folder
from stmnet.runs.validate_network import validate_network
from stmnet.runs.validate_recipe import micro_batch_size, validate_classes, validate_recipe
from stmnet.training.build import make_cache, make_module, make_validation_loader, read_list
from stmnet.training.distributed import is_rank_zero, leave_process_group, rank_zero_logger
from stmnet.training.module import ActionModule
from stmnet.training.progress import OnProgress
from stmnet.training.signals import stopped_by_signals
from stmnet.training.trainer import cores_shared_with, make_trainer, quiet_lightning

logger = rank_zero_logger(__name__)


def train(recipe: Recipe, *, resume: bool = False, on_progress: OnProgress | None = None) -> Path:
    """Train by a recipe and return the run's folder.

    It holds the weights of the best validation epoch (model.safetensors), the best and the last
    checkpoints, history.jsonl, TensorBoard's logs, the recipe with its defaults written out, and
    run.json, which says what the run was made of. `resume` goes on from the newest checkpoint.
    `on_progress` is called after every step and every epoch, with how far the run is.

    Each rank calls this; rank zero writes the files, logs and calls `on_progress`.

    Raises `StmnetError` for what the user can mend, before anything is trained, and `Stopped`
    where a signal ended the run.
    """
    recipe, resumption = validate(recipe, resume=resume)
    run = build(recipe, resumption, on_progress)
    output = Path(recipe.output)
    with lock_run_folder(output) if is_rank_zero() else nullcontext():
        if is_rank_zero():
            save_description(output, recipe, run.description)
        fit(run, resumption)
        if is_rank_zero():
            save_best(output)
    return output


def validate(recipe: Recipe, *, resume: bool) -> tuple[Recipe, Resumption | None]:
    """The recipe as `validate_recipe` gives it, and the checkpoint that the run goes on from."""
    recipe = validate_recipe(recipe)
    validate_run_folder(recipe, resume=resume)
    validate_network(recipe)
    return recipe, find_resumption(recipe) if resume else None


class Run(NamedTuple):
    """What a run is made of."""

    trainer: Trainer
    module: ActionModule
    validation_loader: DataLoader[Sample]
    num_workers: int
    description: dict[str, Any]


def build(recipe: Recipe, resumption: Resumption | None, on_progress: OnProgress | None) -> Run:
    """Make all that trains, and log what the user should know of it."""
    with quiet_lightning():
        trainer = make_trainer(recipe, on_progress)
    process = ProcessRank(trainer.global_rank, trainer.world_size)
    micro_batch_size(recipe, world_size=process.world_size)
    _log_resumption(resumption)
    seed_everything(recipe.seed, verbose=False)
    training_list = read_list(recipe.data, "train")
    validation_list = read_list(recipe.data, "validation")
    validate_classes(recipe, training_list.label_names)
    logger.info(
        f"data: {len(training_list.clips):,} training clips, {len(validation_list.clips):,} "
        f"validation clips, {len(training_list.label_names)} classes"
    )
    description = describe_run(
        recipe,
        {"train": training_list, "validation": validation_list},
        world_size=process.world_size,
        machine=asdict(describe_machine()),
        before=read_run(Path(recipe.output)) if resumption else None,
    )
    num_clips = len(training_list.clips)
    cache = make_cache(recipe, num_clips + len(validation_list.clips))
    module = make_module(
        recipe,
        training_list,
        description,
        process=process,
        cache=cache,
        is_resumed=resumption is not None,
    )
    if resumption is not None:
        num_steps = len(module.training_loader) // recipe.optimizer.accumulate
        logger.info(resumption.describe(recipe.optimizer.epochs, num_steps))
    validation_loader = make_validation_loader(
        recipe,
        validation_list,
        module.config.preprocessing,
        process=process,
        cache=cache,
        first_entry=num_clips,
    )
    _log_rules(recipe)
    return Run(trainer, module, validation_loader, recipe.data.num_workers, description)


def _log_rules(recipe: Recipe) -> None:
    logger.info(learning_rate_rule(recipe.optimizer, recipe.data.batch_size))
    if (length := recipe.optimizer.warmup_length) < recipe.optimizer.warmup_epochs:
        logger.info(
            f"optimizer.warmup_epochs {recipe.optimizer.warmup_epochs:g} is shortened to "
            f"{length:g}, half of the epochs"
        )
    num_workers, num_cores = recipe.data.num_workers, os.cpu_count() or 1
    if num_workers > num_cores:
        logger.warning(
            f"data.num_workers is {num_workers}, and this machine has {num_cores} CPU cores. Fewer "
            "workers may be faster, and take less memory."
        )


def fit(run: Run, resumption: Resumption | None) -> None:
    """Train to the end, or until a signal ends it."""
    try:
        with stopped_by_signals(), quiet_lightning(), cores_shared_with(run.num_workers):
            run.trainer.fit(
                run.module,
                run.module.training_loader,
                run.validation_loader,
                ckpt_path=None if resumption is None else str(resumption.checkpoint),
                weights_only=True,
            )
    finally:
        for loader in (run.module.training_loader, run.validation_loader):
            end_workers(loader)
    leave_process_group()


def save_description(output: Path, recipe: Recipe, description: dict[str, Any]) -> None:
    """Write the recipe and what the run is made of into its folder."""
    try:
        atomic_write_text(output / RECIPE, recipe.to_yaml())
        write_run(output, description)
    except OSError as e:
        raise cannot_write(output, e) from e


def save_best(output: Path) -> None:
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
        raise CheckpointError(f"{e} The checkpoints are whole: go on with resume=True.") from e


def _log_resumption(resumption: Resumption | None) -> None:
    if resumption is None:
        return
    for change in resumption.changes:
        logger.info(change)
    for warning in resumption.warnings:
        logger.warning(warning)


def learning_rate_rule(optimizer: OptimizerRecipe, batch_size: int) -> str:
    """The line on how the learning rate follows from the batch size."""
    rate = f"learning rate {optimizer.learning_rate_for(batch_size):g}"
    if optimizer.reference_batch_size is None:
        return f"{rate}, not scaled to the {batch_size} clips of a step"
    return (
        f"{rate} = {optimizer.learning_rate:g} x {batch_size} / "
        f"{optimizer.reference_batch_size} clips"
    )
