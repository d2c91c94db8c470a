"""Convolution over time of frames that lie as (N*T, C, H, W), in channels_last without a copy."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def clips_of(frames: Tensor, num_frames: int) -> Tensor:
    """(N*T, C, H, W) -> (N, C, T, H*W). In channels_last this is a view: nothing is copied, and an
    operator over time is a 2D one, which every engine and export format has.
    """
    _, channels, height, width = frames.shape
    return (
        frames.permute(0, 2, 3, 1)
        .reshape(-1, num_frames, height * width, channels)
        .permute(0, 3, 1, 2)
    )


def frames_of(clips: Tensor, height: int, width: int) -> Tensor:
    """(N, C, T, H*W) -> (N*T, C, H, W), the way back."""
    channels = clips.shape[1]
    return clips.permute(0, 2, 3, 1).reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def convolve_over_time(
    frames: Tensor, kernels: Tensor, num_frames: int, bias: Tensor | None = None
) -> Tensor:
    """Convolution over time, zeros beyond both ends of the clip: (N*T, C, H, W) -> (N*T, C', H, W).

    `kernels`: (C, 1, 3, 1), one a channel, or (C', C, 3, 1), every channel seeing all.
    """
    clips = clips_of(frames, num_frames)
    groups = clips.shape[1] // kernels.shape[1]
    clips = F.conv2d(clips, kernels, bias, padding=(1, 0), groups=groups)
    return frames_of(clips, *frames.shape[2:])


def computed_anew_in_backward(
    tensor: Tensor, compute: Callable[[], Tensor]
) -> AbstractContextManager[None]:
    """Operators that run within do not keep `tensor` for their backward: `compute` gives it again.

    It does so in the same precision, so that the gradients are the same. A compiler decides for
    itself what it keeps.
    """
    if not tensor.requires_grad or tensor.is_meta or torch.compiler.is_compiling():
        return nullcontext()
    device = tensor.device.type
    dtype = torch.get_autocast_dtype(device)
    is_autocast = torch.is_autocast_enabled(device)
    # autograd holds on to `pack`, and through it would to the tensor
    to_drop = weakref.ref(tensor)

    def pack(used: Tensor) -> Tensor | None:
        return None if used is to_drop() else used

    def unpack(kept: Tensor | None) -> Tensor:
        if kept is not None:
            return kept
        with torch.autocast(device, dtype=dtype, enabled=is_autocast):
            return compute()

    return saved_tensors_hooks(pack, unpack)


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
