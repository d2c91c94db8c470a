"""Which classes a network takes for each other, read from its confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes and how many clips each of several networks took for the other one of the two.

    `first_as_second[i]` counts network i's clips of class `first` that it called `second`.
    """

    first: int
    second: int
    first_as_second: tuple[int, ...]
    second_as_first: tuple[int, ...]
    num_clips: int

    def mistakes(self, network: int) -> int:
        """Count a network's mistakes between the two classes, both ways together."""
        return self.first_as_second[network] + self.second_as_first[network]


def most_confused_pairs(confusions: Sequence[Tensor], limit: int) -> list[ConfusedPair]:
    """List the pairs of classes with the most mistakes of any one network, the worst first.

    `confusions` are (classes, classes) counts, one a network, rows true. Pairs that no network
    confuses are left out.
    """
    counts = torch.stack(list(confusions))  # (networks, classes, classes)
    both_ways = (counts + counts.transpose(1, 2)).amax(dim=0).triu(diagonal=1)
    num_classes = both_ways.shape[0]
    worst = both_ways.flatten().sort(descending=True, stable=True)
    places = worst.indices[worst.values > 0][:limit].tolist()
    return [_pair(counts, *divmod(place, num_classes)) for place in places]


def mutual_pairs(confusion: Tensor) -> list[tuple[int, int]]:
    """Pair up classes that are each other's most confused partner, in the order of the labels.

    `confusion` (classes, classes) counts, rows true.
    """
    both_ways = confusion + confusion.T
    both_ways.fill_diagonal_(0)
    partner = both_ways.argmax(dim=1).tolist()
    return [
        (first, second)
        for first, second in enumerate(partner)
        if first < second and partner[second] == first and both_ways[first, second] > 0
    ]


def mistakes_within(confusion: Tensor, pairs: Sequence[tuple[int, int]]) -> int:
    """Count the mistakes that stay within the given pairs of classes."""
    return sum(int(confusion[a, b] + confusion[b, a]) for a, b in pairs)


def partners_together(confusions: Sequence[Tensor]) -> list[int]:
    """Order the classes so that mutually confused ones are neighbors.

    Labels are often sorted by name, which scatters the mistakes of a matrix; side by side, two
    classes that are taken for each other show as a block on the diagonal.
    """
    total = torch.stack(list(confusions)).sum(dim=0)
    partner = dict(mutual_pairs(total))
    moved = set(partner.values())
    order: list[int] = []
    for label in range(total.shape[0]):
        if label not in moved:
            order += [label, partner[label]] if label in partner else [label]
    return order


def _pair(counts: Tensor, first: int, second: int) -> ConfusedPair:
    clips_per_class = counts[0].sum(dim=1)
    return ConfusedPair(
        first=first,
        second=second,
        first_as_second=tuple(counts[:, first, second].tolist()),
        second_as_first=tuple(counts[:, second, first].tolist()),
        num_clips=int(clips_per_class[first] + clips_per_class[second]),
    )
