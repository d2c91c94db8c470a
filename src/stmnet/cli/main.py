"""`stmnet VERB`: joins the verbs, a module each; errors become one line and an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from stmnet import __version__
from stmnet.cli import bench, check, complexity, demo, generate, predict, prepare, test, train
from stmnet.cli.printing import USER_ERROR, complain, print_any_name, show_notes
from stmnet.errors import StmnetError, Stopped, in_one_line
from stmnet.memory import keep_freed_memory

# As `--help` lists them. None of them imports torch before it runs.
VERBS = (predict, train, test, check, prepare, generate, complexity, bench, demo)
NOTES_ON_STDOUT = ("train", "demo")
"""The verbs whose notes are what they print; another's stdout may be for JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for what the user can mend, else 1."""
    parser = make_parser()
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and arguments.verb != "train":
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    arguments.overrides = overrides
    keep_freed_memory()
    print_any_name()
    try:
        with show_notes("stdout" if arguments.verb in NOTES_ON_STDOUT else "stderr"):
            code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except StmnetError as error:
        if arguments.debug:
            raise
        return complain(str(error), USER_ERROR)
    except Stopped as stop:
        return complain(str(stop), 128 + stop.signal_number)
    except KeyboardInterrupt:
        return complain("stopped by Ctrl-C", 130)
    except Exception as error:
        if arguments.debug:
            raise
        reason = in_one_line(error)
        return complain(f"{type(error).__name__}: {reason} (--debug shows where)", 1)
    return code


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
