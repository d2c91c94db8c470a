"""Convolution over time of frames that lie as (N*T, C, H, W), in channels_last without a copy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve_over_time(frames: Tensor, kernels: Tensor, num_frames: int) -> Tensor:
    """Convolution over time, zeros beyond both ends of the clip: (N*T, C, H, W) -> the same shape.

    `kernels`: (C, 1, 3, 1), one a channel, or (C, C, 3, 1), every channel seeing all.
    """
    num_images, channels, height, width = frames.shape
    # (N*T, C, H, W) -> (N, C, T, H*W). In channels_last this is a view: nothing is copied,
    # and the temporal convolution is a 2D one, which every engine and export format has.
    clips = (
        frames.permute(0, 2, 3, 1)
        .reshape(-1, num_frames, height * width, channels)
        .permute(0, 3, 1, 2)
    )
    clips = F.conv2d(clips, kernels, padding=(1, 0), groups=channels // kernels.shape[1])
    # (N, C, T, H*W) -> (N*T, C, H, W)
    return (
        clips.permute(0, 2, 3, 1).reshape(num_images, height, width, channels).permute(0, 3, 1, 2)
    )


def part_shift(channels: int) -> Tensor:
    """Kernels (C, 1, 3, 1): a quarter of the channels sees the frame before, the last quarter the
    frame after, the rest the frame itself.
    """
    quarter = channels // 4
    kernels = torch.zeros(channels, 1, 3, 1)
    before, itself, after = kernels[:, 0, :, 0].unbind(dim=1)
    before[:quarter] = 1
    itself[quarter : channels - quarter] = 1
    after[channels - quarter :] = 1
    return kernels
