"""What `stmnet test` shows on a terminal: its progress, its tables, and its JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stmnet.analysis.confusion import most_confused_pairs
from stmnet.cli.progress import ProgressOnStderr
from stmnet.errors import StmnetError
from stmnet.evaluation.evaluate import Evaluation, EvaluationOptions, EvaluationResult
from stmnet.evaluation.intervals import Interval, mean_interval, resample
from stmnet.evaluation.kept_scores import WHOLE, Shard
from stmnet.report.evaluation_page import write_evaluation_page

ACCURACIES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean class accuracy",
}
NUM_CLASSES_SHOWN = 20
NUM_PAIRS_SHOWN = 8
NUM_PAIRS_TOLD = 100
"""The most confused pairs in the JSON."""


def checkpoints_in_words(
    checkpoints: Sequence[Path], options: EvaluationOptions, shard: Shard = WHOLE
) -> tuple[RenderableType, dict[str, Any]]:
    """Test one checkpoint, or several and their mean: for people, and as JSON.

    From a shard's part alone nothing can be measured: it says how far the test is instead. Raises
    `StmnetError`, before anything is scored where that can be known.
    """
    if len(checkpoints) > 1 and (options.report or options.scores):
        name = "--report" if options.report else "--scores"
        raise StmnetError(f"{name} names one file. Leave it out with several checkpoints.")
    tests = [Evaluation.prepare(checkpoint, options) for checkpoint in checkpoints]
    _require_same_labels(tests)
    for test in tests:
        if test.kept.is_whole:
            print(f"scored before: {test.kept.path}", file=sys.stderr)
        with ProgressOnStderr("clips") as progress:
            test.score(shard, on_clip=progress.show)
    if any(test.num_missing() for test in tests):
        parts = [_part_as_json(test) for test in tests]
        return _parts_as_table(parts, shard), {"shard": str(shard), "tests": parts}
    outcomes = [test.conclude() for test in tests]
    for outcome in outcomes:
        write_evaluation_page(outcome)
    if len(outcomes) == 1:
        return outcome_as_table(outcomes[0]), outcome_as_json(outcomes[0])
    mean = mean_as_json(outcomes)
    return outcomes_as_table(outcomes, mean), {
        "tests": [outcome_as_json(outcome) for outcome in outcomes],
        "mean": mean,
    }


def _require_same_labels(tests: Sequence[Evaluation]) -> None:
    first, *others = tests
    for test in others:
        if test.recognizer.config.label_names != first.recognizer.config.label_names:
            raise StmnetError(
                f"{test.checkpoint}: other labels than {first.checkpoint}, so that a mean over "
                "both says nothing. Test them one by one."
            )


def outcome_as_json(outcome: EvaluationResult) -> dict[str, Any]:
    """One test: accuracies in [0, 1], each with its 95 % interval; null for a class without clips.

    The pairs are the most confused ones, the worst first.
    """
    test, metrics = outcome.evaluation, outcome.metrics
    names = test.clip_list.label_names
    counts = metrics.confusion.sum(dim=1).tolist()
    accuracies = metrics.per_class_accuracy.tolist()
    intervals = outcome.resamples.class_intervals().tolist()
    return {
        "checkpoint": str(test.checkpoint),
        "dataset": test.dataset,
        "split": test.options.split,
        "views": test.views_in_words(),
        "clips": metrics.num_clips,
        **_accuracies_as_json(
            {name: getattr(metrics, name) for name in ACCURACIES},
            {name: outcome.resamples.interval(name) for name in ACCURACIES},
        ),
        "calibration_error": metrics.calibration_error,
        "classes": [
            {
                "label": name,
                "clips": num_clips,
                "accuracy": accuracy if num_clips else None,
                "interval": interval if num_clips else None,
            }
            for name, num_clips, accuracy, interval in zip(
                names, counts, accuracies, intervals, strict=True
            )
        ],
        "confused_pairs": [
            {
                "labels": [names[pair.first], names[pair.second]],
                "first_as_second": pair.first_as_second[0],
                "second_as_first": pair.second_as_first[0],
                "clips": pair.num_clips,
            }
            for pair in most_confused_pairs([metrics.confusion], limit=NUM_PAIRS_TOLD)
        ],
        "report": str(outcome.evaluation.page),
        "scores": str(test.kept.path),
    }


def mean_as_json(outcomes: Sequence[EvaluationResult]) -> dict[str, Any]:
    """The mean over several tests, as over the three splits of UCF-101."""
    # A seed of its own for each test, so that their clips are drawn apart.
    resamples = [
        resample(outcome.probabilities, outcome.targets, seed=seed)
        for seed, outcome in enumerate(outcomes)
    ]
    metrics = [outcome.metrics for outcome in outcomes]
    return {
        **_accuracies_as_json(
            {name: fmean(getattr(each, name) for each in metrics) for name in ACCURACIES},
            {name: mean_interval(resamples, name) for name in ACCURACIES},
        ),
        "calibration_error": fmean(each.calibration_error for each in metrics),
    }


def _accuracies_as_json(
    values: dict[str, float], intervals: dict[str, Interval]
) -> dict[str, float | list[float]]:
    told: dict[str, float | list[float]] = {}
    for name in ACCURACIES:
        told[name] = values[name]
        told[f"{name}_interval"] = list(intervals[name])
    return told


def outcome_as_table(outcome: EvaluationResult) -> RenderableType:
    """The accuracies, then class by class, then the most confused pairs."""
    told = outcome_as_json(outcome)
    headline = _table("", "", "95% interval")
    headline.add_row("clips", f"{told['clips']:,}")
    for name, words in ACCURACIES.items():
        headline.add_row(words, f"{told[name]:.1%}", _range(told[f"{name}_interval"]))
    headline.add_row("calibration error", f"{told['calibration_error']:.3f}")
    classes = [entry for entry in told["classes"] if entry["clips"]]
    classes.sort(key=lambda entry: entry["accuracy"])
    shown = classes[:NUM_CLASSES_SHOWN]
    by_class = _table("class, the worst first", "clips", "accuracy", "95% interval")
    for entry in shown:
        by_class.add_row(
            entry["label"],
            f"{entry['clips']:,}",
            f"{entry['accuracy']:.1%}",
            _range(entry["interval"]),
        )
    if len(shown) < len(classes):
        by_class.add_row(Text(f"... and {len(classes) - len(shown):,} better ones", style="dim"))
    pairs = _table("taken for each other", "clips", "of")
    for pair in told["confused_pairs"][:NUM_PAIRS_SHOWN]:
        mistakes = pair["first_as_second"] + pair["second_as_first"]
        pairs.add_row(" | ".join(pair["labels"]), f"{mistakes:,}", f"{pair['clips']:,}")
    confused: list[RenderableType] = [pairs, ""] if pairs.row_count else []
    return Group(headline, "", by_class, "", *confused, _files([outcome]))


def outcomes_as_table(outcomes: Sequence[EvaluationResult], mean: dict[str, Any]) -> RenderableType:
    """A row a checkpoint, and the mean."""
    table = _table("", "clips", *ACCURACIES.values(), "calibration error")
    for outcome in outcomes:
        _add_figures(
            table,
            str(outcome.evaluation.checkpoint),
            f"{outcome.metrics.num_clips:,}",
            outcome_as_json(outcome),
        )
    _add_figures(table, "mean", "", mean)
    return Group(table, "", _files(outcomes))


def _add_figures(table: Table, name: str, clips: str, told: dict[str, Any]) -> None:
    figures = [f"{told[key]:.1%} [{_range(told[f'{key}_interval'])}]" for key in ACCURACIES]
    table.add_row(name, clips, *map(Text, figures), f"{told['calibration_error']:.3f}")


def _part_as_json(test: Evaluation) -> dict[str, Any]:
    num_clips = len(test.clip_list.clips)
    return {
        "checkpoint": str(test.checkpoint),
        "clips": num_clips,
        "clips_scored": num_clips - test.num_missing(),
        "scores": str(test.kept.path),
    }


def _parts_as_table(parts: Sequence[dict[str, Any]], shard: Shard) -> RenderableType:
    table = _table("", "clips", "scored")
    for part in parts:
        table.add_row(part["checkpoint"], f"{part['clips']:,}", f"{part['clips_scored']:,}")
    words = (
        f"Part {shard} is done. Whoever ends last shows the figures, as does this without --shard."
    )
    return Group(table, Text(words))


def _files(outcomes: Sequence[EvaluationResult]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("views", outcomes[0].evaluation.views_in_words())
    for outcome in outcomes:
        table.add_row("page", Text(str(outcome.evaluation.page)))
        table.add_row("scores", Text(str(outcome.evaluation.kept.path)))
    return table


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _range(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{100 * low:.1f}-{high:.1%}"
