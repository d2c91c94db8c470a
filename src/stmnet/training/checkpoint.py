"""Checkpoints that are whole or not there, and a run that can be stopped at any time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from stmnet.errors import CheckpointError, Stopped
from stmnet.files import atomic_write
from stmnet.models.weights import read_checkpoint_file
from stmnet.runs.run_files import LAST_CHECKPOINT, PREVIOUS_CHECKPOINT


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name, flushes to the disk, then renames.

    Lightning's own way writes into the system's temporary folder, from where a move to another
    disk is a copy that a killed run leaves half done. The last checkpoint but one is kept.
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
            with atomic_write(path) as unfinished:
                with unfinished.open("wb") as file:
                    torch.save(dict(checkpoint), file)
                    file.flush()
                    os.fsync(file.fileno())
                if path.name == LAST_CHECKPOINT and path.exists():
                    _keep_as(path.with_name(PREVIOUS_CHECKPOINT), path)
        except (OSError, RuntimeError) as e:
            # Of a full disk torch only says that its archive is not as long as it should be.
            reason = e.strerror if isinstance(e, OSError) else "no room left?"
            remedy = "make room and start again with another output."
            if any(path.parent.glob("*.ckpt")):
                remedy = "the checkpoint before it is whole. Make room and go on with --resume."
            raise CheckpointError(f"{path}: cannot be written ({reason}); {remedy}") from e


def _keep_as(kept: Path, path: Path) -> None:
    # A second name for the file, so that the first is there at every moment.
    second_name = kept.with_name(f".{kept.name}.partial")
    second_name.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system gives a file two names
        second_name.hardlink_to(path)
        second_name.replace(kept)
        return
    path.replace(kept)


class MovableCheckpoint(ModelCheckpoint):
    """Knows its best score again where the run's folder was moved.

    Lightning's own forgets it, and any epoch would then overwrite the best one's checkpoint. It is
    forgotten only where that checkpoint is gone or cannot be read.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        folder = Path(self.dirpath)

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else ""

        try:
            read_checkpoint_file(Path(here(state_dict["best_model_path"])))
        except CheckpointError:
            return
        kept = {here(path): score for path, score in state_dict["best_k_models"].items()}
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        super().load_state_dict(
            state_dict | moved | {"dirpath": self.dirpath, "best_k_models": kept}
        )


class SaveAndStop(Callback):
    """Writes `path` every so many minutes, and on Ctrl-C or SIGTERM before it raises `Stopped`.

    Both wait for the end of a step, and all processes do them together. A signal during validation
    ends it; the resumed run validates from the start. SIGUSR1, by which SLURM can announce a job's
    end, is taken as SIGTERM is. A second signal does what it does without this callback. Ctrl-C is
    listened to from the set-up on, while workers start too. At the end Lightning puts back what
    handled the others before it, and before this.
    """

    def __init__(self, path: Path, *, minutes: float) -> None:
        self.path = path
        self.minutes = minutes
        self.signal_number = 0
        self._saved_at = time.monotonic()
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._listen_to(signal.SIGINT)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_at = time.monotonic()
        # Lightning's own handlers are in place by now.
        self._listen_to(signal.SIGTERM, signal.SIGUSR1)

    def _listen_to(self, *numbers: int) -> None:
        for number in numbers:
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
        is_step = (index + 1) % trainer.accumulate_grad_batches == 0
        # A checkpoint of the last step would skip the validation, which comes at once.
        if is_step and not trainer.is_last_batch:
            self._save_or_stop(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
        dataloader_index: int = 0,
    ) -> None:
        self._save_or_stop(trainer, only_stop=True)

    def _save_or_stop(self, trainer: Trainer, *, only_stop: bool = False) -> None:
        is_due = time.monotonic() - self._saved_at > 60 * self.minutes
        signal_number, is_due = _agree(trainer, self.signal_number, is_due and not only_stop)
        if signal_number or is_due:
            trainer.save_checkpoint(self.path)
        if signal_number:
            raise Stopped(self.path, signal_number)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._saved_at = time.monotonic()
        if trainer.validating:
            _validate_again(checkpoint)


def _agree(trainer: Trainer, signal_number: int, is_due: bool) -> tuple[int, bool]:
    """What any of the processes was told."""
    if trainer.world_size > 1:
        told = torch.tensor([signal_number, is_due], device=trainer.strategy.root_device)
        signal_number, is_due = trainer.strategy.reduce(told, reduce_op="max").tolist()
    return signal_number, bool(is_due)


def _validate_again(checkpoint: dict[str, Any]) -> None:
    """Make a checkpoint of a half-done validation one of a validation that is yet to come.

    Lightning would go on after the batches that are done, but with the first ones of its loader.
    Its loop takes one as interrupted whose batch was started and not processed.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
    progress["total"]["processed"] = progress["total"]["completed"]
    progress["current"] = dict.fromkeys(progress["current"], 0)
    progress["is_last_batch"] = False
