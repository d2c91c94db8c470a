"""The paper's equations as loops, and what the tests of networks feed them with."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

NUM_CLIPS = 2


def random_frames(num_frames: int, channels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(num_frames * 1000 + channels)
    shape = (NUM_CLIPS * num_frames, channels, height, width)
    frames = torch.randn(shape, generator=generator, dtype=torch.float64)
    return frames.contiguous(memory_format=torch.channels_last)


def randomize(module: torch.nn.Module) -> torch.nn.Module:
    """Random weights and batch-norm statistics, so that no part hides behind a neutral start."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    stored = module.state_dict()
    for name, buffer in module.named_buffers():
        # What is not stored with the weights is fixed.
        if name in stored and buffer.is_floating_point():
            buffer.data = torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.5
    return module.double().eval()


def eq1_loop(frames: Tensor, kernel: Tensor, num_frames: int) -> Tensor:
    """G[c, t] = sum over i in -1..1 of K[c, i] F[c, t + i]; zeros outside the clip."""
    clips = frames.unflatten(0, (-1, num_frames))
    result = torch.zeros_like(clips)
    for n, t, c in itertools.product(*map(range, clips.shape[:3])):
        for i in (-1, 0, 1):
            if 0 <= t + i < num_frames:
                result[n, t, c] += kernel[c, i + 1] * clips[n, t + i, c]
    return result.flatten(0, 1)


def eq2_loop(features: Tensor, kernel: Tensor, num_frames: int) -> Tensor:
    """H[t, c, h, w] = F[t, c, h, w] - sum over i, j of K[c, i, j] F[t+1, c, h+i, w+j]; 0 last."""
    clips = features.unflatten(0, (-1, num_frames))
    _, _, channels, height, width = clips.shape
    result = torch.zeros_like(clips)
    for n, t, c in itertools.product(range(len(clips)), range(num_frames - 1), range(channels)):
        for h, w in itertools.product(range(height), range(width)):
            moved = torch.zeros((), dtype=clips.dtype)
            for i, j in itertools.product((-1, 0, 1), repeat=2):
                if 0 <= h + i < height and 0 <= w + j < width:
                    moved += kernel[c, i + 1, j + 1] * clips[n, t + 1, c, h + i, w + j]
            result[n, t, c, h, w] = clips[n, t, c, h, w] - moved
    return result.flatten(0, 1)


def max_pool_2x2_loop(maps: Tensor) -> Tensor:
    height, width = -(-maps.shape[2] // 2), -(-maps.shape[3] // 2)
    result = maps.new_empty((*maps.shape[:2], height, width))
    for h, w in itertools.product(range(height), range(width)):
        result[:, :, h, w] = maps[:, :, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2].amax(dim=(2, 3))
    return result


def eq1_standard_loop(frames: Tensor, kernel: Tensor, num_frames: int) -> Tensor:
    """Table 10's "all ordinary": G[o, t] = sum over c and i of K[o, c, i] F[c, t + i]."""
    clips = frames.unflatten(0, (-1, num_frames))
    result = torch.zeros_like(clips)
    for n, t, o, c in itertools.product(*map(range, clips.shape[:3]), range(clips.shape[2])):
        for i in (-1, 0, 1):
            if 0 <= t + i < num_frames:
                result[n, t, o] += kernel[o, c, i + 1] * clips[n, t + i, c]
    return result.flatten(0, 1)


def eq2_standard_loop(features: Tensor, kernel: Tensor, num_frames: int) -> Tensor:
    """As Eq. 2, K[o, c, i, j] summed over the channels c, too: Table 10's standard CMM."""
    result = torch.zeros_like(features)
    channels = features.shape[1]
    for o, c in itertools.product(range(channels), range(channels)):
        one = features[:, c : c + 1]
        # Eq. 2 for one channel gives F[t] - K * F[t+1]; what is wanted of it is K * F[t+1].
        moved = one - eq2_loop(one, kernel[o, c : c + 1], num_frames)
        result[:, o] -= moved[:, 0]
    clips = (result + features).unflatten(0, (-1, num_frames))
    clips[:, -1] = 0
    return clips.flatten(0, 1)


def conv3x3_loop(maps: Tensor, weight: Tensor, *, stride: int) -> Tensor:
    """A 3x3 convolution from its definition, standard or (one input a kernel) channel-wise."""
    num_outputs, num_inputs = weight.shape[:2]
    height, width = -(-maps.shape[2] // stride), -(-maps.shape[3] // stride)
    result = maps.new_zeros((len(maps), num_outputs, height, width))
    for o, h, w in itertools.product(range(num_outputs), range(height), range(width)):
        seen = maps[:, o : o + 1] if num_inputs == 1 else maps
        for i, j in itertools.product((-1, 0, 1), repeat=2):
            y, x = h * stride + i, w * stride + j
            if 0 <= y < maps.shape[2] and 0 <= x < maps.shape[3]:
                result[:, o, h, w] += seen[:, :, y, x] @ weight[o, :, i + 1, j + 1]
    return result


def conv1x1_loop(maps: Tensor, weight: Tensor, *, stride: int = 1) -> Tensor:
    """A 1x1 convolution: a matrix over the channels."""
    return torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], maps[:, :, ::stride, ::stride])


def batch_norm_loop(maps: Tensor, module: torch.nn.Module) -> Tensor:
    """Batch normalization with stored statistics."""
    scale = module.weight / (module.running_var + module.eps).sqrt()
    moved = maps - module.running_mean.view(1, -1, 1, 1)
    return moved * scale.view(1, -1, 1, 1) + module.bias.view(1, -1, 1, 1)
