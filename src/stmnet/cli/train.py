"""`stmnet train`: a run by a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stmnet.cli.arguments import Verbs, add_verb
from stmnet.errors import StmnetError


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "train",
        run,
        "Train a network by a recipe.",
        examples=(),
        notes="Every key of a recipe can be set here, as in --optimizer.epochs 10.",
    )
    verb.add_argument("recipe", type=Path, help="a YAML file; see recipes/")
    verb.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    verb.usage = "stmnet train RECIPE [--resume] [--KEY VALUE ...]"


def run(arguments: argparse.Namespace) -> int:
    """`stmnet train RECIPE`."""
    from stmnet.runs.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, arguments.overrides)

    from stmnet.models.weight_files import RUN_WEIGHTS
    from stmnet.report.validation_report import write_validation_report
    from stmnet.training.distributed import is_rank_zero, say
    from stmnet.training.run import train

    output = train(recipe, resume=arguments.resume)
    say(f"weights  {output / RUN_WEIGHTS}")
    if is_rank_zero():
        try:
            say(f"report   {write_validation_report(output)}")
        except StmnetError as error:  # the weights are there, and worth more than their page
            print(f"warning: no report: {error}", file=sys.stderr)
    return 0
