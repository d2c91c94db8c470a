"""Several checkpoints and the mean of their accuracies, as over the three splits of UCF-101."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from stmnet.errors import StmnetError
from stmnet.evaluation.evaluate import Evaluation, EvaluationResult
from stmnet.evaluation.intervals import Interval, mean_interval, resample
from stmnet.evaluation.options import WHOLE, EvaluationOptions, Shard, validate_evaluation

ACCURACIES = ("top1", "top5", "mean_class_accuracy")


@dataclass(frozen=True)
class ShardProgress:
    """How many clips of an evaluation are scored, here and elsewhere, and the file they go to."""

    checkpoint: Path
    num_clips: int
    num_scored: int
    scores: Path


@dataclass(frozen=True)
class MeanAccuracies:
    """The mean over several evaluations: accuracies in [0, 1], and the 95 % interval of each."""

    top1: float
    top5: float
    mean_class_accuracy: float
    calibration_error: float
    intervals: Mapping[str, Interval]


@dataclass(frozen=True)
class CheckpointEvaluations:
    """Results in the order of the checkpoints, and of several their mean.

    `results` are empty while clips of other shards are not scored: `progress` says how many.
    """

    progress: tuple[ShardProgress, ...]
    results: tuple[EvaluationResult, ...] = ()
    mean: MeanAccuracies | None = None


def evaluate_checkpoints(
    checkpoints: Sequence[Path],
    options: EvaluationOptions,
    shard: Shard = WHOLE,
    *,
    on_clip: Callable[[int, int], None] = lambda done, total: None,
) -> CheckpointEvaluations:
    """Evaluate checkpoints, or score one shard's part of their clips.

    `on_clip(done, total)` counts the clips that are scored now, of all checkpoints. Raises
    `StmnetError`: before anything is scored where that can be known.
    """
    validate_evaluation(checkpoints, options)
    evaluations = [Evaluation.prepare(checkpoint, options) for checkpoint in checkpoints]
    _require_same_labels(evaluations)
    totals = [evaluation.num_missing(shard) for evaluation in evaluations]
    for number, evaluation in enumerate(evaluations):
        before = sum(totals[:number])

        def count(done: int, _: int, before: int = before) -> None:
            on_clip(before + done, sum(totals))

        evaluation.score(shard, on_clip=count)
    progress = tuple(map(_progress, evaluations))
    if any(each.num_scored < each.num_clips for each in progress):
        return CheckpointEvaluations(progress)
    results = tuple(evaluation.conclude() for evaluation in evaluations)
    return CheckpointEvaluations(progress, results, _mean(results) if len(results) > 1 else None)


def _require_same_labels(evaluations: Sequence[Evaluation]) -> None:
    first, *others = evaluations
    for other in others:
        if other.recognizer.config.label_names != first.recognizer.config.label_names:
            raise StmnetError(
                f"{other.checkpoint}: its labels are not those of {first.checkpoint}, and a mean "
                "over both says nothing. Test them one by one."
            )


def _progress(evaluation: Evaluation) -> ShardProgress:
    num_clips = len(evaluation.clip_list.clips)
    return ShardProgress(
        evaluation.checkpoint,
        num_clips,
        num_clips - evaluation.num_missing(),
        evaluation.kept.path,
    )


def _mean(results: Sequence[EvaluationResult]) -> MeanAccuracies:
    # A seed of its own for each, so that their clips are drawn apart.
    resamples = [
        resample(result.probabilities, result.targets, seed=seed)
        for seed, result in enumerate(results)
    ]
    metrics = [result.metrics for result in results]
    return MeanAccuracies(
        top1=fmean(each.top1 for each in metrics),
        top5=fmean(each.top5 for each in metrics),
        mean_class_accuracy=fmean(each.mean_class_accuracy for each in metrics),
        calibration_error=fmean(each.calibration_error for each in metrics),
        intervals={name: mean_interval(resamples, name) for name in ACCURACIES},
    )
