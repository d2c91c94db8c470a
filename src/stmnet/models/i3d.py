"""I3D on ResNet-50: a 2D ResNet some of whose kernels are inflated along time.

Source: Carreira and Zisserman, "Quo vadis, action recognition?" (CVPR 2017) for inflation; Wang et
al., "Non-local neural networks" (CVPR 2018), section 4, for the 3x1x1 kernels in every second
block; Wang and Gupta, "Videos as space-time region graphs" (ECCV 2018), for the network that the
paper's Table 4 quotes: no temporal stride but one pooling, and a last stage that keeps 14x14.

Every operator is a 2D one over frames (N*T, C, H, W) in channels_last, which CPUs run several times
faster than 3D convolutions, and every weight a 2D kernel's.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stmnet.models.resnet import Bottleneck, ResNet
from stmnet.models.temporal import temporal_convolution, temporal_max_pool

# Which blocks of the four stages have a 3x1x1 convolution for their first 1x1.
INFLATED = (
    (True, True, True),
    (True, False, True, False),
    (True, False, True, False, True, False),
    (False, True, False),
)


class InflatedConv2d(nn.Conv2d):
    """A 2D convolution one of whose axes, `time_axis` of the weight, is `length` times as long."""

    length: ClassVar[int]
    time_axis: ClassVar[int]

    def inflate(self, kernel: Tensor) -> Tensor:
        """Repeat a 2D network's kernel along time and divide it, as Carreira and Zisserman do.

        So a still clip gives what its picture gave.
        """
        return torch.cat([kernel] * self.length, dim=self.time_axis) / self.length


class InflatedStem(InflatedConv2d):
    """The 5x7x7 convolution in front: (N*T, 3, H, W) -> (N*T, C, H/2, W/2), zeros beyond the clip.

    A frame and the two at each side of it are stacked as channels, for a 7x7
    convolution: the same sum.
    """

    length = 5
    time_axis = 1

    def __init__(self, out_channels: int, *, num_frames: int) -> None:
        super().__init__(3 * self.length, out_channels, 7, stride=2, padding=3, bias=False)
        self.num_frames = num_frames

    def forward(self, frames: Tensor) -> Tensor:
        # (N*T, 3, H, W) -> (N, T + 4, 3, H, W)
        clips = F.pad(frames.unflatten(0, (-1, self.num_frames)), (0, 0, 0, 0, 0, 0, 2, 2))
        # five times (N, T, 3, H, W) -> (N, T, 15, H, W) -> (N*T, 15, H, W)
        neighbors = torch.cat(
            [clips[:, i : i + self.num_frames] for i in range(self.length)], dim=2
        ).flatten(0, 1)
        return super().forward(neighbors.contiguous(memory_format=torch.channels_last))


class InflatedPointwise(InflatedConv2d):
    """A 3x1x1 convolution, zeros beyond the clip: (N*T, C, H, W) -> (N*T, C', H, W)."""

    length = 3
    time_axis = 2

    def __init__(self, in_channels: int, out_channels: int, *, num_frames: int) -> None:
        # Over the view (N, C, T, H*W) time is the height, and a 3x1x1 kernel is (3, 1).
        super().__init__(in_channels, out_channels, (3, 1), padding=(1, 0), bias=False)
        self.num_frames = num_frames

    def forward(self, frames: Tensor) -> Tensor:
        return temporal_convolution(frames, self.weight, self.num_frames, self.bias)


class TemporalMaxPool(nn.Module):
    """3x1x1 max-pool of stride 2 over time: (N*T, C, H, W) -> (N*T/2, C, H, W), T/2 rounded up."""

    def __init__(self, *, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    def forward(self, frames: Tensor) -> Tensor:
        return temporal_max_pool(frames, self.num_frames)


class I3DBottleneck(Bottleneck):
    """A bottleneck whose first convolution may be inflated to 3x1x1.

    `pool`: a temporal max-pool stands in front of the block. `pooled`: one stands in front of this
    block or of one before it, so that half of the network's `num_frames` are left.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        num_frames: int,
        inflated: bool,
        pool: bool = False,
        pooled: bool = False,
    ) -> None:
        frames_left = (num_frames + 1) // 2 if pooled else num_frames
        super().__init__(in_channels, channels, stride=stride, num_frames=frames_left)
        self.pool = TemporalMaxPool(num_frames=num_frames) if pool else nn.Identity()
        if inflated:
            self.conv1 = InflatedPointwise(in_channels, channels, num_frames=frames_left)

    def forward(self, frames: Tensor) -> Tensor:
        return super().forward(self.pool(frames))


class I3D(ResNet):
    """I3D on ResNet-50: (N, T, 3, H, W) float, normalized -> logits (N, `num_classes`).

    Time is halved once, by a max-pool in front of the second stage. The stages' strides are
    1, 2, 2, 1: with 2 in the last the network has 0.75 of the multiply-adds that Table 4 quotes
    (153 G for 32 frames of 224x224), with 1 just these.
    """

    def __init__(
        self, *, num_classes: int, num_frames: int = 32, width: int = 64, dropout: float = 0.5
    ) -> None:
        layout = [
            [
                partial(
                    I3DBottleneck,
                    inflated=inflated,
                    pool=(stage, index) == (1, 0),
                    pooled=stage >= 1,
                )
                for index, inflated in enumerate(blocks)
            ]
            for stage, blocks in enumerate(INFLATED)
        ]
        super().__init__(
            layout,
            num_classes=num_classes,
            num_frames=num_frames,
            width=width,
            dropout=dropout,
            strides=(1, 2, 2, 1),
        )
        self.conv1 = InflatedStem(width, num_frames=num_frames)
        self.reset_parameters()
        self.to(memory_format=torch.channels_last)
