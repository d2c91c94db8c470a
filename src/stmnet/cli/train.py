"""`stmnet train`: a run by a recipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING

from stmnet.cli.arguments import Verbs, add_verb, arguments_as_flags
from stmnet.errors import StmnetError, escaped
from stmnet.runs.packaged_recipes import list_recipes

if TYPE_CHECKING:
    from stmnet.runs.history import EpochRecord
    from stmnet.training.progress import OnProgress, TrainingProgress

FLAGS = {
    "resume=True": "--resume",
    "et root to": "et --data.root to",
    "allow_missing: true": "--data.allow_missing true",
    "et another output": "et another --output",
    "et output to": "et --output to",
}


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "train",
        run,
        "Train a network by a recipe.",
        examples=(
            "stmnet train own_folder --data.root clips --output runs/mine",
            "stmnet train table1/stm_8f_something_v1 --data.root /data/something-v1",
            "stmnet train runs/mine/recipe.yaml --resume",
        ),
        notes=(
            "Every key of a recipe can be set here, as in --optimizer.epochs 10.\n\n"
            f"Recipes that come with stmnet:\n{format_names(list_recipes())}"
        ),
    )
    verb.add_argument("recipe", help="a YAML file, or the name of a recipe that comes with stmnet")
    verb.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    verb.usage = "stmnet train RECIPE [--resume] [--KEY VALUE ...]"


def run(arguments: argparse.Namespace) -> int:
    """`stmnet train RECIPE`."""
    from stmnet.runs.recipe import load_recipe
    from stmnet.runs.run_folder import validate_run_folder
    from stmnet.runs.validate_recipe import validate_recipe

    with arguments_as_flags(FLAGS):
        # Training says these again; here they come before torch is imported.
        recipe = validate_recipe(load_recipe(arguments.recipe, arguments.overrides))
        validate_run_folder(recipe, resume=arguments.resume)

        from stmnet.models.weight_files import RUN_WEIGHTS
        from stmnet.report.validation_report import write_validation_report
        from stmnet.training.distributed import is_rank_zero
        from stmnet.training.run import train

        with shown_progress() as on_progress:
            output = train(recipe, resume=arguments.resume, on_progress=on_progress)
        if not is_rank_zero():
            return 0
        print(f"weights  {escaped(str(output / RUN_WEIGHTS))}")
        try:
            print(f"report   {escaped(str(write_validation_report(output)))}")
        except StmnetError as error:  # the weights are there, and worth more than their page
            print(f"warning: no report: {error}", file=sys.stderr)
    return 0


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """Gives what `train` calls: a line an epoch, and in between a bar, or a line a minute."""
    from rich.console import Console

    from stmnet.cli.progress import ProgressBar

    with ProgressBar("steps", Console(file=sys.stdout, highlight=False)) as bar:

        def show(progress: TrainingProgress) -> None:
            if progress.record is not None:
                print(format_epoch(progress.record, num_epochs=progress.num_epochs), flush=True)
                return
            of_validation = " validation" if progress.split == "validation" else ""
            bar.show_stage(
                f"epoch {progress.epoch}/{progress.num_epochs}{of_validation}",
                progress.step,
                progress.num_steps,
                details=format_measures(progress),
                seconds_left=progress.seconds_left,
            )

        yield show


def format_names(names: Sequence[str]) -> str:
    """Names of recipes in lines, those of a folder together."""
    wrapper = TextWrapper(width=78, initial_indent="  ", subsequent_indent="    ")
    by_folder = groupby(sorted(names, key=_folder_in_order), key=_folder_in_order)
    return "\n".join(wrapper.fill(", ".join(group)) for _, group in by_folder)


def _folder_in_order(name: str) -> tuple[int, str]:
    """Table 2 comes before Table 10, and what is in no folder first."""
    folder = Path(name).parent.name
    return len(folder), folder


def format_epoch(record: EpochRecord, *, num_epochs: int) -> str:
    """An epoch as the line that is printed of it."""
    correlation = record.train_correlation
    parts = [
        f"epoch {record.number}/{num_epochs}",
        f"loss {record.train_loss:.3f}  top-1 {record.train_top1:.1%}",
        *([] if correlation is None else [f"correlation loss {correlation:.2f}"]),
        f"validation loss {record.validation_loss:.3f}  top-1 {record.validation_top1:.1%}",
        f"{record.seconds:.0f} s",
    ]
    return "  ".join(parts)


def format_measures(progress: TrainingProgress) -> str:
    """What is measured of an epoch so far; empty where nothing is."""
    parts = []
    if progress.loss is not None and progress.top1 is not None:
        parts.append(f"loss {progress.loss:.3f}  top-1 {progress.top1:.1%}")
    if progress.clips_per_second is not None:
        parts.append(f"{progress.clips_per_second:.1f} clips/s")
    return "  ".join(parts)
