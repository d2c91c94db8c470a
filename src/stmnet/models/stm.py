"""STM: every residual block of a 2D ResNet sums spatiotemporal and motion features.

Source: the paper's sections 3.1 (CSTM), 3.2 (CMM) and 3.4 (STM block), and the variants of its
ablations (`stmnet.models.stm_options`).

Inside a network frames lie as (N*T, C, H, W) in channels_last, that is N, T, H*W, C in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stmnet.models.resnet import BasicBlock, BlockBuilder, Bottleneck
from stmnet.models.stm_options import PAPER, STAGES, STMOptions
from stmnet.models.stm_variants import (
    ChannelwiseCSTM,
    Concatenation,
    LowFrequency,
    StandardTemporalConv,
    StandardTransform,
    Sum,
)
from stmnet.models.temporal import (
    partial_shift_kernels,
    recompute_in_backward,
    temporal_convolution,
    temporal_difference,
)


class ChannelwiseTemporalConv(nn.Module):
    """Channel-wise temporal convolution (Eq. 1): every channel has its own kernel over time.

    (N*T, C, H, W) -> the same shape. Kernel size 3, zeros beyond both ends of the clip.

    Paper silent: the initial kernels. A partial shift (`partial_shift_kernels`).
    """

    def __init__(self, channels: int, *, num_frames: int) -> None:
        super().__init__()
        self.channels = channels
        self.num_frames = num_frames
        self.weight = nn.Parameter(partial_shift_kernels(channels))

    def forward(self, frames: Tensor) -> Tensor:
        return temporal_convolution(frames, self.weight, self.num_frames)

    def extra_repr(self) -> str:
        return f"{self.channels}, num_frames={self.num_frames}"


def build_temporal_conv(
    channels: int, *, num_frames: int, options: STMOptions
) -> ChannelwiseTemporalConv | StandardTemporalConv | LowFrequency:
    """Eq. 1 by `kernels` (Table 8) and `cstm_temporal` (Table 10)."""
    if options.kernels == "frequency":
        return LowFrequency(channels, num_frames=num_frames)
    if options.cstm_temporal == "standard":
        return StandardTemporalConv(channels, num_frames=num_frames)
    return ChannelwiseTemporalConv(channels, num_frames=num_frames)


class CSTM(nn.Conv2d):
    """Channel-wise spatiotemporal module (section 3.1): Eq. 1, then a 3x3 convolution.

    (N*T, C, H, W) -> (N*T, C', H', W'). It is the block's 3x3 convolution with a temporal one in
    front, so that its weight keeps the name it has in a plain ResNet. The temporal convolution
    runs at the block's input resolution, before the stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_frames: int,
        stride: int = 1,
        options: STMOptions = PAPER,
    ) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.temporal = build_temporal_conv(in_channels, num_frames=num_frames, options=options)

    def forward(self, frames: Tensor) -> Tensor:
        temporal = self.temporal
        features = temporal(frames)
        # A whole feature map, which no plain block saves for its backward.
        recompute = partial(temporal_convolution, frames, temporal.weight, temporal.num_frames)
        with recompute_in_backward(features, recompute):
            return super().forward(features)


def cstm(
    channels: int, *, num_frames: int, stride: int = 1, options: STMOptions
) -> CSTM | ChannelwiseCSTM:
    """CSTM by `cstm_spatial` (Table 10)."""
    if options.cstm_spatial == "channelwise":
        temporal = build_temporal_conv(channels, num_frames=num_frames, options=options)
        return ChannelwiseCSTM(temporal, channels, stride=stride)
    return CSTM(channels, channels, num_frames=num_frames, stride=stride, options=options)


