"""Whether freed memory is kept or handed back: settings of glibc, without effect elsewhere."""

from __future__ import annotations

import ctypes
import platform

# Of glibc's malloc.h; `man mallopt` and `man malloc_trim` say what these do.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Have this process, and those forked from it, keep what they free for what they need next.

    Else the large pieces of feature maps go back to the system at every step, and it clears each
    page of them before it lends them again (docs/benchmarks/networks.md has what that costs). From
    this call on a process holds its peak until it ends. What other threads than the first one make
    lies apart: they keep nothing.
    """
    libc = glibc()
    if libc is not None:
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # the top of the heap is never handed back
        libc.mallopt(M_MMAP_MAX, 0)  # nothing lies apart from the heap


def hand_back_freed_memory() -> None:
    """Give the system, once, every free page.

    For a process that asks for pieces of ever other sizes, as decoders do: the holes that they
    leave would make it several times as large as what it uses.
    """
    libc = glibc()
    if libc is not None:
        libc.malloc_trim(0)


def glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
