"""Whether draws follow a distribution: Pearson's chi-square test."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping


def assert_drawn_from(draws: Iterable[Hashable], probabilities: Mapping[Hashable, float]) -> None:
    """Fail where draws this far from `probabilities` come less than once in a thousand times."""
    counts = Counter(draws)
    assert counts.keys() <= probabilities.keys(), counts.keys() - probabilities.keys()
    assert math.isclose(sum(probabilities.values()), 1)
    expected = {value: part * counts.total() for value, part in probabilities.items()}
    assert min(expected.values()) >= 5, "too few draws for the test to hold"
    if len(expected) == 1:
        return
    chi_square = sum((counts[value] - mean) ** 2 / mean for value, mean in expected.items())
    # Wilson and Hilferty's approximation of the 99.9 % quantile (3.09 of the normal distribution)
    degrees = len(expected) - 1
    spread = 2 / (9 * degrees)
    assert chi_square < degrees * (1 - spread + 3.09 * math.sqrt(spread)) ** 3


def uniform(values: Iterable[Hashable]) -> dict[Hashable, float]:
    """Each of `values` equally likely; one that is named twice twice as likely."""
    counts = Counter(values)
    return {value: count / counts.total() for value, count in counts.items()}
