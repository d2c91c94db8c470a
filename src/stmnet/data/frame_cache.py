"""Frames that were decoded once, kept for later epochs and shared by the workers of all loaders."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ENTRY = np.dtype([("offset", "<i8"), ("frames", "<i8"), ("height", "<i8"), ("width", "<i8")])
"""Where frames lie; without frames there is nothing yet."""


class FrameCache:
    """Holds frames (T, 3, H, W) uint8 under the numbers 0 to `num_entries` - 1.

    They lie in one file of the system's temporary folder, `max_bytes` long at most, which has no
    name and goes with the last process that uses it, however that ends. What is read often stays
    in memory, as with every file, and the system takes that memory back when it needs it. What no
    longer fits is not kept: `get` has None then, and the caller decodes again.

    Raises `OSError` where no such file can be made.
    """

    def __init__(self, num_entries: int, max_bytes: int) -> None:
        self.num_entries = num_entries
        # Entry number `num_entries` is the end: where the next frames will lie.
        self._first_byte = (num_entries + 1) * ENTRY.itemsize
        self.max_bytes = max(max_bytes, self._first_byte)
        with tempfile.TemporaryFile(prefix="stmnet-frames-") as file:
            self._descriptor = os.dup(file.fileno())
        os.ftruncate(self._descriptor, self.max_bytes)
        os.posix_fallocate(self._descriptor, 0, self._first_byte)
        self._map()
        self._entries[num_entries]["offset"] = self._first_byte

    def _map(self) -> None:
        self._bytes = np.frombuffer(mmap.mmap(self._descriptor, self.max_bytes), dtype=np.uint8)
        entries = self._bytes[: self._first_byte].view(ENTRY)
        self._entries: npt.NDArray[Any] = entries

    def __getstate__(self) -> dict[str, Any]:
        # For processes that are started, not forked: they map the same file.
        names = ("num_entries", "max_bytes", "_first_byte")
        state: dict[str, Any] = {name: getattr(self, name) for name in names}
        return state | {"_descriptor": DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._descriptor = state["_descriptor"].detach()
        self._map()

    def __del__(self) -> None:
        descriptor = vars(self).get("_descriptor")
        if isinstance(descriptor, int):
            os.close(descriptor)

    @property
    def is_full(self) -> bool:
        """Whether something did not fit any more."""
        return bool(self._entries[self.num_entries]["frames"])

    def get(self, number: int) -> Tensor | None:
        """The frames, channels last in memory; a view that must not be written to."""
        offset, *shape = self._entries[number].tolist()
        if not shape[0]:
            return None
        size = 3 * int(np.prod(shape))
        frames = self._bytes[offset : offset + size].reshape(*shape, 3)
        return torch.from_numpy(frames).movedim(-1, -3)

    def put(self, number: int, frames: Tensor) -> None:
        """Keep frames (T, 3, H, W) uint8 where they fit and are not there yet."""
        num_frames, _, height, width = frames.shape
        with self._locked():
            end = self._entries[self.num_entries]
            offset, size = int(end["offset"]), frames.numel()
            if self._entries[number]["frames"] or self.is_full:
                return
            if not self._reserve(offset, size):
                end["frames"] = 1
                return
            end["offset"] = offset + size
        place = self._bytes[offset : offset + size].reshape(num_frames, height, width, 3)
        place[:] = frames.movedim(-3, -1).numpy()
        with self._locked():
            self._entries[number] = (offset, num_frames, height, width)

    def _reserve(self, offset: int, size: int) -> bool:
        # A page that is written to without room on the disk would end the process (SIGBUS).
        if not size or offset + size > self.max_bytes:
            return False
        try:
            os.posix_fallocate(self._descriptor, offset, size)
        except OSError:
            return False
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
