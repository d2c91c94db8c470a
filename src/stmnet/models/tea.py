"""TEA: Res2Net bottlenecks that excite moving channels and aggregate over time part by part.

Source: Li et al., "TEA: temporal excitation and aggregation for action recognition" (CVPR 2020),
sections 3.1 (ME, Eq. 1 to 5) and 3.2 (MTA); Gao et al., "Res2Net" (TPAMI 2021) for the trunk, of
26 channels x 4 parts. The starts of the temporal parts and the scale of the excitation are those
of TEA's public code.

Inside a network frames lie as (N*T, C, H, W) in channels_last.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from stmnet.models.resnet import Block, shortcut
from stmnet.models.stm import ChannelwiseTemporalConv

SCALE = 4  # s: the parts of a block's channels
BASE_WIDTH = 26  # w: channels of one part in the first stage, where a ResNet has 64 in all


class MotionExcitation(nn.Module):
    """ME (TEA's Eq. 1 to 5): channels that differ from frame to frame are made stronger.

    (N*T, C, H, W) -> the same shape. On channels reduced by `reduction`, the motion of a frame is
    the next frame, transformed, minus the frame itself; the last frame's is zero. Its mean over the
    picture gives one factor a channel, between 0.5 and 1.5.

    The paper has the excitation A = 2 sigmoid(...) - 1; its code, and so we, sigmoid(...) - 0.5.
    """

    def __init__(self, channels: int, *, num_frames: int, reduction: int = 16) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        self.num_frames = num_frames
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn_reduced = nn.BatchNorm2d(reduced)
        self.transform = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.bn_expanded = nn.BatchNorm2d(channels)

    def forward(self, frames: Tensor) -> Tensor:
        features = self.bn_reduced(self.reduce(frames))
        # The mean over the picture is linear: taken before the difference, it spares whole maps.
        # (N*T, C/r, H, W) -> (N, T, C/r, 1, 1)
        itself = self.avgpool(features).unflatten(0, (-1, self.num_frames))
        transformed = self.avgpool(self.transform(features)).unflatten(0, (-1, self.num_frames))
        motion = transformed[:, 1:] - itself[:, :-1]
        motion = torch.cat([motion, torch.zeros_like(itself[:, :1])], dim=1).flatten(0, 1)
        excitation = torch.sigmoid(self.bn_expanded(self.expand(motion))) - 0.5
        return frames + frames * excitation


def temporal_convs(width: int, *, num_frames: int) -> nn.ModuleList:
    """One a part. Parts 1 to 3 start as the identity, the last as a shift, one half each way."""
    convs = [ChannelwiseTemporalConv(width, num_frames=num_frames) for _ in range(SCALE)]
    with torch.no_grad():
        for conv in convs:
            conv.weight.zero_()
        for conv in convs[:-1]:
            conv.weight[:, :, 1] = 1
        convs[-1].weight[: width // 2, :, 2] = 1  # from the next frame
        convs[-1].weight[width // 2 :, :, 0] = 1  # from the one before
    return nn.ModuleList(convs)


class TEABottleneck(Block):
    """TEA block: 1x1, motion excitation, multiple temporal aggregation (section 3.2), 1x1.

    The parts carry the names of Res2Net's, so that its ImageNet weights load by name.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, num_frames: int
    ) -> None:
        super().__init__()
        width = channels * BASE_WIDTH // 64
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width * SCALE, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * SCALE)
        self.me = MotionExcitation(width * SCALE, num_frames=num_frames)
        self.temporal = temporal_convs(width, num_frames=num_frames)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
            for _ in range(SCALE - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SCALE - 1))
        self.conv3 = nn.Conv2d(width * SCALE, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, out_channels, stride)
        # A stage's first block is the one whose shortcut is a projection.
        self.first_of_stage = self.downsample is not None
        self.pool = nn.AvgPool2d(3, stride, padding=1) if self.first_of_stage else nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        features = self.aggregate(self.me(features))
        features = self.bn3(self.conv3(features))
        return self.relu(features + identity)

    def aggregate(self, features: Tensor) -> Tensor:
        """MTA: each part is convolved over time and space, and added to the part after it.

        (N*T, 4w, H, W) -> (N*T, 4w, H', W'). So the last parts see the most frames. A stage's first
        block adds nothing: its parts change size. The last part is convolved over time alone.
        """
        *parts, last = features.chunk(SCALE, dim=1)
        results: list[Tensor] = []
        for part, temporal, conv, bn in zip(
            parts, self.temporal, self.convs, self.bns, strict=False
        ):
            if results and not self.first_of_stage:
                part = part + results[-1]
            results.append(self.relu(bn(conv(temporal(part)))))
        results.append(self.pool(self.temporal[-1](last)))
        return torch.cat(results, dim=1)
