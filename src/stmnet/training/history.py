"""Writes the log of a run while it is trained."""

from __future__ import annotations

import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from stmnet.evaluation.history import EpochRecord, append_history
from stmnet.training.module import ActionModule


class HistoryLog(Callback):
    """Appends an `EpochRecord` to `path` after every epoch, and prints it in a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ActionModule)
        training = pl_module.training_means.compute()
        pl_module.training_means.reset()
        validation = pl_module.validation_means.compute()
        now = time.monotonic()
        record = EpochRecord(
            epoch=trainer.current_epoch,
            train_loss=training["loss"],
            train_top1=training["top1"],
            validation_loss=validation["loss"],
            validation_top1=validation["top1"],
            seconds=now - self._started,
        )
        self._started = now
        append_history(self.path, record)
        pl_module.print(
            f"epoch {record.epoch + 1}/{trainer.max_epochs}  "
            f"loss {record.train_loss:.3f}  top-1 {record.train_top1:.1%}  "
            f"validation loss {record.validation_loss:.3f}  top-1 {record.validation_top1:.1%}  "
            f"{record.seconds:.0f} s"
        )
