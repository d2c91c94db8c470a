"""`stmnet complexity`: parameters, MACs and memory of networks."""

from __future__ import annotations

import argparse

from stmnet.cli.arguments import Verbs, add_verb, positive_int
from stmnet.cli.printing import print_json, print_table


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "complexity",
        run,
        "Count parameters, MACs and memory of a network.",
        examples=(),
    )
    verb.add_argument("model", nargs="?", metavar="MODEL", help="a name, as stm_resnet50")
    verb.add_argument("--table", type=int, choices=(4, 10), help="the paper's, beside our counts")
    verb.add_argument("--num-classes", type=int, metavar="K", help="default 174")
    verb.add_argument("--frames", type=int, metavar="T", help="of a clip (default 8)")
    verb.add_argument("--size", type=int, metavar="PIXELS", help="of a frame (default 224)")
    verb.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="of the network, as modules=cstm"
    )
    verb.add_argument(
        "--modules",
        type=positive_int,
        nargs="?",
        const=2,
        metavar="DEPTH",
        help="its parts (default: 2)",
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet complexity MODEL`, or `--table N`: a table, or one JSON object."""
    from stmnet.cli.complexity_table import count_in_words, paper_in_words

    if arguments.table is None:
        told = count_in_words(
            arguments.model,
            num_classes=arguments.num_classes,
            num_frames=arguments.frames,
            size=arguments.size,
            options=arguments.option,
            depth=arguments.modules,
        )
    else:
        names = ("model", "num_classes", "frames", "size", "option", "modules")
        given = [name for name in names if getattr(arguments, name) is not None]
        told = paper_in_words(arguments.table, given=given)
    if arguments.json:
        print_json(told.json)
    else:
        print_table(told.table)
    return 0
