"""Which classes are taken for each other, by matrices of a few classes."""

from __future__ import annotations

import torch

from stmnet.analysis.confusion import most_confused_pairs, mutual_pairs, partners_together


def test_confused_pairs_count_both_ways_and_rank_by_the_worst_network() -> None:
    careful = torch.tensor([[9, 0, 1, 0], [0, 10, 0, 0], [0, 0, 10, 0], [0, 0, 0, 10]])
    careless = torch.tensor([[6, 0, 1, 3], [0, 8, 2, 0], [0, 0, 10, 0], [4, 0, 0, 6]])
    pairs = most_confused_pairs([careful, careless], limit=2)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 3), (1, 2)]
    assert (pairs[0].first_as_second, pairs[0].second_as_first) == ((0, 3), (0, 4))
    assert (pairs[0].mistakes(0), pairs[0].mistakes(1), pairs[0].num_clips) == (0, 7, 20)
    assert mutual_pairs(careless) == [(0, 3), (1, 2)]
    assert partners_together([careful, careless]) == [0, 3, 1, 2]


def test_nothing_confused_gives_no_pairs_and_keeps_the_order() -> None:
    perfect = torch.eye(4, dtype=torch.int64) * 3
    assert most_confused_pairs([perfect], limit=5) == []
    assert mutual_pairs(perfect) == []
    assert partners_together([perfect]) == [0, 1, 2, 3]
