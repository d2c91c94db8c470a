"""From a list of clips to batches: the data sets that decode, and the loaders around them.

Every training sample has a seed of its own, made of the run's seed, the epoch and the clip's
number: the same sample comes whatever the number of workers, and after a resumed run too.
"""

from __future__ import annotations

import atexit
import signal
import warnings
import weakref
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    SequentialSampler,
    default_collate,
    get_worker_info,
)

from stmnet.data.choices import Sampling
from stmnet.data.reading import read_center, read_clip, remark_if_short
from stmnet.data.records import ClipList
from stmnet.data.samplers import ALL, EpochAndClip, EpochSampler, Share, SharedBatches
from stmnet.data.sampling import SAMPLINGS, seeded_generator
from stmnet.data.slots import SharedSlots
from stmnet.data.transforms import Augmentation, Preprocessing
from stmnet.errors import DatasetError, VideoError
from stmnet.memory import hand_back_freed_memory

# torch says it in paragraphs, for each loader twice; training says it in a line.
warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
BATCHES_A_TRIM = 16
_batches_collated = count(1)


class Sample(NamedTuple):
    """`frames` (T, 3, H, W) uint8 and `label`, or why there are none: `unreadable`, one line.

    `number` is the clip's in its list, from 0.

    `colors` (3, 6) are for the device to apply (`stmnet.data.colors`); None leaves them as they
    are. Of several views the frames are (V, T, 3, H, W) and the colours (V, 3, 6).

    `remarks` are lines on what is wrong with a clip that could be read all the same.

    A worker process hands problems over as text: exceptions lose their type on the way.
    """

    frames: Tensor | None
    label: int
    number: int
    colors: Tensor | None = None
    unreadable: str | None = None
    remarks: tuple[str, ...] = ()


class Batch(NamedTuple):
    """`frames` (N, T, 3, H, W) uint8, `labels` (N,) int64, and the clips that are missing.

    `colors` are (N, 3, 6), or None, as in `Sample`. Of several views a clip the frames are
    (N, V, T, 3, H, W) and the colours (N, V, 3, 6). In memory the three channels lie last.

    N may be less than the batch size, even 0, where clips could not be read: `unreadable` has their
    numbers in the list, and why. `remarks` are those of all samples.
    """

    frames: Tensor
    labels: Tensor
    colors: Tensor | None
    unreadable: dict[int, str]
    remarks: tuple[str, ...] = ()


class TrainingClips(Dataset[Sample]):
    """Randomly sampled and augmented clips; takes (epoch, clip number) as its index.

    With more than one of `num_views` (Twins Training takes two), all are distortions of the same
    frames, which are decoded once.
    """

    def __init__(
        self,
        clip_list: ClipList,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        *,
        sampling: Sampling,
        seed: int,
        num_views: int = 1,
    ) -> None:
        self.clips = clip_list.clips
        self.num_frames = preprocessing.num_frames
        self.sample_indices = SAMPLINGS[sampling]
        self.by_time = preprocessing.by_time
        self.seed = seed
        self.num_views = num_views
        self.colors = augmentation.colors()
        self.view = augmentation.view(
            preprocessing.crop_size,
            mirrored_labels=clip_list.mirrored_labels(),
            num_views=num_views,
        )

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: EpochAndClip) -> Sample:
        epoch, index = key
        clip = self.clips[index]
        generator = seeded_generator(self.seed, epoch, index)
        remarks: list[str] = []

        def choose_indices(num_frames: int) -> list[int]:
            remark_if_short(clip, num_frames, self.num_frames, remarks.append)
            return self.sample_indices(num_frames, self.num_frames, generator)

        try:
            frames = read_clip(clip, choose_indices, by_time=self.by_time, remark=remarks.append)
        except VideoError as error:
            return Sample(None, clip.label, index, unreadable=str(error))
        # torchvision's transforms draw from the global generator: lend it the sample's state.
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            frames, label = self.view(frames, clip.label)
            return Sample(frames, label, index, self._draw_colors(), remarks=tuple(remarks))

    def _draw_colors(self) -> Tensor | None:
        if self.colors is None:
            return None
        if self.num_views == 1:
            return self.colors.draw()
        return torch.stack([self.colors.draw() for _ in range(self.num_views)])


