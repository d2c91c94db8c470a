"""Which frames of a video make a clip: pure functions from lengths to frame numbers.

Short videos: where a video has fewer frames than the clip, segments overlap and frames repeat, in
order; nothing is padded.
"""

from __future__ import annotations

import torch


def segment_bounds(num_frames: int, num_segments: int) -> list[tuple[int, int]]:
    """Split `num_frames` frames into equal segments: half-open [start, end), each of one or more.

    Together they cover every frame, the tail included (the usual code of the TSN/TSM line rounds
    the segment length down and never samples the last `num_frames % num_segments` frames).
    """
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"cannot split {num_frames} frames into {num_segments} segments")
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
        int(torch.randint(start, end, (), generator=generator))
        for start, end in segment_bounds(num_frames, num_segments)
    ]


def center_segment_indices(num_frames: int, num_segments: int) -> list[int]:
    """The middle frame of each segment, for evaluation."""
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"cannot split {num_frames} frames into {num_segments} segments")
    return [(2 * k + 1) * num_frames // (2 * num_segments) for k in range(num_segments)]
