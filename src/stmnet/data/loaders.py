"""From data sets to batches: collation, the loaders, and the processes behind them."""

from __future__ import annotations

import atexit
import signal
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler, default_collate, get_worker_info

from stmnet.data.clip_datasets import Batch, EvaluationClips, Sample, TrainingClips
from stmnet.data.samplers import SINGLE_PROCESS, EpochSampler, ProcessRank, RankBatches
from stmnet.data.shared_memory import SharedSlots
from stmnet.errors import DatasetError
from stmnet.memory import hand_back_freed_memory

Collated = TypeVar("Collated")
Stack = Callable[[list[Tensor]], Tensor]

BATCHES_PER_TRIM = 16
"""After so many batches a worker gives its free memory back to the system."""


class Lent(NamedTuple):
    """A batch on its way from a worker, and the slot in which its frames lie, if in one."""

    batch: Batch
    slot: int | None


def collate(samples: Sequence[Sample], stack: Stack = default_collate) -> Batch:
    """Stack the samples that could be read; carry along why the others could not.

    `stack` makes one tensor of the frames; torch's own, in a worker, copies straight to where the
    trainer reads.
    """
    # As decoded and cropped frames lie in memory, channels last: to turn them costs more than to
    # copy them.
    frames = [sample.frames.movedim(-3, -1) for sample in samples if sample.frames is not None]
    labels = [sample.label for sample in samples if sample.frames is not None]
    colors = [sample.colors for sample in samples if sample.colors is not None]
    stacked = stack(frames).movedim(-1, -3) if frames else torch.empty(0, dtype=torch.uint8)
    return Batch(
        frames=stacked,
        labels=torch.tensor(labels, dtype=torch.int64),
        colors=torch.stack(colors) if colors else None,
        unreadable={s.number: s.unreadable for s in samples if s.unreadable is not None},
        remarks=tuple(remark for sample in samples for remark in sample.remarks),
    )


def collate_into(slots: SharedSlots, samples: Sequence[Sample]) -> Lent:
    """As `collate`, with the frames in one of `slots` where one is free."""
    slot = None

    def stack(frames: list[Tensor]) -> Tensor:
        nonlocal slot
        stacked, slot = slots.stack(frames) or (default_collate(frames), None)
        return stacked

    return Lent(collate(samples, stack), slot)


class TrimmingCollate(Generic[Collated]):
    """Collates, and in a worker gives back its free memory now and then.

    Decoders ask for pieces of ever other sizes; a worker that keeps them grows without end.
    """

    def __init__(self, function: Callable[[list[Sample]], Collated]) -> None:
        self.function = function
        self._num_batches = 0

    def __call__(self, samples: list[Sample]) -> Collated:
        self._num_batches += 1
        if get_worker_info() is not None and self._num_batches % BATCHES_PER_TRIM == 0:
            hand_back_freed_memory()
        return self.function(samples)


class TrainingLoader(DataLoader[Sample]):
    """Batches of a training epoch, which can be left in its middle and taken up again.

    `batch_size` clips are one step of the optimizer, over all ranks and over the
    `num_micro_batches` whose gradients it adds up; this loader gives the micro-batches of one rank.
    `num_batches_trained` is set by the training loop after every micro-batch: the loader itself
    has always fetched more than was trained on.
    """

    def __init__(
        self,
        clips: TrainingClips,
        *,
        batch_size: int,
        num_workers: int,
        pin_memory: bool,
        class_balanced: bool = False,
        process: ProcessRank = SINGLE_PROCESS,
        num_micro_batches: int = 1,
    ) -> None:
        if len(clips) < batch_size:
            raise DatasetError(
                f"{len(clips)} training clips are fewer than one batch of {batch_size}. "
                "Lower data.batch_size."
            )
        self.epoch_sampler = EpochSampler(
            [clip.label for clip in clips.clips], seed=clips.seed, class_balanced=class_balanced
        )
        self.num_clips_a_step = batch_size
        self.num_micro_batches = num_micro_batches
        self.num_views = clips.num_views
        self.num_batches_trained = 0
        self._slots = SharedSlots(num_workers)
        with _without_advice_on_workers():
            super().__init__(
                clips,
                batch_sampler=RankBatches(
                    self.epoch_sampler,
                    batch_size=batch_size,
                    process=process,
                    num_micro_batches=num_micro_batches,
                    drop_last=True,
                ),
                collate_fn=TrimmingCollate(partial(collate_into, self._slots)),
                **_worker_options(num_workers, pin_memory),
            )
        _close_workers_at_exit(self)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self._slots.take_back_undelivered()
        # At once, as torch does: the first batches are on their way before they are asked for.
        return self._unpack(super().__iter__())

    def _unpack(self, lent_batches: Iterator[Lent]) -> Iterator[Batch]:
        for batch, slot in lent_batches:
            if slot is not None:
                self._slots.deliver(batch.frames, slot)
            yield batch
            del batch
            self._slots.take_back()

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch_sampler.epoch,
            "num_batches_trained": self.num_batches_trained,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # The trainer sets the epoch only after the first batches are on their way.
        epochs_done, num_batches = divmod(state["num_batches_trained"], len(self))
        self.epoch_sampler.set_epoch(state["epoch"] + epochs_done)
        num_steps = num_batches // self.num_micro_batches
        self.epoch_sampler.num_clips_done = num_steps * self.num_clips_a_step


def evaluation_loader(
    clips: EvaluationClips,
    *,
    batch_size: int,
    num_workers: int,
    pin_memory: bool,
    process: ProcessRank = SINGLE_PROCESS,
) -> DataLoader[Sample]:
    """Batches of all clips in the order of their list, or the parts of one process.

    `batch_size` is of all processes together.
    """
    with _without_advice_on_workers():
        loader = DataLoader(
            clips,
            batch_sampler=RankBatches(
                SequentialSampler(clips), batch_size=batch_size, process=process, drop_last=False
            ),
            collate_fn=TrimmingCollate(collate),
            **_worker_options(num_workers, pin_memory),
        )
    _close_workers_at_exit(loader)
    return loader


@contextmanager
def _without_advice_on_workers() -> Iterator[None]:
    """Keep back torch's paragraphs on the number of workers; training says it in a line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def _worker_options(num_workers: int, pin_memory: bool) -> dict[str, Any]:
    return {
        "num_workers": num_workers,
        "pin_memory": pin_memory,
        "persistent_workers": num_workers > 0,
        "worker_init_fn": _prepare_worker,
        # A generator of its own keeps the loader from drawing on the global one, which a resumed
        # run restores.
        "generator": torch.Generator(),
    }


def end_workers(loader: DataLoader[Sample]) -> None:
    """For a loader that an error has left in the middle of an epoch.

    Without this the workers are not told to end, and run as long as Python does.
    """
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()  # type: ignore[attr-defined]
        loader._iterator = None


def _close_workers_at_exit(loader: DataLoader[Sample]) -> None:
    """For a loader that is still there when Python ends, as a global or in a traceback is.

    Python itself would send its workers SIGTERM, which they ignore, and wait for them forever.
    """
    reference = weakref.ref(loader)

    def close() -> None:
        loader = reference()
        if loader is not None:
            end_workers(loader)

    atexit.register(close)


def _prepare_worker(_: int) -> None:
    # Ctrl-C and a scheduler's SIGTERM reach the whole group of processes, and the trainer alone
    # decides how to stop. A worker whose trainer is gone ends by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
