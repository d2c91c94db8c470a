"""Every operator over time: convolution, difference, shift, max-pool.

Each takes and gives frames as (N*T, C, H, W). In channels_last, which is N, T, H*W, C in memory,
the clips of a batch are a view of its frames, so that nothing is copied. Over that view an operator
over time is a 2D one, which every engine and export format has.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def frames_to_clips(frames: Tensor, num_frames: int) -> Tensor:
    """(N*T, C, H, W) -> (N, C, T, H*W); a view where the frames are channels_last."""
    _, channels, height, width = frames.shape
    return (
        frames.permute(0, 2, 3, 1)
        .reshape(-1, num_frames, height * width, channels)
        .permute(0, 3, 1, 2)
    )


def clips_to_frames(clips: Tensor, height: int, width: int) -> Tensor:
    """(N, C, T, H*W) -> (N*T, C, H, W): the inverse of `frames_to_clips`."""
    channels = clips.shape[1]
    return clips.permute(0, 2, 3, 1).reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def temporal_convolution(
    frames: Tensor, kernels: Tensor, num_frames: int, bias: Tensor | None = None
) -> Tensor:
    """Convolution over time, zero-padded at both ends: (N*T, C, H, W) -> (N*T, C', H, W).

    `kernels`: (C, 1, 3, 1) for a channel-wise convolution (Eq. 1), (C', C, 3, 1) for a standard
    one.
    """
    clips = frames_to_clips(frames, num_frames)
    groups = clips.shape[1] // kernels.shape[1]
    clips = F.conv2d(clips, kernels, bias, padding=(1, 0), groups=groups)
    return clips_to_frames(clips, *frames.shape[2:])


def temporal_difference(frames: Tensor, transformed: Tensor, num_frames: int) -> Tensor:
    """Eq. 2: each frame minus the next one, `transformed`; zero for the last. The same shape."""
    clips = frames_to_clips(frames, num_frames)
    next_clips = frames_to_clips(transformed, num_frames)
    motion = F.pad(clips[:, :, :-1] - next_clips[:, :, 1:], (0, 0, 0, 1))
    return clips_to_frames(motion, *frames.shape[2:])


def temporal_shift(frames: Tensor, *, num_frames: int) -> Tensor:
    """TSM's shift: an eighth of the channels is the next frame's, an eighth the previous one's.

    (N*T, C, H, W) -> the same shape. Zeros where the clip has no such frame. A quarter moves in
    all, the proportion that served TSM best behind a residual connection (its section 5.2).
    """
    num_images, channels, height, width = frames.shape
    # (N*T, C, H, W) -> (N, T, H*W, C), a view in channels_last
    clips = frames.permute(0, 2, 3, 1).reshape(-1, num_frames, height * width, channels)
    eighth = channels // 8
    # Split and concatenated: written into one tensor instead, autograd would copy the whole
    # gradient once for each part, and the compiler would ask of every element where it is from.
    from_next, from_last, still = clips.split([eighth, eighth, channels - 2 * eighth], dim=3)
    from_next = F.pad(from_next[:, 1:], (0, 0, 0, 0, 0, 1))
    from_last = F.pad(from_last[:, :-1], (0, 0, 0, 0, 1, 0))
    shifted = torch.cat([from_next, from_last, still], dim=3)
    # (N, T, H*W, C) -> (N*T, C, H, W)
    return shifted.reshape(num_images, height, width, channels).permute(0, 3, 1, 2)


def temporal_max_pool(frames: Tensor, num_frames: int) -> Tensor:
    """3x1x1 max-pool of stride 2 over time: (N*T, C, H, W) -> (N*T/2, C, H, W), T/2 rounded up."""
    clips = frames_to_clips(frames, num_frames)
    clips = F.max_pool2d(clips, (3, 1), stride=(2, 1), padding=(1, 0))
    return clips_to_frames(clips, *frames.shape[2:])


def partial_shift_kernels(channels: int) -> Tensor:
    """Kernels (C, 1, 3, 1) that shift a part of the channels: the first quarter sees the frame
    before, the last quarter the frame after, the rest the frame itself.
    """
    quarter = channels // 4
    kernels = torch.zeros(channels, 1, 3, 1)
    before, itself, after = kernels[:, 0, :, 0].unbind(dim=1)
    before[:quarter] = 1
    itself[quarter : channels - quarter] = 1
    after[channels - quarter :] = 1
    return kernels


# Not torch.utils.checkpoint: around both convolutions it saves as much and, stopping early, does
# not rerun the 3x3, but its bookkeeping is 1 ms a block: 8 % of a step of recipes/motion_stm.yaml.
def recompute_in_backward(
    tensor: Tensor, recompute: Callable[[], Tensor]
) -> AbstractContextManager[None]:
    """Operators run in this context do not save `tensor` for backward: `recompute` gives it again.

    It runs under the autocast of the forward pass, so that the gradients are the same. Where a
    compiler traces the network, it decides by itself what it saves.
    """
    if not tensor.requires_grad or tensor.is_meta or torch.compiler.is_compiling():
        return nullcontext()
    device = tensor.device.type
    dtype = torch.get_autocast_dtype(device)
    is_autocast = torch.is_autocast_enabled(device)
    # autograd holds on to `pack`, and through it would to the tensor
    dropped = weakref.ref(tensor)

    def pack(saved: Tensor) -> Tensor | None:
        return None if saved is dropped() else saved

    def unpack(packed: Tensor | None) -> Tensor:
        if packed is not None:
            return packed
        with torch.autocast(device, dtype=dtype, enabled=is_autocast):
            return recompute()

    return saved_tensors_hooks(pack, unpack)
