"""A lock on a folder, so that one run at a time writes there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"

_descriptors: set[int] = set()
"""Of the locks' files that this process has open; one that was forked from it has none."""


@contextmanager
def lock_folder(
    folder: Path, *, in_use: Exception, shared_with_workers: bool = False
) -> Iterator[None]:
    """Make the folder and keep other runs out of it, until the block or the process ends.

    Processes that are forked from this one do not hold the lock: a loader's worker may outlive a
    run that was killed, and must not keep the next one out. Workers that write to the folder
    are: with `shared_with_workers`, each holds the lock too, by `share_lock`.

    Raises `in_use` where another run, or a worker of one, has the lock, and `OSError` where the
    folder cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder / LOCK, fcntl.LOCK_EX, in_use) as descriptor:
        try:
            if shared_with_workers:
                _acquire(descriptor, fcntl.LOCK_SH, in_use)
            yield
        finally:
            # Only by who has the lock alone: a worker that is still at work goes by this file.
            if descriptor in _descriptors:
                with suppress(BlockingIOError):
                    _acquire(descriptor, fcntl.LOCK_EX, BlockingIOError())
                    (folder / LOCK).unlink(missing_ok=True)


@contextmanager
def share_lock(folder: Path, *, in_use: Exception) -> Iterator[None]:
    """Hold, in a worker, the lock that its run shares. Raises as `lock_folder` does."""
    with _opened(folder / LOCK, fcntl.LOCK_SH, in_use):
        yield


@contextmanager
def _opened(path: Path, kind: int, in_use: Exception) -> Iterator[int]:
    """The lock's file, open and locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        _descriptors.add(descriptor)
        try:
            _acquire(descriptor, kind, in_use)
            # Another run may have ended, and removed the file, between the two lines above.
            if _is_at(path, descriptor):
                yield descriptor
                return
        finally:
            if descriptor in _descriptors:
                _descriptors.remove(descriptor)
                os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _acquire(descriptor: int, kind: int, in_use: Exception) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as e:
        raise in_use from e
    except OSError:
        pass  # Some network file systems have no locks: there nothing keeps another run out.


def _close_inherited() -> None:
    """In a forked process: a lock of this kind is held by all who have its file open."""
    while _descriptors:
        os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_close_inherited)
