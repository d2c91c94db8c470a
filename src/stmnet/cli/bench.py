"""`stmnet bench`: how fast networks are beside each other."""

from __future__ import annotations

import argparse

from stmnet.cli.arguments import Verbs, add_verb
from stmnet.cli.printing import print_json, print_table


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "bench",
        run,
        "Measure how fast networks are beside each other.",
        examples=(),
    )
    verb.add_argument("models", nargs="+", metavar="MODEL", help="names; ratios are to the first")
    verb.add_argument("--batch", type=int, default=1, metavar="N", help="clips (default 1)")
    verb.add_argument("--frames", type=int, default=8, metavar="T", help="of a clip (default 8)")
    verb.add_argument("--size", type=int, default=224, metavar="PIXELS", help="default 224")
    verb.add_argument("--num-classes", type=int, default=174, metavar="K", help="default 174")
    verb.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    verb.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    verb.add_argument("--compiled", action="store_true", help="with torch.compile (a minute each)")
    verb.add_argument("--optimized", action="store_true", help="by stmnet.optimize")
    verb.add_argument("--rounds", type=int, default=10, metavar="N", help="default 10")
    verb.add_argument("--threads", type=int, metavar="N", help="default: torch's own")
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet bench MODEL...`: a table, or one JSON object."""
    from stmnet.profiling.bench import Mode, Shape, bench_in_words

    table, plain = bench_in_words(
        arguments.models,
        Mode(arguments.device, arguments.dtype, arguments.compiled, arguments.optimized),
        Shape(arguments.batch, arguments.size, arguments.num_classes),
        frames=arguments.frames,
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    if arguments.json:
        print_json(plain)
    else:
        print_table(table)
    return 0
