"""Frames of noise, as decoded frames lie in memory."""

from __future__ import annotations

import torch


def noise(num_frames: int, height: int, width: int) -> torch.Tensor:
    """Frames that differ, laid out as they are decoded: channels last in memory."""
    generator = torch.Generator().manual_seed(3)
    shape = (num_frames, height, width, 3)
    frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return frames.permute(0, 3, 1, 2)
