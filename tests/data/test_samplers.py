"""Which clips come when: the same whoever trains, and every class as often where asked."""

from __future__ import annotations

import pytest

from stmnet.data.samplers import SINGLE_PROCESS, EpochSampler, ProcessRank, RankBatches
from tests.data.statistics import assert_drawn_from


@pytest.mark.parametrize(("world_size", "num_micro_batches"), [(1, 2), (2, 1), (2, 2), (4, 1)])
def test_a_step_has_the_same_clips_whoever_trains(world_size: int, num_micro_batches: int) -> None:
    def lists_of(process: ProcessRank, num_micro_batches: int) -> list[list[tuple[int, int]]]:
        sampler = EpochSampler([0] * 11, seed=4)
        sampler.set_epoch(2)
        return list(
            RankBatches(
                sampler,
                batch_size=4,
                process=process,
                num_micro_batches=num_micro_batches,
                drop_last=True,
            )
        )

    steps = lists_of(SINGLE_PROCESS, 1)
    assert [len(step) for step in steps] == [4, 4]
    shares = [
        lists_of(ProcessRank(rank, world_size), num_micro_batches) for rank in range(world_size)
    ]
    for number, step in enumerate(steps):
        numbers = range(number * num_micro_batches, (number + 1) * num_micro_batches)
        together = [clip for index in numbers for share in shares for clip in share[index]]
        assert together == step


def test_a_step_that_cannot_be_shared_is_an_error() -> None:
    with pytest.raises(ValueError, match="a batch of 4 clips has no 3 equal parts"):
        RankBatches(range(9), batch_size=4, process=ProcessRank(0, 3), drop_last=True)


def test_class_balanced_draws_every_class_as_often() -> None:
    labels = [0] * 90 + [1] * 9 + [2]
    sampler = EpochSampler(labels, seed=3, class_balanced=True)
    drawn: list[int] = []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        indices = [index for _, index in sampler]
        assert len(indices) == 100
        drawn += indices
    assert_drawn_from([labels[index] for index in drawn], {0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
    assert_drawn_from([index for index in drawn if index < 90], dict.fromkeys(range(90), 1 / 90))


def test_class_balanced_resumes_in_mid_epoch_with_the_same_draws() -> None:
    whole = EpochSampler([0, 0, 0, 1], seed=5, class_balanced=True)
    whole.set_epoch(2)
    rest = EpochSampler([0, 0, 0, 1], seed=5, class_balanced=True)
    rest.set_epoch(2)
    rest.num_clips_done = 3
    assert list(rest) == list(whole)[3:]
