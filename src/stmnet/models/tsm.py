"""TSM: in front of a block's first convolution, some channels come from the neighboring frames.

Source: Lin et al., "TSM: temporal shift module for efficient video understanding" (ICCV 2019),
section 3, with its residual shift (Fig. 3b): the skip path keeps the frames as they are.

Inside a network frames lie as (N*T, C, H, W) in channels_last, that is N, T, H*W, C in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stmnet.models.resnet import BasicBlock, BlockBuilder, Bottleneck
from stmnet.models.temporal import temporal_shift


class ShiftedConv2d(nn.Conv2d):
    """A convolution with the shift in front: its weight keeps the name of a plain ResNet's."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        num_frames: int,
        stride: int = 1,
    ) -> None:
        padding = kernel_size // 2
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.num_frames = num_frames

    def forward(self, frames: Tensor) -> Tensor:
        return super().forward(temporal_shift(frames, num_frames=self.num_frames))


class TSMBottleneck(Bottleneck):
    """The bottleneck of ResNet-50 and 101, shifted in front of its first 1x1 convolution."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, num_frames: int
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, num_frames=num_frames)
        self.conv1 = ShiftedConv2d(in_channels, channels, 1, num_frames=num_frames)


class TSMBasicBlock(BasicBlock):
    """The block of ResNet-18 and 34, shifted in front of its first 3x3 convolution."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, num_frames: int
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, num_frames=num_frames)
        self.conv1 = ShiftedConv2d(in_channels, channels, 3, num_frames=num_frames, stride=stride)


def every_second_block(blocks_per_stage: Sequence[int]) -> list[list[BlockBuilder]]:
    """The layout of ResNet-101: its stages are so long that every second block is shifted."""
    return [
        [TSMBottleneck if index % 2 == 0 else Bottleneck for index in range(num_blocks)]
        for num_blocks in blocks_per_stage
    ]
