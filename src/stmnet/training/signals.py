"""A run that can be stopped at any time: what SIGINT, SIGTERM and SIGUSR1 do while it trains."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from stmnet.errors import Stopped
from stmnet.training.checkpoint import validate_again
from stmnet.training.distributed import is_rank_zero, leave_process_group


class SaveAndStop(Callback):
    """Writes `path` every so many minutes, and on Ctrl-C or SIGTERM before it raises `Stopped`.

    Both wait for the end of a step, the same one on all ranks. A signal during validation ends it;
    the resumed run validates from the start. SIGUSR1, by which SLURM can announce a job's end, is
    taken as SIGTERM is. A second signal does what it does without this callback. Ctrl-C is
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
            validate_again(checkpoint)


def _agree(trainer: Trainer, signal_number: int, is_due: bool) -> tuple[int, bool]:
    """The signal that any rank got, and whether a checkpoint is due for any."""
    if trainer.world_size > 1:
        asked = torch.tensor([signal_number, is_due], device=trainer.strategy.root_device)
        signal_number, is_due = trainer.strategy.reduce(asked, reduce_op="max").tolist()
    return signal_number, bool(is_due)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Run Lightning's `fit` inside: a signal ends it by `Stopped` or as if nothing caught it.

    On all ranks but zero `Stopped` becomes an exit code. The handler of SIGINT is put
    back.
    """
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
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
        signal.signal(signal.SIGINT, on_interrupt)
