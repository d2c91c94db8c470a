"""`stmnet check`: counts, missing and damaged videos of a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stmnet.cli.arguments import Verbs, add_verb, positive_int
from stmnet.cli.printing import print_json, print_table


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "check",
        run,
        "Check a data set: counts, missing and damaged videos.",
        examples=(),
    )
    verb.add_argument("dataset", help="motion, something_v2, kinetics400, folder, ...")
    verb.add_argument("--root", type=Path, required=True, help="the data set's folder")
    verb.add_argument("--split", nargs="+", help="default: all that are published")
    verb.add_argument("--decode", action="store_true", help="decode every frame (slow)")
    verb.add_argument(
        "--num-frames",
        type=positive_int,
        default=8,
        metavar="T",
        help="fewer are too short (default 8)",
    )
    verb.add_argument("--processes", type=positive_int, help="default: one for each CPU")
    verb.add_argument("--exclusions", type=Path, metavar="FILE", help="write what to leave out")
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet check DATASET --root DIR`: a table, or one JSON object; 1 if anything is wrong."""
    from stmnet.cli.check_table import as_table, check_with_progress
    from stmnet.datasets.exclusions import require_exclusions_or_none

    if arguments.exclusions is not None:  # before hours of reading
        require_exclusions_or_none(arguments.exclusions)
    report = check_with_progress(
        arguments.dataset,
        arguments.root,
        splits=arguments.split,
        decode=arguments.decode,
        num_frames=arguments.num_frames,
        processes=arguments.processes,
    )
    if arguments.exclusions is not None:
        num_clips = report.write_exclusions(arguments.exclusions)
        print(f"{num_clips} clips to leave out are in {arguments.exclusions}", file=sys.stderr)
    if arguments.json:
        print_json(report.to_json())
    else:
        print_table(as_table(report))
    return 0 if report.is_well else 1