class EvaluationClips(Dataset[Sample]):
    """The centre view of every clip."""

    def __init__(self, clip_list: ClipList, preprocessing: Preprocessing) -> None:
        self.clips = clip_list.clips
        self.preprocessing = preprocessing
        self.view = preprocessing.center_view()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        clip = self.clips[index]
        remarks: list[str] = []
        try:
            frames = read_center(clip, self.preprocessing, remark=remarks.append)
        except VideoError as error:
            return Sample(None, clip.label, index, unreadable=str(error))
        return Sample(self.view(frames), clip.label, index, remarks=tuple(remarks))


class Lent(NamedTuple):
    """A batch on its way from a worker, and the slot in which its frames lie, if in one."""

    batch: Batch
    slot: int | None


def collate(samples: list[Sample]) -> Batch:
    """Stack the samples that could be read; carry along why the others could not."""
    return collate_into(None, samples).batch


def collate_into(slots: SharedSlots | None, samples: list[Sample]) -> Lent:
    """As `collate`, with the frames in one of `slots` where one is free."""
    if get_worker_info() is not None and next(_batches_collated) % BATCHES_A_TRIM == 0:
        hand_back_freed_memory()
    # As decoded and cropped frames lie in memory, channels last: to turn them costs more than to
    # copy them.
    frames = [sample.frames.movedim(-3, -1) for sample in samples if sample.frames is not None]
    labels = [sample.label for sample in samples if sample.frames is not None]
    colors = [sample.colors for sample in samples if sample.colors is not None]
    stacked, slot = torch.empty(0, dtype=torch.uint8), None
    if frames:
        in_slot = slots.stack(frames) if slots is not None else None
        # In a worker, torch's own function copies straight to where the trainer reads.
        stacked, slot = in_slot or (default_collate(frames), None)
        stacked = stacked.movedim(-1, -3)
    batch = Batch(
        frames=stacked,
        labels=torch.tensor(labels, dtype=torch.int64),
        colors=torch.stack(colors) if colors else None,
        unreadable={s.number: s.unreadable for s in samples if s.unreadable is not None},
        remarks=tuple(remark for sample in samples for remark in sample.remarks),
    )
    return Lent(batch, slot)


class TrainingLoader(DataLoader[Sample]):
    """Batches of a training epoch, which can be left in its middle and taken up again.

    `batch_size` clips are one step of the optimiser, over all processes and over the `num_passes`
    whose gradients it adds up; this loader gives the parts of one process.
    `num_batches_trained` is set by the training loop after every pass: the loader itself has
    always fetched more than was trained on.
    """

    def __init__(
        self,
        clips: TrainingClips,
        *,
        batch_size: int,
        num_workers: int,
        pin_memory: bool,
        class_balanced: bool = False,
        share: Share = ALL,
        num_passes: int = 1,
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
        self.num_passes = num_passes
        self.num_views = clips.num_views
        self.num_batches_trained = 0
        self._slots = SharedSlots(num_workers)
        super().__init__(
            clips,
            batch_sampler=SharedBatches(
                self.epoch_sampler,
                batch_size=batch_size,
                share=share,
                num_passes=num_passes,
                drop_last=True,
            ),
            collate_fn=partial(collate_into, self._slots),
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
        num_steps = num_batches // self.num_passes
        self.epoch_sampler.num_clips_done = num_steps * self.num_clips_a_step


def evaluation_loader(
    clips: EvaluationClips,
    *,
    batch_size: int,
    num_workers: int,
    pin_memory: bool,
    share: Share = ALL,
) -> DataLoader[Sample]:
    """Batches of all clips in the order of their list, or the parts of one process.

    `batch_size` is of all processes together.
    """
    loader = DataLoader(
        clips,
        batch_sampler=SharedBatches(
            SequentialSampler(clips), batch_size=batch_size, share=share, drop_last=False
        ),
        collate_fn=collate,
        **_worker_options(num_workers, pin_memory),
    )
    _close_workers_at_exit(loader)
    return loader


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

    Left to Python's collector they are not told to end, and wait as long as Python runs.
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
