"""The one Lightning module: a network, its loss, its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from stmnet.data.clips import Batch, TrainingLoader
from stmnet.errors import VideoError
from stmnet.recognizer import METADATA_KEY, Card
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
    """Trains `network` with cross-entropy; the card travels in every checkpoint."""

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        optimizer: OptimizerRecipe,
        *,
        learning_rate: float,
        training_loader: TrainingLoader,
        max_unreadable: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.optimizer_recipe = optimizer
        self.learning_rate = learning_rate
        self.training_loader = training_loader
        self.max_unreadable = max_unreadable
        self.unreadable: set[str] = set()
        num_classes = len(card.label_names)
        self.train_top1 = MulticlassAccuracy(num_classes, average="micro")
        self.validation_top1 = MulticlassAccuracy(num_classes, average="micro")
        self._rng_state: Tensor | None = None

    def forward(self, clips: Tensor, colors: Tensor | None = None) -> Tensor:
        """(N, T, 3, H, W) uint8, in training with the `colors` of the batch -> logits (N, K)."""
        return self.network(self.card.preprocessing.normalize(clips, colors))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor | None:
        self._count_unreadable(batch)
        if len(batch.frames) == 0:
            return None
        logits = self(batch.frames, batch.colors)
        loss = F.cross_entropy(logits, batch.labels)
        self.train_top1(logits, batch.labels)
        size = len(batch.labels)
        self.log("train_loss", loss, on_epoch=True, batch_size=size)
        self.log("train_top1", self.train_top1, on_step=False, on_epoch=True)
        self.log("loss", loss, logger=False, prog_bar=True, batch_size=size)
        return loss

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        # The batch in hand counts as done: checkpoints are written after its step, never before.
        self.training_loader.num_batches_trained = batch_index + 1

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self._count_unreadable(batch)
        if len(batch.frames) == 0:
            return
        logits = self(batch.frames)
        self.validation_top1(logits, batch.labels)
        loss = F.cross_entropy(logits, batch.labels)
        self.log("validation_loss", loss, batch_size=len(batch.labels))
        self.log("validation_top1", self.validation_top1, prog_bar=True)

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._rng_state = checkpoint["rng_state"]
        # Lightning would load the loader's place too, but after an epoch's end too late or never.
        self.training_loader.load_state_dict(checkpoint["training_loader"])

    def on_train_start(self) -> None:
        if self._rng_state is not None:
            torch.set_rng_state(self._rng_state)
