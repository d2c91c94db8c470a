"""Intervals: against the binomial distribution, and against a loop over resamples."""

from __future__ import annotations

import math

import pytest
import torch

from stmnet.evaluation.intervals import bootstrap_interval, draws, mean_interval, resample


def scores(num_clips: int, num_classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(num_clips, num_classes, generator=generator).softmax(dim=1)
    return probabilities, torch.randint(num_classes, (num_clips,), generator=generator)


def test_every_accuracy_of_a_resample_equals_a_loop_over_its_clips() -> None:
    probabilities, targets = scores(60, 7)
    resamples = resample(probabilities, targets, seed=3)
    ranked = probabilities.argsort(dim=1, descending=True).tolist()
    for number, drawn in zip(range(20), draws(60, seed=3), strict=False):
        top1 = top5 = 0
        right, clips = [0] * 7, [0] * 7
        for clip in drawn.tolist():
            target = int(targets[clip])
            top1 += ranked[clip][0] == target
            top5 += target in ranked[clip][:5]
            right[target] += ranked[clip][0] == target
            clips[target] += 1
        per_class = [r / n if n else math.nan for r, n in zip(right, clips, strict=True)]
        there = [accuracy for accuracy in per_class if not math.isnan(accuracy)]
        assert resamples.top1[number].item() == pytest.approx(top1 / 60)
        assert resamples.top5[number].item() == pytest.approx(top5 / 60)
        assert resamples.mean_class_accuracy[number].item() == pytest.approx(
            sum(there) / len(there)
        )
        assert resamples.per_class_accuracy[number].tolist() == pytest.approx(
            per_class, nan_ok=True
        )


def test_top1_has_the_interval_of_its_clips() -> None:
    probabilities, targets = scores(200, 5)
    resamples = resample(probabilities, targets, seed=1)
    correct = probabilities.argmax(dim=1) == targets
    assert resamples.interval("top1") == bootstrap_interval(correct, seed=1)
    assert resamples.interval("top5") == (1.0, 1.0), "of five classes"


def test_a_class_without_clips_has_no_interval() -> None:
    probabilities, targets = scores(50, 4)
    targets[targets == 2] = 1
    intervals = resample(probabilities, targets).class_intervals()
    assert intervals.shape == (4, 2)
    assert intervals[2].isnan().all()
    assert not intervals[[0, 1, 3]].isnan().any()
    assert (intervals[[0, 1, 3], 0] <= intervals[[0, 1, 3], 1]).all()


def test_the_interval_of_a_mean_is_that_of_independent_binomials() -> None:
    sizes, right = (80, 120, 100), (60, 60, 90)
    tests = []
    for seed, (num_clips, num_right) in enumerate(zip(sizes, right, strict=True)):
        targets = torch.zeros(num_clips, dtype=torch.int64)
        predicted = (torch.arange(num_clips) >= num_right).long()
        probabilities = torch.nn.functional.one_hot(predicted, 2).float()
        tests.append(resample(probabilities, targets, seed=seed))
    shares = [k / n for k, n in zip(right, sizes, strict=True)]
    variance = sum(p * (1 - p) / n for p, n in zip(shares, sizes, strict=True)) / 9
    middle, half = sum(shares) / 3, 1.96 * math.sqrt(variance)
    low, high = mean_interval(tests, "top1")
    assert low == pytest.approx(middle - half, abs=0.006)
    assert high == pytest.approx(middle + half, abs=0.006)
    # Drawn together they would be wider: the seeds matter.
    assert half < 0.75 * 1.96 * sum(math.sqrt(p * (1 - p) / n) for p, n in zip(
        shares, sizes, strict=True)) / 3  # fmt: skip
