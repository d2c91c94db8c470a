"""`stmnet test`: checkpoints on a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from stmnet.cli.arguments import DTYPE_HELP, DTYPES, Verbs, add_verb
from stmnet.cli.printing import print_json, print_table


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "test",
        run,
        "Test checkpoints on a data set and write a report page.",
        examples=(),
    )
    verb.add_argument(
        "checkpoints",
        nargs="+",
        type=Path,
        metavar="CHECKPOINT",
        help="a run's folder, or a checkpoint in it; of several (as of three splits) the mean, too",
    )
    verb.add_argument(
        "--views",
        default="center",
        metavar="V",
        help="center, 30 (the paper's ten random clips x three crops) or CLIPSxCROPS, as 10x1",
    )
    verb.add_argument("--seed", type=int, default=0, help="of the random clips (default 0)")
    verb.add_argument("--dataset", help="default: the one of the run's recipe")
    verb.add_argument("--root", help="the data set's folder; default: the recipe's")
    verb.add_argument("--split", default="test", help="default: test")
    verb.add_argument(
        "--report",
        type=Path,
        help="default: report.html in the run's folder, report-NAME.html of a checkpoint in it",
    )
    verb.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="where the views' scores are kept; default: in the run's folder",
    )
    verb.add_argument("--shard", metavar="K/N", help="score only part K of N that share FILE")
    verb.add_argument("--batch-size", type=int, default=16, metavar="N", help="views (default 16)")
    verb.add_argument("--num-workers", type=int, metavar="N", help="default: 2, with a GPU up to 8")
    verb.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    verb.add_argument("--dtype", choices=DTYPES, default="float32", help=DTYPE_HELP)
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet test CHECKPOINT...`: tables and a page, or one JSON object."""
    from stmnet.cli.testing_table import checkpoints_in_words
    from stmnet.evaluation.evaluate import EvaluationOptions
    from stmnet.evaluation.kept_scores import WHOLE, Shard

    table, plain = checkpoints_in_words(
        arguments.checkpoints,
        EvaluationOptions(
            views=arguments.views,
            seed=arguments.seed,
            dataset=arguments.dataset,
            root=arguments.root,
            split=arguments.split,
            report=arguments.report,
            scores=arguments.scores,
            batch_size=arguments.batch_size,
            num_workers=arguments.num_workers,
            device=arguments.device,
            dtype=arguments.dtype,
        ),
        Shard.parse(arguments.shard) if arguments.shard else WHOLE,
    )
    if arguments.json:
        print_json(plain)
    else:
        print_table(table)
    return 0
