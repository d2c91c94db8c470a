"""`stmnet test`: checkpoints on a data set."""

from __future__ import annotations

import argparse
from dataclasses import fields

from stmnet.cli.arguments import (
    DTYPE_HELP,
    DTYPES,
    ROOT_AS_FLAG,
    Verbs,
    add_verb,
    arguments_as_flags,
    non_negative_int,
    path,
    positive_int,
    seed_int,
)
from stmnet.cli.printing import print_json, print_table

FLAGS = ROOT_AS_FLAG | {"Give dataset and root": "Give --dataset and --root"}


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "test",
        run,
        "Test checkpoints on a data set and write a report page.",
        examples=(
            "stmnet test runs/mine",
            "stmnet test runs/mine --views 30   # ten random clips x three crops",
            "stmnet test runs/split1 runs/split2 runs/split3 --json   # and their mean",
            "stmnet test runs/mine --dataset folder --root clips --split validation",
        ),
    )
    verb.add_argument(
        "checkpoints",
        nargs="+",
        type=path,
        metavar="CHECKPOINT",
        help="a run's folder, or a checkpoint in it; of several (as of three splits) the mean, too",
    )
    verb.add_argument(
        "--views",
        metavar="V",
        help="center, 30 (the paper's ten random clips x three crops) or CLIPSxCROPS, as 10x1 "
        "(default center)",
    )
    verb.add_argument("--seed", type=seed_int, metavar="N", help="seed of random clips (default 0)")
    verb.add_argument(
        "--dataset", metavar="NAME", help="data set (default: that of the run's recipe)"
    )
    verb.add_argument("--root", metavar="DIR", help="its folder (default: the recipe's)")
    verb.add_argument("--split", help="split to test on (default: test)")
    verb.add_argument(
        "--report",
        type=path,
        metavar="FILE",
        help="page to write (default: report.html in the run's folder, report-NAME.html for a "
        "checkpoint NAME in it)",
    )
    verb.add_argument(
        "--scores",
        type=path,
        metavar="FILE",
        help="file of the views' scores (default: in the run's folder)",
    )
    verb.add_argument(
        "--shard", metavar="K/N", help="score only part K of N, which share one file of scores"
    )
    verb.add_argument(
        "--batch-size",
        type=positive_int,
        metavar="N",
        help="views computed at a time (default 16)",
    )
    verb.add_argument(
        "--num-workers",
        type=non_negative_int,
        metavar="N",
        help="processes that read videos (default 2, with a GPU up to 8)",
    )
    verb.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if it is available")
    verb.add_argument("--dtype", choices=DTYPES, help=DTYPE_HELP)
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet test CHECKPOINT...`: tables and a page, or one JSON object."""
    from stmnet.evaluation.options import WHOLE, EvaluationOptions, Shard, validate_evaluation

    given = {
        field.name: getattr(arguments, field.name)
        for field in fields(EvaluationOptions)
        if getattr(arguments, field.name, None) is not None
    }
    options = EvaluationOptions(**given)
    shard = Shard.parse(arguments.shard) if arguments.shard else WHOLE
    with arguments_as_flags(FLAGS):
        validate_evaluation(arguments.checkpoints, options)  # before torch is imported

    from stmnet.cli.evaluation_tables import evaluations_to_json, render_evaluations
    from stmnet.cli.progress import ProgressBar
    from stmnet.evaluation.several_checkpoints import evaluate_checkpoints
    from stmnet.report.evaluation_page import write_evaluation_page

    with arguments_as_flags(FLAGS), ProgressBar("clips") as progress:
        found = evaluate_checkpoints(arguments.checkpoints, options, shard, on_clip=progress.show)
    for result in found.results:
        write_evaluation_page(result)
    if arguments.json:
        print_json(evaluations_to_json(found, shard))
    else:
        print_table(render_evaluations(found, shard))
    return 0
