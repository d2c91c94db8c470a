"""Which frames of a video make a clip: pure functions from lengths to frame numbers.

Short videos, one rule for all: where a video has fewer frames than are asked for, the clip is laid
over the frames there are, evenly; frames repeat, in order; nothing is padded and nothing wraps.

By index where frames come at a constant rate, and by time (`indices_at_times`) where they do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch

from stmnet.data.option_types import Sampling

DENSE_WINDOW = 64
"""Frames from which a dense clip is drawn.

Paper silent: it has no dense sampling. 64 is what the TSN/TSM line uses for T = 8 (stride 8).
"""

RandomSampler = Callable[[int, int, torch.Generator], list[int]]
"""(number of frames, T, generator) -> T ascending frame numbers."""


def segment_bounds(num_frames: int, num_segments: int) -> list[tuple[int, int]]:
    """Split `num_frames` frames into equal segments: half-open [start, end), each of one or more.

    Together they cover every frame, the tail included (the usual code of the TSN/TSM line rounds
    the segment length down and never samples the last `num_frames % num_segments` frames).
    """
    _validate_lengths(num_frames, num_segments)
    bounds = []
    for segment in range(num_segments):
        start = segment * num_frames // num_segments
        end = (segment + 1) * num_frames // num_segments
        bounds.append((start, max(end, start + 1)))
    return bounds


def random_segment_indices(
    num_frames: int, num_segments: int, generator: torch.Generator
) -> list[int]:
    """One frame drawn uniformly from each segment, for training (section 4.2)."""
    return [
        _random_integer(start, end, generator)
        for start, end in segment_bounds(num_frames, num_segments)
    ]


def random_segment_indices_without_tail(
    num_frames: int, num_segments: int, generator: torch.Generator
) -> list[int]:
    """One frame from each segment by the TSN/TSM line's rule, to compare with its results.

    Segments of `num_frames // num_segments` frames from the first frame on; the remaining
    `num_frames % num_segments` frames are never drawn. A video with fewer frames than segments
    follows this module's rule; that line's code takes its first frame `num_segments` times.
    """
    length = num_frames // num_segments if num_segments > 0 else 0
    if length == 0:
        return random_segment_indices(num_frames, num_segments, generator)
    return [
        _random_integer(segment * length, (segment + 1) * length, generator)
        for segment in range(num_segments)
    ]


def random_dense_indices(
    num_frames: int,
    num_segments: int,
    generator: torch.Generator,
    *,
    window_frames: int = DENSE_WINDOW,
) -> list[int]:
    """Frames at a stride of `window_frames / num_segments` in a window that starts at random.

    Every start at which the window fits is equally likely, the last one included.
    """
    last_start = max(num_frames - window_frames, 0)
    start = _random_integer(0, last_start + 1, generator)
    return _window_indices(start, min(window_frames, num_frames), num_segments)


SAMPLINGS: dict[Sampling, RandomSampler] = {
    "segments": random_segment_indices,
    "segments_without_tail": random_segment_indices_without_tail,
    "dense": random_dense_indices,
}


def center_segment_indices(num_frames: int, num_segments: int) -> list[int]:
    """The middle frame of each segment, for evaluation.

    The usual `int(L / T / 2 + L / T * k)` in whole numbers: in floats that sum can fall just below
    the whole number it should be, which gives the frame before.
    """
    _validate_lengths(num_frames, num_segments)
    return [(2 * k + 1) * num_frames // (2 * num_segments) for k in range(num_segments)]


def random_clips(
    num_frames: int,
    num_segments: int,
    generator: torch.Generator,
    *,
    num_clips: int,
    sampling: Sampling,
) -> list[list[int]]:
    """`num_clips` clips drawn as in training, for testing with many views (section 4.2)."""
    draw = SAMPLINGS[sampling]
    return [draw(num_frames, num_segments, generator) for _ in range(num_clips)]


def seed_of(*numbers: int) -> int:
    """One seed made of several numbers, which differs where any of them does."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seeded_generator(*numbers: int) -> torch.Generator:
    """A generator of its own for every tuple of so many numbers, as a seed and a clip's place."""
    return torch.Generator().manual_seed(seed_of(*numbers))


def same_parts_of_time(indices: Sequence[int], timestamps_seconds: Sequence[float]) -> list[int]:
    """The frames shown at those parts of the time where `indices` would lie at a constant rate.

    N frames share the time from the first to the end of the last into N equal parts; number i
    becomes the frame that a player shows in the middle of part i. `timestamps_seconds` are all
    frames' in presentation order; the last frame is taken to last as long as the average one.
    """
    if any(later < earlier for earlier, later in pairwise(timestamps_seconds)):
        raise ValueError("timestamps must not descend")
    num_frames = len(timestamps_seconds)
    if not all(0 <= index < num_frames for index in indices):
        raise ValueError(f"frame numbers {list(indices)} of {num_frames} frames")
    first, last = timestamps_seconds[0], timestamps_seconds[-1]
    part_seconds = (last - first) / max(1, num_frames - 1)
    return [
        bisect_right(timestamps_seconds, first + (index + 0.5) * part_seconds) - 1
        for index in indices
    ]


def _window_indices(start: int, window_frames: int, num_segments: int) -> list[int]:
    _validate_lengths(window_frames, num_segments)
    return [start + k * window_frames // num_segments for k in range(num_segments)]


def _random_integer(start: int, end: int, generator: torch.Generator) -> int:
    return int(torch.randint(start, end, (), generator=generator))


def _validate_lengths(num_frames: int, num_segments: int) -> None:
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"cannot split {num_frames} frames into {num_segments} segments")
