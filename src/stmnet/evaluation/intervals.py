"""How sure one can be of accuracies: percentile bootstraps over the clips of a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stmnet.evaluation.metrics import is_correct

NUM_RESAMPLES = 2000
BOOTSTRAP_SEED = 0
LEVELS = (0.025, 0.975)
"""The ends of a 95 % interval."""

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Resamples:
    """Accuracies in [0, 1] of resamples of the clips: (resamples,), float64.

    `per_class_accuracy` is (resamples, classes), NaN where a resample has no clip of a class;
    `mean_class_accuracy` leaves such classes out.
    """

    top1: Tensor
    top5: Tensor
    mean_class_accuracy: Tensor
    per_class_accuracy: Tensor

    def interval(self, name: str) -> Interval:
        """The 95 % interval of `top1`, `top5` or `mean_class_accuracy`."""
        return percentiles(getattr(self, name))

    def class_intervals(self) -> Tensor:
        """The 95 % interval of each class's accuracy: (classes, 2), NaN without clips."""
        levels = torch.tensor(LEVELS, dtype=self.per_class_accuracy.dtype)
        return self.per_class_accuracy.nanquantile(levels, dim=0).T


def resample(probabilities: Tensor, targets: Tensor, *, seed: int = BOOTSTRAP_SEED) -> Resamples:
    """Measure the scores (clips, classes) of as many clips drawn with replacement, often."""
    num_clips, num_classes = probabilities.shape
    top1 = is_correct(probabilities, targets).long()
    top5 = is_correct(probabilities, targets, top_k=5).long()
    # What is drawn is counted by class, wrong or right at first, and wrong or right in five.
    cells = (targets * 2 + top1) * 2 + top5
    counts = torch.stack(
        [
            torch.bincount(cells[drawn], minlength=4 * num_classes)
            for drawn in draws(num_clips, seed=seed)
        ]
    ).unflatten(1, (num_classes, 2, 2))  # (resamples, classes, top-1, top-5)
    clips = counts.sum(dim=(2, 3)).double()
    right = counts[:, :, 1].sum(dim=2).double()
    per_class = right / clips  # 0 / 0 clips is NaN
    return Resamples(
        top1=right.sum(dim=1) / num_clips,
        top5=counts[..., 1].sum(dim=(1, 2)).double() / num_clips,
        mean_class_accuracy=per_class.nanmean(dim=1),
        per_class_accuracy=per_class,
    )


def mean_interval(tests: Sequence[Resamples], name: str) -> Interval:
    """The 95 % interval of the mean of several tests' accuracies.

    Each test's clips are drawn apart: give every test's resamples a seed of their own. Clips that
    stand in several splits (HMDB-51 has some) count as different ones.
    """
    return percentiles(torch.stack([getattr(test, name) for test in tests]).mean(dim=0))


def bootstrap_interval(
    correct: Tensor, *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Interval:
    """Return the 95 % percentile bootstrap interval of the mean over clips.

    `correct` (clips,) holds 0 or 1 for an accuracy; the difference of two networks' `correct` on
    the same clips gives the paired interval of their difference. Raises ValueError without clips.
    """
    if correct.ndim != 1 or correct.numel() == 0:
        raise ValueError(f"correct must be (clips,) with clips, not {tuple(correct.shape)}")
    values = correct.double()
    drawn = draws(len(values), seed=seed, num_resamples=num_resamples)
    return percentiles(torch.stack([values[clips].mean() for clips in drawn]))


def draws(num_clips: int, *, seed: int, num_resamples: int = NUM_RESAMPLES) -> Iterator[Tensor]:
    """The clips' numbers in each resample: (clips,) int64.

    One at a time: all at once would hold resamples x clips numbers in memory.
    """
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_resamples):
        yield torch.randint(num_clips, (num_clips,), generator=generator)


def percentiles(values: Tensor) -> Interval:
    """The ends of the 95 % interval of resampled values."""
    low, high = values.quantile(torch.tensor(LEVELS, dtype=values.dtype)).tolist()
    return low, high
