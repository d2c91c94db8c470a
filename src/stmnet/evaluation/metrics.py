"""How good a network's scores are: accuracies, confusion matrix, calibration."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

CALIBRATION_BINS = 15


@dataclass(frozen=True, eq=False)
class Metrics:
    """Accuracies in [0, 1] of one network on one test split.

    `per_class_accuracy` (classes,) is NaN for a class without clips, and `mean_class_accuracy`
    leaves such classes out. `confusion` (classes, classes) counts clips, rows are the true classes.
    `calibration_error` is the expected one: how far confidence and accuracy lie apart, over
    `CALIBRATION_BINS` equal bins of confidence, weighted by their clips (Guo et al., 2017).
    """

    num_clips: int
    top1: float
    top5: float
    mean_class_accuracy: float
    calibration_error: float
    per_class_accuracy: Tensor
    confusion: Tensor


def summarize(probabilities: Tensor, targets: Tensor) -> Metrics:
    """Measure scores against the truth.

    `probabilities` (clips, classes), `targets` (clips,) int64. With fewer than five classes the
    right one is always among the first five, so `top5` is 1. Raises ValueError if the shapes do not
    fit, there is no clip or there are fewer than two classes.
    """
    _require_matching_shapes(probabilities, targets)
    num_clips, num_classes = probabilities.shape
    confusion = multiclass_confusion_matrix(probabilities, targets, num_classes)
    per_class_accuracy = confusion.diagonal() / confusion.sum(dim=1)  # 0 / 0 clips is NaN
    return Metrics(
        num_clips=num_clips,
        top1=_top_k_accuracy(probabilities, targets, 1),
        top5=_top_k_accuracy(probabilities, targets, min(5, num_classes)),
        mean_class_accuracy=per_class_accuracy.nanmean().item(),
        calibration_error=float(
            multiclass_calibration_error(
                probabilities, targets, num_classes, n_bins=CALIBRATION_BINS
            )
        ),
        per_class_accuracy=per_class_accuracy,
        confusion=confusion,
    )


def is_correct(probabilities: Tensor, targets: Tensor, *, top_k: int = 1) -> Tensor:
    """Say for each clip whether the true class is among its `top_k` highest: (clips,) bool."""
    if top_k == 1:
        return probabilities.argmax(dim=1) == targets
    best = probabilities.topk(min(top_k, probabilities.shape[1]), dim=1).indices
    return (best == targets[:, None]).any(dim=1)


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
