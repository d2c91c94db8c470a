"""Memory in which a loader's workers hand frames to the trainer, used again batch after batch.

torch makes such memory new for every batch, and the system clears each of its pages, which takes
several times as long as to copy the frames (docs/benchmarks/loader.md has what it costs).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.multiprocessing import get_sharing_strategy
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.data import get_worker_info

NUM_SLOTS = 4
"""Of a worker: two batches that it has made ahead, and two that the trainer holds."""


class SharedSlots:
    """The slots of all workers of one loader: a slot is lent from when a worker fills it until
    nothing in the trainer refers to what lies in it.

    Made in the trainer before its workers start. A slot is a number, and those of one worker follow
    each other. A batch for which none is free goes the usual way.
    """

    def __init__(self, num_workers: int) -> None:
        self._lent = torch.zeros(num_workers * NUM_SLOTS, dtype=torch.uint8).share_memory_()
        self._memory: dict[int, Tensor] = {}  # a worker's own
        self._delivered: dict[int, StorageWeakRef] = {}  # the trainer's own

    def stack(self, tensors: Sequence[Tensor]) -> tuple[Tensor, int] | None:
        """In a worker: the uint8 tensors, all of one shape, in a free slot; None without one."""
        worker = get_worker_info()
        # Where memory goes by names, torch counts who uses it by itself.
        if worker is None or get_sharing_strategy() != "file_descriptor":
            return None
        slots = range(worker.id * NUM_SLOTS, (worker.id + 1) * NUM_SLOTS)
        slot = next((slot for slot in slots if not self._lent[slot]), None)
        if slot is None:
            return None
        num_bytes = sum(tensor.numel() for tensor in tensors)
        memory = self._memory.get(slot)
        if memory is None or memory.numel() < num_bytes:
            memory = torch.empty(num_bytes, dtype=torch.uint8).share_memory_()
            self._memory[slot] = memory
        self._lent[slot] = 1
        stacked = memory[:num_bytes].view(len(tensors), *tensors[0].shape)
        return torch.stack(list(tensors), out=stacked), slot

    def deliver(self, tensor: Tensor, slot: int) -> None:
        """In the trainer: `tensor` has come, which lies in `slot`."""
        self._delivered[slot] = StorageWeakRef(tensor.untyped_storage())

    def take_back(self) -> None:
        """In the trainer: lend again what nothing refers to any more."""
        for slot, storage in list(self._delivered.items()):
            if storage.expired():
                del self._delivered[slot]
                self._lent[slot] = 0

    def take_back_undelivered(self) -> None:
        """In the trainer, before an epoch: also what one that was broken off left behind."""
        self._lent.zero_()
        for slot in self._delivered:
            self._lent[slot] = 1
        self.take_back()
