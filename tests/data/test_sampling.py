"""Which frames are drawn: by exact enumeration, and by chi-square where there is chance."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import get_args

import pytest
import torch

from stmnet.data.option_types import Sampling
from stmnet.data.sampling import (
    SAMPLINGS,
    center_segment_indices,
    random_clips,
    random_dense_indices,
    random_segment_indices,
    random_segment_indices_without_tail,
    same_parts_of_time,
    seeded_generator,
    segment_bounds,
)
from tests.data.statistics import assert_drawn_from, uniform


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("num_segments", [1, 3, 8, 16])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 8, 9, 17, 24, 100])
def test_segments_cover_every_frame(num_frames: int, num_segments: int) -> None:
    bounds = segment_bounds(num_frames, num_segments)
    assert len(bounds) == num_segments
    covered = {frame for start, end in bounds for frame in range(start, end)}
    assert covered == set(range(num_frames))
    if num_frames >= num_segments:
        # Disjoint, and as equal as whole numbers allow.
        assert sum(end - start for start, end in bounds) == num_frames
        lengths = {end - start for start, end in bounds}
        assert max(lengths) - min(lengths) <= 1


def test_random_frames_are_uniform_within_their_segments(generator: torch.Generator) -> None:
    draws = [random_segment_indices(11, 4, generator) for _ in range(4000)]
    # 11 frames in quarters end at 2.75, 5.5, 8.25 and 11: the tail is the last segment's.
    segments = [[0, 1], [2, 3, 4], [5, 6, 7], [8, 9, 10]]
    for drawn, frames in zip(zip(*draws, strict=True), segments, strict=True):
        assert_drawn_from(drawn, uniform(frames))


def test_segments_are_drawn_independently(generator: torch.Generator) -> None:
    draws = [tuple(random_segment_indices(6, 2, generator)) for _ in range(3000)]
    assert_drawn_from(
        draws, uniform((first, 3 + second) for first in range(3) for second in range(3))
    )


def test_the_usual_rule_by_its_name_loses_the_tail(generator: torch.Generator) -> None:
    rule = SAMPLINGS["segments_without_tail"]
    draws = [rule(11, 4, generator) for _ in range(3000)]
    for k, drawn in enumerate(zip(*draws, strict=True)):
        # k * (L // T) + randint(L // T)
        assert_drawn_from(drawn, uniform([2 * k, 2 * k + 1]))
    assert max(map(max, draws)) == 7, "of 11 frames the last three are never drawn"


def test_dense_windows_start_anywhere_they_fit(generator: torch.Generator) -> None:
    draws = [random_dense_indices(20, 4, generator, window_frames=12) for _ in range(4000)]
    assert all(drawn == [drawn[0] + stride for stride in (0, 3, 6, 9)] for drawn in draws)
    assert_drawn_from([drawn[0] for drawn in draws], uniform(range(9)))


@pytest.mark.parametrize("draw", SAMPLINGS.values())
def test_short_videos_follow_one_rule(
    draw: Callable[[int, int, torch.Generator], list[int]], generator: torch.Generator
) -> None:
    for num_segments in (4, 8, 16):
        for num_frames in range(1, num_segments + 1):
            expected = [int(Fraction(k * num_frames, num_segments)) for k in range(num_segments)]
            assert draw(num_frames, num_segments, generator) == expected
            assert set(expected) == set(range(num_frames)), "every frame there is is shown"


@pytest.mark.parametrize("draw", SAMPLINGS.values())
def test_frames_are_in_order_and_in_the_video(
    draw: Callable[[int, int, torch.Generator], list[int]], generator: torch.Generator
) -> None:
    for num_frames in (1, 7, 8, 24, 63, 64, 65, 200):
        for _ in range(20):
            indices = draw(num_frames, 8, generator)
            assert len(indices) == 8
            assert indices == sorted(indices)
            assert indices[0] >= 0
            assert indices[-1] < num_frames


def test_every_name_has_its_rule() -> None:
    assert set(SAMPLINGS) == set(get_args(Sampling))
    assert SAMPLINGS["segments"] is random_segment_indices
    assert SAMPLINGS["segments_without_tail"] is random_segment_indices_without_tail
    assert SAMPLINGS["dense"] is random_dense_indices


@pytest.mark.parametrize(
    ("num_frames", "num_segments", "expected"),
    [
        (24, 8, [1, 4, 7, 10, 13, 16, 19, 22]),
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
        (10, 3, [1, 5, 8]),
        (1, 2, [0, 0]),
    ],
)
def test_center_frames(num_frames: int, num_segments: int, expected: list[int]) -> None:
    assert center_segment_indices(num_frames, num_segments) == expected


@pytest.mark.parametrize("num_segments", [*range(1, 17), 25, 32])
def test_center_frames_are_the_usual_rule_without_its_rounding(num_segments: int) -> None:
    for num_frames in range(1, 200):
        ours = center_segment_indices(num_frames, num_segments)
        length = Fraction(num_frames, num_segments)
        assert ours == [int(length / 2 + length * k) for k in range(num_segments)]
        in_floats = [
            int(num_frames / num_segments / 2 + num_frames / num_segments * k)
            for k in range(num_segments)
        ]
        if num_segments in (1, 2, 4, 8, 16, 32):
            assert ours == in_floats, "T of the paper: nothing is rounded"
    # One of the places where floats fall short: 6 / 7 / 2 + 6 / 7 * 3 is 3.
    assert center_segment_indices(6, 7)[3] == 3
    assert int(6 / 7 / 2 + 6 / 7 * 3) == 2


@pytest.mark.parametrize(("sampling", "draw"), SAMPLINGS.items())
def test_random_clips_are_training_draws_one_after_the_other(
    generator: torch.Generator,
    sampling: Sampling,
    draw: Callable[[int, int, torch.Generator], list[int]],
) -> None:
    clips = random_clips(100, 8, generator, num_clips=10, sampling=sampling)
    again = torch.Generator().manual_seed(0)
    assert clips == [draw(100, 8, again) for _ in range(10)]
    assert len({tuple(clip) for clip in clips}) >= 5


def test_every_pair_of_numbers_has_draws_of_its_own() -> None:
    seeds = [(0, 0), (0, 1), (1, 0), (7, 3), (3, 7), (7, 2**40)]
    draws = [int(torch.randint(2**62, (), generator=seeded_generator(*s))) for s in seeds]
    assert len(set(draws)) == len(seeds)
    assert draws == [int(torch.randint(2**62, (), generator=seeded_generator(*s))) for s in seeds]


def test_at_a_constant_rate_time_is_the_index() -> None:
    for num_frames in (1, 5, 24, 61):
        timestamps = [0.5 + frame / 12 for frame in range(num_frames)]
        indices = center_segment_indices(num_frames, 8)
        assert same_parts_of_time(indices, timestamps) == indices


def test_by_time_the_frame_is_the_one_on_screen(generator: torch.Generator) -> None:
    gaps = torch.rand(40, generator=generator, dtype=torch.float64)
    timestamps = (0.5 + gaps.cumsum(0)).tolist()
    average = (timestamps[-1] - timestamps[0]) / 39
    by_scanning = []
    for part in range(40):
        middle = timestamps[0] + (part + 0.5) * average
        by_scanning.append(max(n for n, time in enumerate(timestamps) if time <= middle))
    assert same_parts_of_time(range(40), timestamps) == by_scanning
    # Ten frames in the first second, and one a second later: half of the time is the tenth.
    slow = [*(frame / 10 for frame in range(10)), 1.9]
    assert same_parts_of_time([0, 5, 7, 10], slow) == [0, 9, 9, 10]


@pytest.mark.parametrize("choose", [segment_bounds, center_segment_indices])
def test_no_frames_or_no_segments_is_refused(choose: Callable[[int, int], object]) -> None:
    with pytest.raises(ValueError, match="cannot split 0 frames into 8 segments"):
        choose(0, 8)
    with pytest.raises(ValueError, match="cannot split 8 frames into 0 segments"):
        choose(8, 0)


@pytest.mark.parametrize("draw", SAMPLINGS.values())
def test_nothing_is_drawn_from_nothing(
    draw: Callable[[int, int, torch.Generator], list[int]], generator: torch.Generator
) -> None:
    with pytest.raises(ValueError, match="cannot split 0 frames into 8 segments"):
        draw(0, 8, generator)
    with pytest.raises(ValueError, match="cannot split 8 frames into 0 segments"):
        draw(8, 0, generator)


def test_impossible_times_are_refused() -> None:
    with pytest.raises(ValueError, match="must not descend"):
        same_parts_of_time([0], [0.0, 0.2, 0.1])
    with pytest.raises(ValueError, match=r"frame numbers \[3\] of 3 frames"):
        same_parts_of_time([3], [0.0, 0.1, 0.2])
