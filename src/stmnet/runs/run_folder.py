"""A run's folder, which belongs to one run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stmnet.errors import RecipeError
from stmnet.locks import lock_folder


@contextmanager
def lock_run_folder(output: Path) -> Iterator[None]:
    """Make the folder of a run and keep other runs out of it, until the block or the process ends.

    Raises `RecipeError` where another run is at work there, and where nothing can be written.
    """
    in_use = RecipeError(
        f"{output}: another run is at work there. Wait until it has ended, or set another output."
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(output, in_use=in_use))
        except OSError as e:
            raise cannot_write(output, e) from e
        yield


def cannot_write(output: Path, e: OSError) -> RecipeError:
    """What to say where the folder cannot be made or written to."""
    return RecipeError(
        f"output {output}: cannot be written ({e.strerror}). Make room there, or set another "
        "output."
    )
