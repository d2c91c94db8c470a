"""`stmnet demo`: STM and TSN, trained on a set that only motion can solve."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stmnet.cli.arguments import Verbs, add_verb, path, seed_int
from stmnet.cli.printing import print_table
from stmnet.errors import escaped
from stmnet.files import packaged_file

if TYPE_CHECKING:
    from stmnet.evaluation.results import ModelResult

NETWORKS = {"STM": "motion_stm", "TSN": "motion_tsn"}


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "demo",
        run,
        "Train STM and TSN on a set that only motion can solve, and compare them.",
        examples=("stmnet demo", "stmnet demo --out /tmp/demo --seed 1"),
        notes=(
            "Predicts the sample clips, generates the motion set, trains STM and TSN on it,\n"
            "tests both and writes a page. What an earlier demo of the same seed finished\n"
            "is kept."
        ),
    )
    verb.add_argument(
        "--out",
        type=path,
        default=Path("demo"),
        metavar="DIR",
        help="folder to write (default: demo)",
    )
    verb.add_argument(
        "--seed",
        type=seed_int,
        default=0,
        metavar="N",
        help="seed of the data and the trainings (default 0)",
    )


def run(arguments: argparse.Namespace) -> int:
    """`stmnet demo`: the two accuracies and the page's path come last."""
    out, seed = arguments.out, arguments.seed
    data = out / "motion"

    show_step(1, "predicting the sample clips with the recognizer that comes with stmnet")
    predict_samples()

    show_step(2, "generating the motion set")
    generate(data, seed=seed)

    runs = {name: out / name.lower() for name in NETWORKS}
    show_step(3, f"training {' and '.join(NETWORKS)} side by side")
    if code := train(runs, data=data, seed=seed):
        return code

    show_step(4, "testing both and writing the page")
    results, page = test(runs, data=data, page=out / "report.html", seed=seed)

    from stmnet.evaluation.metrics import summarize  # not before the predictions are seen

    for result in results:
        print(f"{result.name} top-1  {summarize(result.probabilities, result.targets).top1:.1%}")
    print(f"page       {escaped(str(page.resolve()))}")
    return 0


def show_step(number: int, title: str) -> None:
    """Say what comes now."""
    print(f"{number}/4  {title}", flush=True)


def predict_samples() -> None:
    """Show the likeliest label of each clip."""
    from stmnet.cli.predict import render_predictions
    from stmnet.recognizer import load

    recognizer = load("motion")
    samples = sorted(packaged_file("samples").glob("*.mp4"))
    print_table(render_predictions([recognizer(sample, top_k=1) for sample in samples]))


def generate(data: Path, *, seed: int) -> None:
    """Generate the motion set, unless it is there."""
    from stmnet.cli.generate import generate_with_progress
    from stmnet.motion.generate import SplitSizes

    generate_with_progress(data, seed=seed, clips_per_class=SplitSizes())


def train(runs: dict[str, Path], *, data: Path, seed: int) -> int:
    """Train each network, or go on where an earlier demo was stopped; returns the exit code."""
    from stmnet.cli.side_by_side import train_side_by_side
    from stmnet.models.weight_files import RUN_WEIGHTS
    from stmnet.runs.resuming import can_resume, delete_history_without_checkpoint

    trainings = {}
    for name, output in runs.items():
        if (output / RUN_WEIGHTS).is_file():
            continue
        delete_history_without_checkpoint(output)
        words = [NETWORKS[name], "--data.root", str(data), "--output", str(output)]
        words += ["--seed", str(seed)]
        trainings[name] = [*words, "--resume"] if can_resume(output) else words
    return train_side_by_side(trainings)


def test(
    runs: dict[str, Path], *, data: Path, page: Path, seed: int
) -> tuple[list[ModelResult], Path]:
    """Test each run on the test split, and write the page that compares them."""
    from stmnet.datasets.splits import read_split
    from stmnet.evaluation.evaluate import evaluate_network
    from stmnet.recognizer import load
    from stmnet.report.contents import make_report
    from stmnet.report.page import write_report

    clip_list = read_split("motion", data, "test")
    recognizers = [load(run) for run in runs.values()]
    results = [
        evaluate_network(recognizer, clip_list, name=name, run=run)
        for recognizer, (name, run) in zip(recognizers, runs.items(), strict=True)
    ]
    contents = make_report(
        "What only motion can tell",
        "the generated motion set (test split)",
        clip_list,
        results,
        recognizers,
        {"Command": f"stmnet demo --seed {seed}", "Seed": str(seed), "View": "center"},
    )
    return results, write_report(contents, page)
