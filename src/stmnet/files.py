"""Atomic writes, whether a file or a folder is there, and the files that come with stmnet."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_NAME_BYTES = 255
"""The longest name that file systems take."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a hidden path beside `path` to write; it becomes `path` if the block ends well.

    Whatever stood at `path` stays until then, also when the process is killed. Where `path` is a
    symbolic link, the file that it names is written. Raises `OSError` as `replaceable` does.
    """
    target = replaceable(path)
    unfinished = unfinished_beside(target)
    try:
        yield unfinished
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def atomic_write_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Write a text as UTF-8; `errors` is as of `str.encode`. Raises `OSError` as `replaceable`."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors=errors)


def replaceable(path: Path) -> Path:
    """The file that is replaced where `path` is written: `path`, or what it names as a link.

    Raises `OSError` where something else than a regular file is there: renaming would put a file in
    the place of a device or a pipe, which belongs to others.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        pass
    else:
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def unfinished_beside(path: Path) -> Path:
    """The hidden path at which `path` is written until it is whole."""
    name = f".{path.name}.partial"
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.partial"
    return path.with_name(name)


def is_folder(path: Path) -> bool:
    """As `path.is_dir()`, which raises where a name is longer than any may be."""
    with suppress(OSError):
        return path.is_dir()
    return False


def is_file(path: Path) -> bool:
    """As `path.is_file()`, which raises where a name is longer than any may be."""
    with suppress(OSError):
        return path.is_file()
    return False


def packaged_file(name: str) -> Path:
    """The path of a file or folder that comes with stmnet, as "recipes/motion_stm.yaml".

    In a wheel it lies beside the code, in a checkout at its top.
    """
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.exists() else package.parents[1] / name
