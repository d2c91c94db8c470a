"""From a list of clips to samples: the data sets that decode.

Every training sample has a seed of its own, made of the run's seed, the epoch and the clip's
number: the same sample comes whatever the number of workers, and after a resumed run too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from stmnet.data.frame_cache import FrameCache
from stmnet.data.option_types import Sampling
from stmnet.data.preprocessing import Preprocessing, resize_short_side
from stmnet.data.reading import read_center, read_clip, remark_if_short
from stmnet.data.samplers import EpochAndClip
from stmnet.data.sampling import SAMPLINGS, seeded_generator
from stmnet.datasets.clip_list import ClipList
from stmnet.errors import VideoError

if TYPE_CHECKING:
    # It imports torchvision, which only training needs.
    from stmnet.data.augmentation import Augmentation


class Sample(NamedTuple):
    """`frames` (T, 3, H, W) uint8 and `label`, or why there are none: `unreadable`, one line.

    `number` is the clip's in its list, from 0.

    `colors` (3, 6) are for the device to apply (`stmnet.data.colors`); None leaves them as they
    are. Of several views the frames are (V, T, 3, H, W) and the colors (V, 3, 6).

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
    (N, V, T, 3, H, W) and the colors (N, V, 3, 6). In memory the three channels lie last.

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
    frames, which are decoded once. A `cache` keeps the frames of clip number n under n; they are
    then resized to the short side of `preprocessing` before they are augmented, kept or not.
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
        cache: FrameCache | None = None,
    ) -> None:
        self.clips = clip_list.clips
        self.cache = cache
        self.short_side = preprocessing.short_side
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
            frames = self._read(index, choose_indices, remarks)
        except VideoError as error:
            return Sample(None, clip.label, index, unreadable=str(error))
        # torchvision's transforms draw from the global generator: lend it the sample's state.
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            frames, label = self.view(frames, clip.label)
            return Sample(frames, label, index, self._draw_colors(), remarks=tuple(remarks))

    def _read(
        self, index: int, choose_indices: Callable[[int], list[int]], remarks: list[str]
    ) -> Tensor:
        """The chosen frames, (T, 3, H, W): with a cache, resized to the short side."""
        clip = self.clips[index]

        def read(choose: Callable[[int], Sequence[int]]) -> Tensor:
            return read_clip(clip, choose, by_time=self.by_time, remark=remarks.append)

        if self.cache is None:
            return read(choose_indices)
        kept = self.cache.get(index)
        if kept is None and not self.cache.is_full:
            kept = resize_short_side(read(range), self.short_side)
            if not remarks:  # a clip that is cut off is remarked on in every epoch
                self.cache.put(index, kept)
        if kept is None:
            return resize_short_side(read(choose_indices), self.short_side)
        return kept[choose_indices(len(kept))]

    def _draw_colors(self) -> Tensor | None:
        if self.colors is None:
            return None
        if self.num_views == 1:
            return self.colors.draw()
        return torch.stack([self.colors.draw() for _ in range(self.num_views)])


class EvaluationClips(Dataset[Sample]):
    """The center view of every clip. A `cache` keeps that of clip number n under `first` + n."""

    def __init__(
        self,
        clip_list: ClipList,
        preprocessing: Preprocessing,
        *,
        cache: FrameCache | None = None,
        first: int = 0,
    ) -> None:
        self.clips = clip_list.clips
        self.cache = cache
        self.first = first
        self.preprocessing = preprocessing
        self.view = preprocessing.center_view

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        clip = self.clips[index]
        if self.cache is not None and (kept := self.cache.get(self.first + index)) is not None:
            return Sample(kept, clip.label, index)
        remarks: list[str] = []
        try:
            frames = read_center(clip, self.preprocessing, remark=remarks.append)
        except VideoError as error:
            return Sample(None, clip.label, index, unreadable=str(error))
        view = self.view(frames)
        if self.cache is not None and not remarks:
            self.cache.put(self.first + index, view)
        return Sample(view, clip.label, index, remarks=tuple(remarks))
