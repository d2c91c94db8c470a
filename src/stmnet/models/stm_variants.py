"""The parts that the paper's ablations put in the place of STM's own (Tables 7, 8 and 10)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stmnet.models.temporal import partial_shift_kernels, temporal_convolution


class StandardTemporalConv(nn.Module):
    """Eq. 1 as a standard convolution (Table 10): every channel sees all of them over time.

    It starts as the channel-wise one does: other channels weigh nothing at first.
    """

    def __init__(self, channels: int, *, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.weight = nn.Parameter(
            torch.eye(channels)[:, :, None, None] * partial_shift_kernels(channels)
        )

    def forward(self, frames: Tensor) -> Tensor:
        return temporal_convolution(frames, self.weight, self.num_frames)


class LowFrequency(nn.Module):
    """Eq. 1 with its kernels fixed at [0, 1, 1] (Table 8): a frame plus the next, Eq. 7's F[0]."""

    weight: Tensor

    def __init__(self, channels: int, *, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        kernels = torch.tensor([0.0, 1.0, 1.0]).view(1, 1, 3, 1).repeat(channels, 1, 1, 1)
        # Not part of the weights: no file that is loaded can change what is fixed.
        self.register_buffer("weight", kernels, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        return temporal_convolution(frames, self.weight, self.num_frames)


class ChannelwiseCSTM(nn.Module):
    """CSTM whose 3x3 convolution, too, is channel-wise (Table 10): (N*T, C, H, W) -> the same C.

    No ImageNet weights fit that convolution: it has a name of its own, `spatial`, and is newly
    initialized.
    """

    def __init__(self, temporal: nn.Module, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.temporal = temporal
        self.spatial = nn.Conv2d(
            channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.spatial(self.temporal(frames))


class StandardTransform(nn.Module):
    """Eq. 2's transform as a standard 3x3 convolution (Table 10); it starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.dirac_(torch.zeros(channels, channels, 3, 3)))

    def forward(self, frames: Tensor) -> Tensor:
        return F.conv2d(frames, self.weight, padding=1)


class Sum(nn.Module):
    """Fusion by element-wise summation, the paper's own (section 3.4)."""

    def forward(self, spatiotemporal: Tensor, motion: Tensor) -> Tensor:
        return spatiotemporal + motion


class Concatenation(nn.Module):
    """Fusion by concatenation and a 1x1 convolution, 2C -> C (Table 7).

    Paper silent: batch normalization after it (none) and its start (that of every convolution;
    the sum beside a trained trunk).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, spatiotemporal: Tensor, motion: Tensor) -> Tensor:
        return self.mix(torch.cat([spatiotemporal, motion], dim=1))

    def start_from_trained_trunk(self) -> None:
        """Start as the sum: the features that the trunk was trained to give stay as they are."""
        identity = nn.init.dirac_(torch.empty_like(self.mix.weight[:, : len(self.mix.weight)]))
        self.mix.weight.data = torch.cat([identity, identity], dim=1)
