"""A run's folder, which belongs to one run at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stmnet.errors import RecipeError

LOCK = ".lock"


@contextmanager
def lock_run_folder(output: Path) -> Iterator[None]:
    """Make the folder of a run and keep other runs out of it, until the block or the process ends.

    Raises `RecipeError` where another run is at work there, and where nothing can be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / LOCK).open("a")
    except OSError as e:
        raise cannot_write(output, e) from e
    with lock:
        try:
            # Not flock: a loader's worker, which may outlive a killed run, would hold that too.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as e:
            raise RecipeError(
                f"{output}: another run is at work there. Wait until it has ended, or set another "
                "output."
            ) from e
        except OSError:
            pass  # Some network file systems have no locks. There the user alone sees to it.
        try:
            yield
        finally:
            (output / LOCK).unlink(missing_ok=True)


def cannot_write(output: Path, e: OSError) -> RecipeError:
    """What to say where the folder cannot be made or written to."""
    return RecipeError(
        f"output {output}: cannot be written ({e.strerror}). Make room there, or set another "
        "output."
    )
