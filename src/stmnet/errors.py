"""What goes wrong for a reason the user can mend. The command line prints these in one line."""

from __future__ import annotations

import signal
from pathlib import Path


class StmnetError(Exception):
    """A problem with the user's input: the message names the thing, the value and the remedy.

    It is one line whatever the thing is called: control characters in a name are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escaped(message))


class VideoError(StmnetError):
    """A video that cannot give the frames asked for."""


class TruncatedVideoError(VideoError):
    """A video that ends before the frames its header or packets promise."""

    def __init__(self, message: str, *, num_decoded: int) -> None:
        super().__init__(message)
        self.num_decoded = num_decoded


class DatasetError(StmnetError):
    """A data set whose lists or files are not as published."""


class CheckpointError(StmnetError):
    """A checkpoint that is not one, or does not fit."""


class RecipeError(StmnetError):
    """A recipe with an unknown key, a wrong value or an impossible combination."""


class ScoresError(StmnetError):
    """Kept scores of a test that are another test's, or that cannot be written."""


class UnknownModelError(StmnetError):
    """A model name or option that the zoo does not have."""


class Stopped(Exception):  # noqa: N818  it is not an error
    """A training run was stopped by a signal, and has saved how far it was."""

    def __init__(self, checkpoint: Path, signal_number: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name}; saved in {checkpoint}. Go on with resume=True.")
        self.signal_number = signal_number


def in_one_line(error: BaseException) -> str:
    """What another library's error says, without the stack of torch's C++ that follows it."""
    return " ".join(str(error).partition("Exception raised from")[0].split())


def escaped(text: str) -> str:
    """The text with all that no terminal shows as one character written as in a Python string."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
