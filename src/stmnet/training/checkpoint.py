"""Checkpoints that are whole or not there, and a run that can be stopped at any time."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from stmnet.errors import CheckpointError, Stopped
from stmnet.files import whole_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name, flushes to the disk, then renames.

    Lightning's own way writes into the system's temporary folder, from where a move to another
    disk is a copy that a killed run leaves half done.
    """

    def save_checkpoint(
        self,
        checkpoint: Mapping[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as unfinished, unfinished.open("wb") as file:
                torch.save(dict(checkpoint), file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as e:
            raise CheckpointError(
                f"{path}: cannot be written ({e}). The checkpoint before it is untouched; "
                "make room and go on with --resume."
            ) from e


class StopAndSave(Callback):
    """On Ctrl-C or SIGTERM, end the current step, write `path`, and raise `Stopped`.

    A second signal does what it does without this callback.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.signal_number: int | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._stop_if_asked(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
        dataloader_index: int = 0,
    ) -> None:
        self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self.signal_number is not None:
            trainer.save_checkpoint(self.path)
            raise Stopped(self.path, self.signal_number)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore_handlers()
