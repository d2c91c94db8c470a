"""What `stmnet test` shows of evaluations: tables, or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stmnet.analysis.confusion import most_confused_pairs
from stmnet.errors import escaped
from stmnet.evaluation.evaluate import EvaluationResult
from stmnet.evaluation.intervals import Interval
from stmnet.evaluation.options import Shard
from stmnet.evaluation.several_checkpoints import (
    CheckpointEvaluations,
    MeanAccuracies,
    ShardProgress,
)

HEADINGS = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean class accuracy",
}
CLASSES_OF_TOP5 = 6
"""The fewest classes of which top-5 tells anything."""
NUM_CLASSES_SHOWN = 20
NUM_PAIRS_SHOWN = 8
NUM_PAIRS_IN_JSON = 100
"""The most confused pairs in the JSON."""


def render_evaluations(found: CheckpointEvaluations, shard: Shard) -> RenderableType:
    """One checkpoint in detail, or a row for each of several; of a shard how far the test is."""
    if not found.results:
        return _render_progress(found.progress, shard)
    if found.mean is None:
        return _render_one(found.results[0])
    return _render_several(found.results, found.mean)


def evaluations_to_json(found: CheckpointEvaluations, shard: Shard) -> dict[str, Any]:
    """The same as plain values: of one checkpoint its own, of several a list and their mean."""
    if not found.results:
        tests = [_progress_to_json(each) for each in found.progress]
        return {"shard": str(shard), "tests": tests}
    if found.mean is None:
        return _result_to_json(found.results[0])
    return {
        "tests": [_result_to_json(result) for result in found.results],
        "mean": {
            **_accuracies_to_json(found.mean, found.mean.intervals),
            "calibration_error": found.mean.calibration_error,
        },
    }


# ---- JSON ----


def _result_to_json(found: EvaluationResult) -> dict[str, Any]:
    """Accuracies in [0, 1], each with its 95 % interval; null for a class without clips.

    The pairs are the most confused ones, the worst first.
    """
    evaluation, metrics = found.evaluation, found.metrics
    names = evaluation.clip_list.label_names
    counts = metrics.confusion.sum(dim=1).tolist()
    accuracies = metrics.per_class_accuracy.tolist()
    intervals = found.resamples.class_intervals().tolist()
    return {
        "checkpoint": str(evaluation.checkpoint),
        "dataset": evaluation.dataset,
        "split": evaluation.options.split,
        "views": evaluation.describe_views(),
        "clips": metrics.num_clips,
        **_accuracies_to_json(metrics, _intervals(found)),
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
            for pair in most_confused_pairs([metrics.confusion], limit=NUM_PAIRS_IN_JSON)
        ],
        "report": str(evaluation.page),
        "scores": str(evaluation.kept.path),
    }


def _intervals(found: EvaluationResult) -> dict[str, Interval]:
    return {name: found.resamples.interval(name) for name in HEADINGS}


def _accuracies_to_json(
    accuracies: object, intervals: Mapping[str, Interval]
) -> dict[str, float | list[float]]:
    plain: dict[str, float | list[float]] = {}
    for name in HEADINGS:
        plain[name] = getattr(accuracies, name)
        plain[f"{name}_interval"] = list(intervals[name])
    return plain


def _progress_to_json(progress: ShardProgress) -> dict[str, Any]:
    return {
        "checkpoint": str(progress.checkpoint),
        "clips": progress.num_clips,
        "clips_scored": progress.num_scored,
        "scores": str(progress.scores),
    }


# ---- tables ----


def _render_one(found: EvaluationResult) -> RenderableType:
    """The accuracies, then class by class, then the most confused pairs."""
    metrics, intervals = found.metrics, _intervals(found)
    headline = _table("", "", "95% interval")
    headline.add_row("clips", f"{metrics.num_clips:,}")
    for name, heading in _headings([found]).items():
        headline.add_row(heading, f"{getattr(metrics, name):.1%}", format_interval(intervals[name]))
    headline.add_row("calibration error", f"{metrics.calibration_error:.3f}")
    confused = _render_pairs(found)
    pairs: list[RenderableType] = [confused, ""] if confused.row_count else []
    return Group(headline, "", _render_classes(found), "", *pairs, _render_files([found]))


def _render_classes(found: EvaluationResult) -> Table:
    names = found.evaluation.clip_list.label_names
    counts = found.metrics.confusion.sum(dim=1).tolist()
    accuracies = found.metrics.per_class_accuracy.tolist()
    intervals = found.resamples.class_intervals().tolist()
    tested = [label for label, num_clips in enumerate(counts) if num_clips]
    tested.sort(key=accuracies.__getitem__)
    table = _table("class, the worst first", "clips", "accuracy", "95% interval")
    for label in tested[:NUM_CLASSES_SHOWN]:
        table.add_row(
            escaped(names[label]),
            f"{counts[label]:,}",
            f"{accuracies[label]:.1%}",
            format_interval(intervals[label]),
        )
    if num_others := len(tested[NUM_CLASSES_SHOWN:]):
        table.add_row(Text(f"... and {num_others:,} better ones", style="dim"))
    return table


def _render_pairs(found: EvaluationResult) -> Table:
    names = [escaped(name) for name in found.evaluation.clip_list.label_names]
    table = _table("taken for each other", "clips", "of")
    for pair in most_confused_pairs([found.metrics.confusion], limit=NUM_PAIRS_SHOWN):
        table.add_row(
            f"{names[pair.first]} | {names[pair.second]}",
            f"{pair.mistakes(0):,}",
            f"{pair.num_clips:,}",
        )
    return table


def _render_several(results: Sequence[EvaluationResult], mean: MeanAccuracies) -> RenderableType:
    """A row a checkpoint, and the mean."""
    headings = _headings(results)
    table = _table("", "clips", *headings.values(), "calibration error")
    for found in results:
        table.add_row(
            escaped(str(found.evaluation.checkpoint)),
            f"{found.metrics.num_clips:,}",
            *_cells(found.metrics, _intervals(found), headings),
            f"{found.metrics.calibration_error:.3f}",
        )
    table.add_row(
        "mean", "", *_cells(mean, mean.intervals, headings), f"{mean.calibration_error:.3f}"
    )
    return Group(table, "", _render_files(results))


def _headings(results: Sequence[EvaluationResult]) -> dict[str, str]:
    num_classes = max(len(found.evaluation.clip_list.label_names) for found in results)
    has_top5 = num_classes >= CLASSES_OF_TOP5
    return {name: heading for name, heading in HEADINGS.items() if has_top5 or name != "top5"}


def _cells(
    accuracies: object, intervals: Mapping[str, Interval], names: Iterable[str]
) -> list[Text]:
    return [
        Text(f"{getattr(accuracies, name):.1%} [{format_interval(intervals[name])}]")
        for name in names
    ]


def _render_progress(progress: Sequence[ShardProgress], shard: Shard) -> RenderableType:
    table = _table("", "clips", "scored")
    for each in progress:
        table.add_row(escaped(str(each.checkpoint)), f"{each.num_clips:,}", f"{each.num_scored:,}")
    note = (
        f"Part {shard} is done. The part that ends last shows the accuracies; so does the same "
        "command without --shard."
    )
    return Group(table, Text(note))


def _render_files(results: Sequence[EvaluationResult]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("views", results[0].evaluation.describe_views())
    for found in results:
        table.add_row("page", Text(escaped(str(found.evaluation.page))))
        table.add_row("scores", Text(escaped(str(found.evaluation.kept.path))))
    return table


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def format_interval(interval: Sequence[float]) -> str:
    """As "48.1-52.0%"."""
    low, high = interval
    return f"{100 * low:.1f}-{high:.1%}"