class CMM(nn.Module):
    """Channel-wise motion module (Eq. 2): a frame's features minus the next frame's, transformed.

    (N*T, C, H, W) -> (N*T, C, H', W'). Channels are reduced by r, at least to one, and restored
    after the difference. The last time step has no next frame: its motion is zero.

    With stride 2 the module runs at full resolution and ends in a 2x2 max-pool.

    Paper silent: the start of the transform. It starts as the identity, so that the module begins
    as the plain difference of neighbors, the high temporal frequency of Eq. 7. Beside a trained
    trunk the module adds nothing at first (`start_from_trained_trunk`).
    """

    def __init__(
        self, channels: int, *, num_frames: int, stride: int = 1, options: STMOptions = PAPER
    ) -> None:
        super().__init__()
        reduced = max(1, channels // options.reduction)
        self.num_frames = num_frames
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn = nn.BatchNorm2d(reduced)
        self.transform = motion_transform(reduced, options=options)
        self.restore = nn.Conv2d(reduced, channels, 1, bias=False)
        # ceil_mode: odd sizes end as large as those of a strided 3x3 convolution
        self.pool = nn.Identity() if stride == 1 else nn.MaxPool2d(stride, ceil_mode=True)

    def forward(self, frames: Tensor) -> Tensor:
        features = self.bn(self.reduce(frames))
        motion = temporal_difference(features, self.transform(features), self.num_frames)
        return self.pool(self.restore(motion))

    def start_from_trained_trunk(self) -> None:
        """Add nothing at first: what the trunk was trained to give stays as it is."""
        nn.init.zeros_(self.restore.weight)


class ChannelwiseTransform(nn.Module):
    """The learned 3x3 transform K of Eq. 2, one kernel a channel, shared by all time steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(nn.init.dirac_(torch.zeros(channels, 1, 3, 3), channels))

    def forward(self, frames: Tensor) -> Tensor:
        return F.conv2d(frames, self.weight, padding=1, groups=self.channels)

    def extra_repr(self) -> str:
        return f"{self.channels}"


def motion_transform(channels: int, *, options: STMOptions) -> nn.Module:
    """K of Eq. 2 by `kernels` (Table 8) and `cmm_transform` (Table 10)."""
    if options.kernels == "frequency":
        # A kernel whose center is 1 and whose other elements are 0: the difference of neighbors,
        # Eq. 7's F[1].
        return nn.Identity()
    if options.cmm_transform == "standard":
        return StandardTransform(channels)
    return ChannelwiseTransform(channels)


class STMBottleneck(Bottleneck):
    """STM block on ResNet-50's and 101's bottleneck (section 3.4, Fig. 3)."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        num_frames: int,
        options: STMOptions = PAPER,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, num_frames=num_frames)
        if options.has_cstm:
            self.conv2 = cstm(channels, num_frames=num_frames, stride=stride, options=options)
        self.cmm: CMM | None = None
        if options.has_cmm:
            self.cmm = CMM(channels, num_frames=num_frames, stride=stride, options=options)
            self.fusion = Sum() if options.fusion == "sum" else Concatenation(channels)

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        spatiotemporal = self.relu(self.bn2(self.conv2(features)))
        if self.cmm is not None:
            spatiotemporal = self.fusion(spatiotemporal, self.cmm(features))
        features = self.bn3(self.conv3(spatiotemporal))
        return self.relu(features + identity)


class STMBasicBlock(BasicBlock):
    """STM block on ResNet-18's and 34's basic block.

    Paper silent. The second 3x3 convolution, which has no stride, becomes the CSTM; the CMM runs
    beside it on the same features, and what they are fused to goes through the batch
    normalization.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        num_frames: int,
        options: STMOptions = PAPER,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, num_frames=num_frames)
        if options.has_cstm:
            self.conv2 = cstm(channels, num_frames=num_frames, options=options)
        self.cmm: CMM | None = None
        if options.has_cmm:
            self.cmm = CMM(channels, num_frames=num_frames, options=options)
            self.fusion = Sum() if options.fusion == "sum" else Concatenation(channels)

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        spatiotemporal = self.conv2(features)
        if self.cmm is not None:
            spatiotemporal = self.fusion(spatiotemporal, self.cmm(features))
        return self.relu(self.bn2(spatiotemporal) + identity)


def stm_layout(
    plain_block: BlockBuilder,
    stm_block: type[STMBottleneck] | type[STMBasicBlock],
    blocks_per_stage: Sequence[int],
    *,
    options: STMOptions,
) -> list[list[BlockBuilder]]:
    """Which blocks are STM blocks (Table 9): by `stages` and `blocks`, all sixteen in STM-50."""
    with_stm: BlockBuilder = partial(stm_block, options=options)
    layout = []
    for stage, num_blocks in zip(STAGES, blocks_per_stage, strict=True):
        num_stm = options.num_blocks(stage, num_blocks)
        layout.append([with_stm] * num_stm + [plain_block] * (num_blocks - num_stm))
    return layout
