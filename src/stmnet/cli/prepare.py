"""`stmnet prepare`: a data set made small and quick to read."""

from __future__ import annotations

import argparse
from pathlib import Path

from stmnet.cli.arguments import Verbs, add_verb, non_negative_int, positive_int
from stmnet.cli.printing import complain
from stmnet.errors import DatasetError


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "prepare",
        run,
        "Make a data set small and quick to read.",
        examples=(),
    )
    verb.add_argument("dataset", help="a name, as something_v2; motion: generate the motion set")
    verb.add_argument("--root", type=Path, help="the data set's folder, which stays as it is")
    verb.add_argument("--out", type=Path, required=True, help="the folder to write")
    verb.add_argument("--short-side", type=int, metavar="PIXELS", help="default 256")
    verb.add_argument("--key-frame-interval", type=int, metavar="N", help="default: 6, in WebM 16")
    verb.add_argument("--processes", type=int, metavar="N", help="default: one for each CPU")
    verb.add_argument("--dry-run", action="store_true", help="only say what it will take")
    verb.add_argument("--seed", type=non_negative_int, default=0, help="of the motion set")
    verb.add_argument("--train", type=positive_int, default=180, help="clips a class (default 180)")
    verb.add_argument("--validation", type=positive_int, default=10, help="as --train (default 10)")
    verb.add_argument("--test", type=positive_int, default=50, help="as --train (default 50)")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet prepare DATASET --root IN --out OUT`, and without a root the motion set."""
    if arguments.root is None:
        return prepare_motion(arguments)

    from stmnet.cli.prepare_words import estimate_in_words, prepare_in_words
    from stmnet.video.transcode import Shape

    short_side = Shape.short_side if arguments.short_side is None else arguments.short_side
    told = (estimate_in_words if arguments.dry_run else prepare_in_words)(
        arguments.dataset,
        arguments.root,
        arguments.out,
        shape=Shape(short_side, arguments.key_frame_interval),
        processes=arguments.processes,
    )
    for line in told.lines:
        print(line)
    return complain(told.complaint, told.exit_code) if told.complaint else told.exit_code


def prepare_motion(arguments: argparse.Namespace) -> int:
    """`stmnet prepare motion --out DIR`: the words of version 0.1 for `stmnet generate`."""
    if arguments.dataset != "motion":
        raise DatasetError(
            f"{arguments.dataset}: only the motion set is made from nothing. "
            "Give the folder of this one with --root."
        )
    given = {
        "--dry-run": arguments.dry_run or None,
        "--short-side": arguments.short_side,
        "--key-frame-interval": arguments.key_frame_interval,
        "--processes": arguments.processes,
    }
    if meant := [option for option, value in given.items() if value is not None]:
        raise DatasetError(
            f"{', '.join(meant)}: of no meaning where the motion set is generated. "
            "Leave it out, or give the folder of one with --root."
        )

    from stmnet.cli import generate

    complain(
        "warning: the next version generates the motion set by `stmnet generate motion` only", 0
    )
    return generate.run(arguments)
