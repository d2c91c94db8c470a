"""What the verbs' arguments share: how a verb is added, types, choices."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from stmnet.errors import StmnetError, Stopped

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

DTYPES = ("float32", "fast")
DTYPE_HELP = "fast: bfloat16 or float16 where the machine has instructions for it (default float32)"


def add_verb(
    verbs: Verbs,
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str,
    *,
    examples: Sequence[str],
    notes: str = "",
) -> argparse.ArgumentParser:
    """Add a verb whose `--help` ends in `notes` and `examples`.

    An example is a command line as a shell takes it, with a comment behind " # " if need be;
    tests/cli/test_help.py runs them.
    """
    epilog = "Examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else ""
    verb = verbs.add_parser(
        name,
        help=description,
        description=description,
        epilog=f"{notes}\n\n{epilog}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--debug", action="store_true", help="show a traceback on errors")
    verb.set_defaults(run=run, verb_parser=verb)
    return verb


@contextmanager
def arguments_as_flags(flags: Mapping[str, str]) -> Iterator[None]:
    """In what the library raises, say the flag where it names its own argument: `flags` by those.

    An argument is one where it stands as in "Set root to" or "resume=True": keys are such phrases.
    """
    try:
        yield
    except (StmnetError, Stopped) as error:
        message = str(error)
        for argument, flag in flags.items():
            message = message.replace(argument, flag)
        error.args = (message,)
        raise


ROOT_AS_FLAG = {"et root to": "et --root to"}


def path(text: str) -> Path:
    """The type of an argument that is a path: an empty one would stand for the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty. Give a name, or . for this folder")
    return Path(text)


def positive_int(text: str) -> int:
    """The type of an argument that is a whole number of at least 1."""
    from stmnet.runs.number_types import LARGEST, PositiveInt  # a tenth of a second, seldom needed

    return _number(PositiveInt, text, f"a whole number of at least 1 and below {LARGEST}")


def non_negative_int(text: str) -> int:
    """The type of an argument that is a whole number of at least 0."""
    from stmnet.runs.number_types import LARGEST, NonNegativeInt

    return _number(NonNegativeInt, text, f"a whole number of at least 0 and below {LARGEST}")


def seed_int(text: str) -> int:
    """The type of an argument that is a seed."""
    from stmnet.runs.number_types import Seed

    return _number(Seed, text, f"a whole number of at least 0 and below {2**32}")


def _number(kind: Callable[[str], int], text: str, range_: str) -> int:
    # argparse's own message would name the type and not its range.
    try:
        return int(kind(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {range_}") from None
