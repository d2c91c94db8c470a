"""A run's folder: whether a run may work there, and that one does at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stmnet.errors import RecipeError
from stmnet.locks import LOCK, lock_folder
from stmnet.runs.recipe import Recipe
from stmnet.runs.resuming import can_resume, holds_a_run, validate_resuming
from stmnet.runs.run_files import TENSORBOARD

RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID")
"""Variables of the environment: on all ranks of a run but zero, one of them is not 0."""


def validate_run_folder(recipe: Recipe, *, resume: bool) -> None:
    """Raise `RecipeError` where the recipe's output is not free for a run, or not one to resume.

    Whether its checkpoints can be read is not asked yet: that needs torch, and this does not.
    """
    output = Path(recipe.output)
    if (output / TENSORBOARD).is_file():
        raise RecipeError(
            f"{output / TENSORBOARD}: is a file, where TensorBoard's logs are written. Move it, or "
            "set another output."
        )
    if resume:
        validate_resuming(recipe)
    elif holds_a_run(output):
        remedy = "Go on with resume=True, or set" if can_resume(output) else "Set"
        raise RecipeError(f"{output}: holds a run already. {remedy} another output.")
    is_rank_zero = all(os.environ.get(name, "0") == "0" for name in RANKS)
    if is_rank_zero and (output / LOCK).is_file():
        with lock_run_folder(output):
            pass  # it was left by a run that was killed


@contextmanager
def lock_run_folder(output: Path) -> Iterator[None]:
    """Make the folder of a run and keep other runs out of it, until the block or the process ends.

    Raises `RecipeError` where another run is at work there, and where nothing can be written.
    """
    in_use = RecipeError(
        f"{output}: another run is at work there (it is locked). Wait until it has ended, or set "
        "another output."
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
