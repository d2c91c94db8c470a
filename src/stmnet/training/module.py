"""The one Lightning module: a network, its loss, its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from stmnet.data.clips import Batch, TrainingLoader
from stmnet.errors import VideoError
from stmnet.recognizer import METADATA_KEY, Card
from stmnet.training.losses import ClassificationObjective
from stmnet.training.means import RunningMeans
from stmnet.training.recipe import OptimizerRecipe


def learning_rate_factor(epoch: float, optimizer: OptimizerRecipe) -> float:
    """By what the learning rate is multiplied at `epoch`, which counts on through its batches."""
    if epoch < optimizer.warmup_epochs:
        return epoch / optimizer.warmup_epochs
    if optimizer.schedule == "steps":
        return float(0.1 ** sum(epoch >= milestone for milestone in optimizer.milestones))
    progress = (epoch - optimizer.warmup_epochs) / (optimizer.epochs - optimizer.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class ActionModule(LightningModule):
    """Trains `network` by an objective; the card travels in every checkpoint.

    Of two views a clip (Twins Training) the network sees one batch of twice the size, and the
    objective compares its halves; of one view this is plain training.
    """

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        optimizer: OptimizerRecipe,
        *,
        objective: ClassificationObjective,
        learning_rate: float,
        training_loader: TrainingLoader,
        max_unreadable: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.optimizer_recipe = optimizer
        self.objective = objective
        self.validation_objective = ClassificationObjective()
        self.learning_rate = learning_rate
        self.training_loader = training_loader
        self.max_unreadable = max_unreadable
        self.unreadable: set[str] = set()
        self.training_means = RunningMeans()
        self.validation_means = RunningMeans()
        self._rng_state: Tensor | None = None

    def forward(self, clips: Tensor, colors: Tensor | None = None) -> Tensor:
        """(N, T, 3, H, W) uint8, in training with the `colors` of the batch -> logits (N, K)."""
        return self.network(self.card.preprocessing.normalize(clips, colors))

    def score_views(self, batch: Batch) -> Tensor:
        """Logits (V, N, K) of the V views of the batch's N clips, by one forward of all."""
        frames, colors = batch.frames, batch.colors
        if len(frames) == 0:
            return self._no_logits()
        if frames.ndim == 5:
            return self(frames, colors).unsqueeze(0)
        num_views = frames.shape[1]
        # (N, V, ...) -> (V * N, ...): the clips of a view stay together.
        frames = frames.transpose(0, 1).flatten(0, 1)
        colors = None if colors is None else colors.transpose(0, 1).flatten(0, 1)
        return self(frames, colors).unflatten(0, (num_views, -1))

    def _no_logits(self) -> Tensor:
        """Logits (V, 0, K) made of every parameter, for whose gradients other processes wait."""
        nothing = torch.stack([(parameter * 0).sum() for parameter in self.parameters()]).sum()
        num_views = self.training_loader.num_views if self.training else 1
        return nothing.expand(num_views, 0, len(self.card.label_names))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        self._count_unreadable(batch)
        losses = self.objective(self.score_views(batch), batch.labels)
        self.training_means.add(losses.num_clips, **losses.shown())
        self.log("loss", losses.cross_entropy, prog_bar=True, batch_size=1)
        return losses.loss

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        # The batch in hand counts as done: checkpoints are written after its step, never before.
        self.training_loader.num_batches_trained = batch_index + 1

    def on_validation_epoch_start(self) -> None:
        self.validation_means.reset()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self._count_unreadable(batch)
        losses = self.validation_objective(self.score_views(batch), batch.labels)
        self.validation_means.add(losses.num_clips, **losses.shown())

    def on_validation_epoch_end(self) -> None:
        for name, mean in self.validation_means.compute().items():
            self.log(f"validation_{name}", mean, prog_bar=name == "top1")

    def _count_unreadable(self, batch: Batch) -> None:
        for message in batch.unreadable:
            if message in self.unreadable:
                continue
            self.unreadable.add(message)
            if len(self.unreadable) > self.max_unreadable:
                raise VideoError(
                    f"{message} This is unreadable clip number {len(self.unreadable)}, and "
                    f"data.max_unreadable is {self.max_unreadable}."
                )
            self.print(f"warning: left out {message}")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        recipe = self.optimizer_recipe
        optimizer = SGD(
            self.network.parameters(),
            lr=self.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        scheduler = LambdaLR(
            optimizer, lambda step: learning_rate_factor(step / len(self.training_loader), recipe)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[METADATA_KEY] = self.card.to_dict()
        # Dropout draws from the global generator: a resumed run goes on where it was.
        checkpoint["rng_state"] = torch.get_rng_state()
        checkpoint["training_loader"] = self.training_loader.state_dict()
        checkpoint["training_means"] = self.training_means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._rng_state = checkpoint["rng_state"]
        # Lightning would load the loader's place too, but after an epoch's end too late or never.
        self.training_loader.load_state_dict(checkpoint["training_loader"])
        self.training_means.load_state_dict(checkpoint["training_means"])

    def on_train_start(self) -> None:
        if self._rng_state is not None:
            torch.set_rng_state(self._rng_state)
