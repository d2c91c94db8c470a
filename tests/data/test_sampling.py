"""Segment sampling: every frame reachable, one frame a segment, by exact enumeration."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from stmnet.data.sampling import (
    center_segment_indices,
    random_segment_indices,
    segment_bounds,
)


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


def test_random_frames_are_uniform_within_their_segments() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = 8000
    counts = Counter(
        frame for _ in range(draws) for frame in random_segment_indices(11, 4, generator)
    )
    for start, end in segment_bounds(11, 4):
        expected = draws / (end - start)
        chi_square = sum((counts[f] - expected) ** 2 / expected for f in range(start, end))
        # 99.9 % quantile for up to two degrees of freedom
        assert chi_square < 13.8
    assert counts[10] > 0, "the tail is sampled too"


def test_random_frames_keep_the_order_and_repeat_in_short_videos() -> None:
    generator = torch.Generator().manual_seed(0)
    assert random_segment_indices(3, 8, generator) == [0, 0, 0, 1, 1, 1, 2, 2]
    for _ in range(100):
        indices = random_segment_indices(24, 8, generator)
        assert indices == sorted(indices)


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
    # The field's rule, by hand: int(L / T / 2 + L / T * k)
    by_rule = [
        int(num_frames / num_segments / 2 + num_frames / num_segments * k)
        for k in range(num_segments)
    ]
    assert expected == by_rule


@pytest.mark.parametrize("choose", [segment_bounds, center_segment_indices])
def test_no_frames_or_no_segments_is_refused(choose: object) -> None:
    with pytest.raises(ValueError, match="cannot split 0 frames into 8 segments"):
        choose(0, 8)
    with pytest.raises(ValueError, match="cannot split 8 frames into 0 segments"):
        choose(8, 0)
