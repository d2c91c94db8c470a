"""One training run: a recipe in, a folder with weights, checkpoints and logs out."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger

from stmnet.data.clips import (
    EvaluationClips,
    TrainingClips,
    TrainingLoader,
    evaluation_loader,
)
from stmnet.data.datasets import read_split
from stmnet.data.records import ClipList
from stmnet.data.transforms import Augmentation, Preprocessing
from stmnet.errors import RecipeError
from stmnet.evaluation.testing import HISTORY, RECIPE
from stmnet.models.zoo import build_model
from stmnet.recognizer import Card, load
from stmnet.training.checkpoint import AtomicCheckpointIO, StopAndSave
from stmnet.training.checks import check_num_classes, check_recipe
from stmnet.training.history import HistoryLog
from stmnet.training.losses import (
    ClassificationObjective,
    CorrelationLoss,
    TwinsObjective,
    class_weights_of,
)
from stmnet.training.module import ActionModule
from stmnet.training.recipe import DataRecipe, Recipe

WEIGHTS = "model.safetensors"
BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Train by a recipe and return the run's folder.

    It holds the weights of the best validation epoch (model.safetensors), the best and the last
    checkpoint, history.jsonl, TensorBoard's logs and the recipe with its defaults written out.
    `resume` goes on from the last checkpoint.

    Raises `StmnetError` for what the user can mend, before anything is trained, and `Stopped`
    where a signal ended the run.
    """
    output = Path(recipe.output)
    last = output / LAST_CHECKPOINT
    check_recipe(recipe)
    if resume and not last.is_file():
        raise RecipeError(f"{last}: no checkpoint to resume. Start without --resume.")
    if last.is_file() and not resume:
        raise RecipeError(
            f"{output}: holds a run already. Go on with --resume, or set another output."
        )
    if resume:
        check_same_recipe(recipe, output / RECIPE)
    seed_everything(recipe.seed, verbose=False)

    training_list = read_list(recipe.data, "train")
    validation_list = read_list(recipe.data, "validation")
    check_num_classes(recipe, len(training_list.label_names))
    card = make_card(recipe, training_list)
    network = build_model(
        card.model,
        num_classes=len(card.label_names),
        num_frames=card.preprocessing.num_frames,
        pretrained=recipe.model.pretrained,
        **card.options,
    )
    pin_memory = torch.cuda.is_available()
    training_loader = TrainingLoader(
        TrainingClips(
            training_list,
            card.preprocessing,
            Augmentation(**asdict(recipe.augmentation)),
            sampling=recipe.data.sampling,
            seed=recipe.seed,
            num_views=2 if recipe.twins.enabled else 1,
        ),
        batch_size=recipe.data.batch_size,
        num_workers=recipe.data.num_workers,
        class_balanced=recipe.data.class_balanced,
        pin_memory=pin_memory,
    )
    validation_loader = evaluation_loader(
        EvaluationClips(validation_list, card.preprocessing),
        batch_size=recipe.data.batch_size,
        num_workers=recipe.data.num_workers,
        pin_memory=pin_memory,
    )

    module = ActionModule(
        network,
        card,
        recipe.optimizer,
        objective=make_objective(recipe, training_list),
        learning_rate=recipe.optimizer.learning_rate_for(recipe.data.batch_size),
        training_loader=training_loader,
        max_unreadable=recipe.data.max_unreadable,
    )

    output.mkdir(parents=True, exist_ok=True)
    (output / RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
    with warnings.catch_warnings(), _cores_shared_with(recipe.data.num_workers):
        _quiet_lightning()
        trainer = make_trainer(recipe, output)
        trainer.fit(
            module,
            training_loader,
            validation_loader,
            ckpt_path=str(last) if resume else None,
            weights_only=True,
        )
    load(output / BEST_CHECKPOINT).save(output / WEIGHTS)
    return output


def read_list(data: DataRecipe, split: str) -> ClipList:
    """Read a split by the recipe, and print how many of its clips are left out, if any are."""
    clip_list = read_split(
        data.dataset, data.root, split, allow_missing=data.allow_missing, exclude=data.exclude
    )
    if left_out := clip_list.left_out():
        print(f"{split}: {left_out}")
    return clip_list


def check_same_recipe(recipe: Recipe, path: Path) -> None:
    """Raise `RecipeError` where the run at hand was started by a recipe that says otherwise."""
    started = path.read_text(encoding="utf-8").splitlines()
    for was, now in zip(started, recipe.to_yaml().splitlines(), strict=False):
        if was != now:
            raise RecipeError(
                f"{path}: the run was started with {was.strip()!r}, and the recipe now says "
                f"{now.strip()!r}. Resume with the recipe as it was, or set another output."
            )


def make_card(recipe: Recipe, clip_list: ClipList) -> Card:
    """The card of the network that `recipe` trains on `clip_list`."""
    return Card(
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


def make_trainer(recipe: Recipe, output: Path) -> Trainer:
    """Lightning's trainer with this run's checkpoints, logs and progress bar."""
    # In a log file a progress bar is noise; the line that HistoryLog prints an epoch is enough.
    on_terminal = sys.stdout.isatty()
    callbacks: list[Callback] = [
        *([RichProgressBar()] if on_terminal else []),
        LearningRateMonitor(),
        HistoryLog(output / HISTORY),
        ModelCheckpoint(
            output,
            filename=Path(BEST_CHECKPOINT).stem,
            monitor="validation_top1",
            mode="max",
            enable_version_counter=False,
        ),
        ModelCheckpoint(output, filename=Path(LAST_CHECKPOINT).stem, enable_version_counter=False),
        # Last, so that what it saves has seen all the others.
        StopAndSave(output / LAST_CHECKPOINT),
    ]
    return Trainer(
        max_epochs=recipe.optimizer.epochs,
        precision=recipe.precision,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=TensorBoardLogger(str(output), name="tensorboard", version=""),
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=on_terminal,
    )


@contextmanager
def _cores_shared_with(num_workers: int) -> Iterator[None]:
    """Without a GPU, leave a core to every loader: more threads than cores wait for each other."""
    num_threads = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, num_threads - num_workers))
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _quiet_lightning() -> None:
    # Its advice is on what the recipe decides: worker counts, log intervals, the run's folder.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*The number of training batches.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message=message)
