"""Lightning's trainer, as a recipe asks for it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from stmnet.errors import RecipeError
from stmnet.runs.recipe import Recipe
from stmnet.runs.run_files import BEST_CHECKPOINT, HISTORY, LAST_CHECKPOINT, TENSORBOARD
from stmnet.training.checkpoint import AtomicCheckpointIO, MovableCheckpoint
from stmnet.training.distributed import place
from stmnet.training.history_log import HistoryLog
from stmnet.training.progress import OnProgress
from stmnet.training.signals import SaveAndStop


def make_trainer(recipe: Recipe, on_progress: OnProgress | None = None) -> Trainer:
    """The trainer with this run's processes, checkpoints and logs.

    Raises `RecipeError` for what this machine cannot do.
    """
    _validate_machine(recipe)
    placement = place(recipe.running)
    output = Path(recipe.output)
    callbacks: list[Callback] = [
        HistoryLog(output / HISTORY, on_progress),
        MovableCheckpoint(
            output,
            filename=Path(BEST_CHECKPOINT).stem,
            monitor="validation_top1",
            mode="max",
            enable_version_counter=False,
        ),
        MovableCheckpoint(
            output, filename=Path(LAST_CHECKPOINT).stem, enable_version_counter=False
        ),
        # Last, so that what it saves has seen all the others.
        SaveAndStop(output / LAST_CHECKPOINT, minutes=recipe.running.checkpoint_minutes),
    ]
    return Trainer(
        max_epochs=recipe.optimizer.epochs,
        precision=recipe.precision,
        devices=placement.devices,
        num_nodes=placement.nodes,
        sync_batchnorm=recipe.running.sync_batch_norm,
        accumulate_grad_batches=recipe.optimizer.accumulate,
        gradient_clip_val=recipe.optimizer.clip_gradient_norm,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), placement.environment],
        logger=TensorBoardLogger(str(output), name=TENSORBOARD, version=""),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def _validate_machine(recipe: Recipe) -> None:
    if torch.cuda.is_available():
        return
    if recipe.precision == "16-mixed":
        raise RecipeError("precision 16-mixed needs a GPU. On a CPU take bf16-mixed or 32-true.")
    if recipe.running.sync_batch_norm:
        raise RecipeError("running.sync_batch_norm needs GPUs. Set it to false on a CPU.")


@contextmanager
def cores_shared_with(num_workers: int) -> Iterator[None]:
    """Without a GPU, leave a core to every loader: more threads than cores wait for each other."""
    num_threads = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, num_threads - num_workers))
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep back its advice on what the recipe decides: worker counts, the run's folder."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",
            ".*The number of training batches.*",
            ".*exists and is not empty.*",
            ".*LeafSpec.*is deprecated.*",
            ".*recommended to use .self.log.*sync_dist.*",
        ):
            warnings.filterwarnings("ignore", message=message)
        yield
