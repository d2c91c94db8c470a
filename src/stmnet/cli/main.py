"""`stmnet VERB`: joins the verbs, a module each; errors become one line and an exit code."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from stmnet import __version__
from stmnet.cli import bench, check, complexity, demo, generate, predict, prepare, test, train
from stmnet.cli.printing import (
    USER_ERROR,
    PrintingError,
    close_stdout,
    complain,
    print_any_name,
    show_notes,
    to_stdout,
)
from stmnet.errors import StmnetError, Stopped, in_one_line
from stmnet.memory import keep_freed_memory
from stmnet.models.builder_options import nearest

# As `--help` lists them. None of them imports torch before it runs.
VERBS = (predict, train, test, check, prepare, generate, complexity, bench, demo)
NOTES_ON_STDOUT = ("train", "demo")
"""The verbs whose notes are what they print; another's stdout may be for JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for what the user can mend, else 1."""
    parser = make_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        parser.print_help(sys.stderr)
        return USER_ERROR
    names = [verb.__name__.rpartition(".")[2] for verb in VERBS]
    if not words[0].startswith("-") and words[0] not in names:
        parser.error(f"no verb {words[0]!r}.{nearest(words[0], names)}")
    arguments, overrides = parser.parse_known_args(words)
    if overrides and arguments.verb != "train":
        verb: argparse.ArgumentParser = arguments.verb_parser
        near = nearest_option(overrides, verb)
        verb.error(f"unrecognized arguments: {' '.join(overrides)}{near}")
    arguments.overrides = overrides
    keep_freed_memory()
    print_any_name()
    try:
        code, message = run(arguments)
        with to_stdout():
            sys.stdout.flush()
    except BrokenPipeError:
        close_stdout()
        return 128 + signal.SIGPIPE
    except PrintingError as error:
        close_stdout()
        return complain(str(error), 1)
    return complain(message, code) if message else code


def run(arguments: argparse.Namespace) -> tuple[int, str | None]:
    """Run a verb: its exit code, and a message where it failed.

    Raises `PrintingError` and `BrokenPipeError` where stdout failed.
    """
    try:
        with show_notes("stdout" if arguments.verb in NOTES_ON_STDOUT else "stderr"):
            return arguments.run(arguments), None
    except (PrintingError, BrokenPipeError):
        raise
    except Stopped as stop:
        return 128 + stop.signal_number, str(stop)
    except KeyboardInterrupt:
        return 130, "stopped by Ctrl-C"
    except Exception as error:
        if arguments.debug:
            raise
        if isinstance(error, StmnetError):
            return USER_ERROR, str(error)
        return 1, f"{type(error).__name__}: {in_one_line(error)} (--debug shows where)"


def nearest_option(words: Sequence[str], verb: argparse.ArgumentParser) -> str:
    """The end of a message about words that a verb does not know."""
    word = next((word.partition("=")[0] for word in words if word.startswith("--")), "")
    known = [option for option in verb._option_string_actions if option.startswith("--")]
    near = get_close_matches(word, known, n=1)
    return f". Did you mean {near[0]}?" if near else ""


def make_parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    parser = argparse.ArgumentParser(
        prog="stmnet",
        description="Recognize actions in video with STM, a 2D network.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"stmnet {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser
