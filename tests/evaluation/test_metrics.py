"""Accuracies, confusion and calibration against loops over clips; intervals of a mean."""

from __future__ import annotations

import math

import pytest
import torch

from stmnet.evaluation.intervals import bootstrap_interval
from stmnet.evaluation.metrics import summarize


def random_scores(num_clips, num_classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(num_clips, num_classes, generator=generator).softmax(dim=1)
    targets = torch.randint(num_classes, (num_clips,), generator=generator)
    return probabilities, targets


def top_k_by_hand(probabilities, targets, k):
    hits = 0
    for scores, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
        ranked = sorted(range(len(scores)), key=lambda label: -scores[label])
        hits += target in ranked[:k]
    return hits / len(targets)


def confusion_by_hand(probabilities, targets):
    num_classes = probabilities.shape[1]
    counts = [[0] * num_classes for _ in range(num_classes)]
    for scores, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
        counts[target][scores.index(max(scores))] += 1
    return counts


def binomial_quantile(num_trials, chance, level):
    total = 0.0
    for successes in range(num_trials + 1):
        ways = math.comb(num_trials, successes)
        total += ways * chance**successes * (1 - chance) ** (num_trials - successes)
        if total >= level:
            return successes
    return num_trials


@pytest.mark.parametrize("num_classes", [2, 4, 5, 6, 12])
def test_accuracies_and_confusion_equal_loops_over_clips(num_classes):
    probabilities, targets = random_scores(150, num_classes)
    metrics = summarize(probabilities, targets)
    counts = confusion_by_hand(probabilities, targets)
    per_class = [counts[label][label] / sum(counts[label]) for label in range(num_classes)]

    assert metrics.num_clips == 150
    assert metrics.top1 == pytest.approx(top_k_by_hand(probabilities, targets, 1))
    assert metrics.top5 == pytest.approx(top_k_by_hand(probabilities, targets, 5))
    assert metrics.confusion.tolist() == counts
    assert metrics.per_class_accuracy.tolist() == pytest.approx(per_class)
    assert metrics.mean_class_accuracy == pytest.approx(sum(per_class) / num_classes)


def test_class_without_clips_is_nan_and_not_in_the_mean():
    # Class 2 has no clips but is predicted once: torchmetrics' own macro mean would count it as 0.
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    metrics = summarize(probabilities, torch.tensor([0, 0, 1]))
    assert metrics.per_class_accuracy[:2].tolist() == [0.5, 1.0]
    assert metrics.per_class_accuracy[2].isnan()
    assert metrics.mean_class_accuracy == 0.75


@pytest.mark.parametrize(
    ("probabilities", "targets"),
    [
        (torch.ones(3, 2), torch.zeros(2, dtype=torch.int64)),
        (torch.ones(3), torch.zeros(3, dtype=torch.int64)),
        (torch.ones(0, 2), torch.zeros(0, dtype=torch.int64)),
        (torch.ones(3, 1), torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_scores_that_do_not_fit_are_refused(probabilities, targets):
    with pytest.raises(ValueError, match="clips"):
        summarize(probabilities, targets)


@pytest.mark.parametrize(("num_clips", "num_correct"), [(200, 140), (600, 588), (50, 25)])
def test_bootstrap_interval_is_the_binomial_one(num_clips, num_correct):
    # Resampling zeros and ones with replacement draws from a binomial distribution.
    correct = torch.arange(num_clips) < num_correct
    low, high = bootstrap_interval(correct, seed=1, num_resamples=4000)
    chance = num_correct / num_clips
    clip = 1 / num_clips
    expected_low = binomial_quantile(num_clips, chance, 0.025) / num_clips
    expected_high = binomial_quantile(num_clips, chance, 0.975) / num_clips
    assert low == pytest.approx(expected_low, abs=1.01 * clip)
    assert high == pytest.approx(expected_high, abs=1.01 * clip)


def test_bootstrap_interval_depends_on_its_seed_alone():
    correct = torch.arange(97) % 3 == 0
    first = bootstrap_interval(correct, seed=5)
    torch.rand(10)
    assert bootstrap_interval(correct, seed=5) == first
    assert bootstrap_interval(torch.ones(10), seed=5) == (1.0, 1.0)
    with pytest.raises(ValueError, match="with clips"):
        bootstrap_interval(torch.ones(0), seed=5)


def test_calibration_error_equals_a_loop_over_bins_of_confidence():
    probabilities, targets = random_scores(400, 6, seed=2)
    probabilities = (probabilities**3) / (probabilities**3).sum(dim=1, keepdim=True)
    bins = [[] for _ in range(15)]
    for scores, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
        confidence = max(scores)
        bins[min(int(confidence * 15), 14)].append((confidence, scores[target] == confidence))
    expected = 0.0
    for clips in filter(None, bins):
        mean_confidence = sum(confidence for confidence, _ in clips) / len(clips)
        accuracy = sum(right for _, right in clips) / len(clips)
        expected += len(clips) / 400 * abs(mean_confidence - accuracy)
    assert summarize(probabilities, targets).calibration_error == pytest.approx(expected, abs=1e-6)
    assert expected > 0.1
