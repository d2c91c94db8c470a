"""Which clips come when, and to which process: orders that resumed and shared runs agree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import BatchSampler, Sampler

from stmnet.data.sampling import seeded_generator

EpochAndClip = tuple[int, int]
"""What a training sampler asks its data set for: the epoch, and the clip's number."""


class EpochSampler(Sampler[EpochAndClip]):
    """All clips in an order of the epoch's own; after a resume, from where the epoch was left.

    With `class_balanced`, as many clips are drawn with replacement, every class as often on
    average, whatever its number of clips.
    """

    def __init__(self, labels: Sequence[int], *, seed: int, class_balanced: bool = False) -> None:
        self.labels = torch.tensor(labels, dtype=torch.int64)
        self.seed = seed
        self.class_balanced = class_balanced
        self.epoch = 0
        self.num_clips_done = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the next epoch's order; the trainer calls it at each epoch's start."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[EpochAndClip]:
        # The epoch may be set again while this one is under way.
        epoch = self.epoch
        generator = seeded_generator(self.seed, epoch)
        if self.class_balanced:
            weights = 1 / torch.bincount(self.labels)[self.labels].double()
            order = torch.multinomial(weights, len(self), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(self), generator=generator)
        todo = order[self.num_clips_done :].tolist()
        self.num_clips_done = 0
        for index in todo:
            yield epoch, index


@dataclass(frozen=True)
class ProcessRank:
    """Which part of every batch a process takes: number `rank` of `world_size`."""

    rank: int = 0
    world_size: int = 1


SINGLE_PROCESS = ProcessRank()
"""What a process takes that trains by itself."""


class RankBatches(Sampler[list[Any]]):
    """One rank's part of every batch of `sampler`, in `num_micro_batches` lists a batch.

    Batches hold the same clips however many ranks share them. Every rank has as many lists as the
    others; those of a last, incomplete batch, where it is not dropped, may be empty.
    """

    def __init__(
        self,
        sampler: Sampler[Any],
        *,
        batch_size: int,
        process: ProcessRank,
        num_micro_batches: int = 1,
        drop_last: bool,
    ) -> None:
        num_parts = process.world_size * num_micro_batches
        if batch_size % num_parts:
            raise ValueError(f"a batch of {batch_size} clips has no {num_parts} equal parts")
        self.sampler = sampler  # by this name the trainer finds it, to set the epoch
        self.batches = BatchSampler(sampler, batch_size, drop_last)
        self.process = process
        self.num_micro_batches = num_micro_batches
        self.part_size = batch_size // num_parts

    def __len__(self) -> int:
        return len(self.batches) * self.num_micro_batches

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in self.batches:
            for number in range(self.num_micro_batches):
                part = number * self.process.world_size + self.process.rank
                yield batch[part * self.part_size : (part + 1) * self.part_size]
