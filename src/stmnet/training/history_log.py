"""Writes the log of a run while it is trained, and reports how far it is."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from stmnet.runs.history import EpochRecord, append_history
from stmnet.training.module import ActionModule
from stmnet.training.progress import OnProgress, Split, TrainingProgress

MICRO_BATCHES_PER_POINT = 10
"""After so many micro-batches TensorBoard gets a point, and progress is measured again.

Or after an epoch's last, where it has fewer.
"""


class Stopwatch:
    """Seconds, of all the times that it ran."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._started: float | None = None

    def start(self) -> None:
        self._started = time.monotonic()

    def stop(self) -> None:
        self._seconds = self.seconds
        self._started = None

    @property
    def seconds(self) -> float:
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._seconds + running


class HistoryLog(Callback):
    """Appends an `EpochRecord` to `path` after every epoch.

    TensorBoard gets the same, and points in between. A resumed epoch has the time of both runs.
    `on_progress` is called on rank zero after every step, every batch of the validation
    and every epoch.
    """

    def __init__(self, path: Path, on_progress: OnProgress | None = None) -> None:
        self.path = path
        self._on_progress = on_progress
        self._means: dict[str, float] = {}
        self._clips_per_second: float | None = None
        self._seconds_left: float | None = None
        self._learning_rate = 0.0
        self._training = Stopwatch()
        self._validation = Stopwatch()
        self._validation_seconds = 0.0  # of the epoch before
        self._point = (0.0, 0.0)  # clips and seconds of training, at the last one

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._point = (_trained(pl_module).training_means.num_clips, self._training.seconds)
        self._training.start()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        num_done, num_batches = batch_idx + 1, int(trainer.num_training_batches)
        if num_done % min(MICRO_BATCHES_PER_POINT, num_batches) == 0 and trainer.is_global_zero:
            self._add_point(trainer, _trained(pl_module), num_done=num_done)
        if num_done % (accumulate := trainer.accumulate_grad_batches) == 0:
            self._report(trainer, "train", num_done // accumulate, num_batches // accumulate)

    def _add_point(self, trainer: Trainer, module: ActionModule, *, num_done: int) -> None:
        point = (module.training_means.num_clips, self._training.seconds)
        num_clips, seconds = (now - before for now, before in zip(point, self._point, strict=True))
        self._point = point
        self._means = module.training_means.compute()
        self._clips_per_second = num_clips / seconds
        epochs_left = _num_epochs(trainer) - trainer.current_epoch
        clips_left = point[0] * (epochs_left * trainer.num_training_batches / num_done - 1)
        seconds_left = clips_left * seconds / max(1.0, num_clips)
        self._seconds_left = seconds_left + epochs_left * self._validation_seconds
        if trainer.logger is not None:
            shown = {name: float(value) for name, value in module.last_shown.items()}
            rates = {
                "learning_rate": self._learning_rate,
                "clips_per_second": self._clips_per_second,
            }
            points = {f"step/{name}": value for name, value in (shown | rates).items()}
            trainer.logger.log_metrics(points, step=trainer.global_step)

    def _report(
        self,
        trainer: Trainer,
        split: Split,
        step: int,
        num_steps: int,
        record: EpochRecord | None = None,
    ) -> None:
        if self._on_progress is None or not trainer.is_global_zero:
            return
        self._on_progress(
            TrainingProgress(
                epoch=trainer.current_epoch + 1,
                num_epochs=_num_epochs(trainer),
                step=step,
                num_steps=num_steps,
                split=split,
                loss=self._means.get("loss"),
                top1=self._means.get("top1"),
                clips_per_second=self._clips_per_second,
                seconds_left=self._seconds_left,
                record=record,
            )
        )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training.stop()
        self._validation.start()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._report(trainer, "validation", batch_idx + 1, int(trainer.num_val_batches[0]))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation.stop()
        self._training.start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = _trained(pl_module)
        trained = module.training_means.compute()
        validated = module.validation_means.compute()
        record = EpochRecord(
            epoch=trainer.current_epoch,
            train_loss=trained["loss"],
            train_top1=trained["top1"],
            validation_loss=validated["loss"],
            validation_top1=validated["top1"],
            seconds=self._training.seconds + self._validation.seconds,
            learning_rate=self._learning_rate,
            clips_per_second=module.training_means.num_clips / self._training.seconds,
            train_correlation=trained.get("correlation"),
        )
        self._validation_seconds = self._validation.seconds
        self._training, self._validation = Stopwatch(), Stopwatch()
        self._training.start()
        self._point = (0.0, 0.0)
        module.training_means.reset()
        if trainer.is_global_zero:
            append_history(self.path, record)
        if trainer.logger is not None:
            values = asdict(record)
            del values["epoch"]
            points = {f"epoch/{name}": value for name, value in values.items() if value is not None}
            trainer.logger.log_metrics(points, step=trainer.global_step)
        self._means = trained
        num_steps = int(trainer.num_training_batches) // trainer.accumulate_grad_batches
        self._report(trainer, "train", num_steps, num_steps, record)
        self._means = {}

    def state_dict(self) -> dict[str, Any]:
        return {
            "training_seconds": self._training.seconds,
            "validation_seconds": self._validation.seconds,
            "learning_rate": self._learning_rate,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._training = Stopwatch(state_dict["training_seconds"])
        self._validation = Stopwatch(state_dict["validation_seconds"])
        self._learning_rate = state_dict["learning_rate"]


def _trained(module: LightningModule) -> ActionModule:
    assert isinstance(module, ActionModule)
    return module


def _num_epochs(trainer: Trainer) -> int:
    assert trainer.max_epochs is not None
    return trainer.max_epochs
