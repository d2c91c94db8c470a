"""How good a network's scores are: accuracies, confusion matrix, and how sure one can be."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
)


@dataclass(frozen=True, eq=False)
class Metrics:
    """Accuracies in [0, 1] of one network on one test split.

    `per_class_accuracy` (classes,) is nan for a class without clips, and `mean_class_accuracy`
    leaves such classes out. `confusion` (classes, classes) counts clips, rows are the true classes.
    """

    num_clips: int
    top1: float
    top5: float
    mean_class_accuracy: float
    per_class_accuracy: Tensor
    confusion: Tensor


def summarise(probabilities: Tensor, targets: Tensor) -> Metrics:
    """Measure scores against the truth.

    `probabilities` (clips, classes), `targets` (clips,) int64. With fewer than five classes the
    right one is always among the first five, so `top5` is 1. Raises ValueError if the shapes do not
    fit, there is no clip or there are fewer than two classes.
    """
    _require_matching_shapes(probabilities, targets)
    num_clips, num_classes = probabilities.shape
    confusion = multiclass_confusion_matrix(probabilities, targets, num_classes)
    per_class_accuracy = confusion.diagonal() / confusion.sum(dim=1)  # 0 / 0 clips is nan
    return Metrics(
        num_clips=num_clips,
        top1=_top_k_accuracy(probabilities, targets, 1),
        top5=_top_k_accuracy(probabilities, targets, min(5, num_classes)),
        mean_class_accuracy=per_class_accuracy.nanmean().item(),
        per_class_accuracy=per_class_accuracy,
        confusion=confusion,
    )


def is_correct(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Say for each clip whether its highest score is the true class: (clips,) bool."""
    return probabilities.argmax(dim=1) == targets


def bootstrap_interval(
    correct: Tensor, *, seed: int, num_resamples: int = 2000
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean over clips.

    `correct` (clips,) holds 0 or 1 for an accuracy; the difference of two networks' `correct` on
    the same clips gives the paired interval of their difference. Raises ValueError without clips.
    """
    if correct.ndim != 1 or correct.numel() == 0:
        raise ValueError(f"correct must be (clips,) with clips, not {tuple(correct.shape)}")
    values = correct.double()
    generator = torch.Generator().manual_seed(seed)
    # One resample at a time: all at once would hold resamples x clips indices in memory.
    means = torch.stack(
        [
            values[torch.randint(len(values), values.shape, generator=generator)].mean()
            for _ in range(num_resamples)
        ]
    )
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=means.dtype)).tolist()
    return low, high


def _top_k_accuracy(probabilities: Tensor, targets: Tensor, k: int) -> float:
    num_classes = probabilities.shape[1]
    accuracy = multiclass_accuracy(probabilities, targets, num_classes, average="micro", top_k=k)
    return float(accuracy)


def _require_matching_shapes(probabilities: Tensor, targets: Tensor) -> None:
    if probabilities.ndim != 2 or targets.shape != probabilities.shape[:1]:
        raise ValueError(
            "probabilities must be (clips, classes) and targets (clips,), not "
            f"{tuple(probabilities.shape)} and {tuple(targets.shape)}"
        )
    num_clips, num_classes = probabilities.shape
    if num_clips == 0 or num_classes < 2:
        raise ValueError(f"{num_clips} clips of {num_classes} classes leave nothing to measure")
