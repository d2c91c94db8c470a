"""The demo: generate the motion set, train STM and TSN on it, test both, write the page."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from stmnet.cli.arguments import Verbs, add_verb, non_negative_int, path
from stmnet.files import packaged_file

NETWORKS = {"STM": "motion_stm.yaml", "TSN": "motion_tsn.yaml"}


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "demo",
        run,
        "See STM read motion where a network without time cannot.",
        examples=(),
    )
    verb.add_argument("--out", type=path, default=Path("demo"), help="the folder to write")
    verb.add_argument("--seed", type=non_negative_int, default=0)


def run(arguments: argparse.Namespace) -> int:
    """`stmnet demo`: the two accuracies and the page's path come last."""
    outcome = run_demo(arguments.out, seed=arguments.seed)
    for name, top1 in outcome.top1.items():
        print(f"{name} top-1  {top1:.1%}")
    print(f"page       {outcome.page.resolve()}")
    return 0


@dataclass(frozen=True)
class DemoOutcome:
    """Top-1 on the test split for every network by its name, in [0, 1], and the page's path."""

    top1: dict[str, float]
    page: Path


def run_demo(out: Path, *, seed: int) -> DemoOutcome:
    """Run the whole demo in the folder `out`.

    What an earlier run of the same seed finished is kept, and what it left half done is taken up.
    Raises `StmnetError`, and `Stopped` where a signal ended the training.
    """
    from rich.console import Console

    from stmnet.cli.generate import generate_with_progress
    from stmnet.datasets.splits import read_split
    from stmnet.evaluation.evaluate import evaluate_network
    from stmnet.evaluation.metrics import summarize
    from stmnet.motion.generate import SplitSizes
    from stmnet.recognizer import load
    from stmnet.report.contents import make_report
    from stmnet.report.page import write_report

    say = Console(stderr=True).print
    data = out / "motion"
    say("[bold]1/4[/] generating the motion set")
    generate_with_progress(data, seed=seed, clips_per_class=SplitSizes())

    runs = {}
    for step, (name, recipe_name) in enumerate(NETWORKS.items(), start=2):
        say(f"[bold]{step}/4[/] training {name}")
        runs[name] = _train(recipe_name, data=data, output=out / name.lower(), seed=seed)

    say("[bold]4/4[/] testing both and writing the page")
    clip_list = read_split("motion", data, "test")
    recognizers = [load(run) for run in runs.values()]
    results = [
        evaluate_network(recognizer, clip_list, name=name, run=run)
        for recognizer, (name, run) in zip(recognizers, runs.items(), strict=True)
    ]
    page = write_report(
        make_report(
            "What only motion can tell",
            "the generated motion set (test split)",
            clip_list,
            results,
            recognizers,
            {"Command": f"stmnet demo --seed {seed}", "Seed": str(seed), "View": "center"},
        ),
        out / "report.html",
    )
    top1 = {result.name: summarize(result.probabilities, result.targets).top1 for result in results}
    return DemoOutcome(top1, page)


def _train(recipe_name: str, *, data: Path, output: Path, seed: int) -> Path:
    from stmnet.cli.train import shown_progress
    from stmnet.models.weight_files import RUN_WEIGHTS
    from stmnet.runs.recipe import load_recipe
    from stmnet.runs.resuming import resumes_or_starts_over
    from stmnet.training.run import train

    recipe = load_recipe(
        packaged_file(f"recipes/{recipe_name}"),
        ["--data.root", str(data), "--output", str(output), "--seed", str(seed)],
    )
    if (output / RUN_WEIGHTS).is_file():
        return output
    with shown_progress() as on_progress:
        return train(recipe, resume=resumes_or_starts_over(output), on_progress=on_progress)
