"""STM: every residual block of a 2D ResNet sums spatiotemporal and motion features.

Source: the paper's sections 3.1 (CSTM), 3.2 (CMM) and 3.4 (STM block).

Inside a network frames lie as (N*T, C, H, W) in channels_last, that is N, T, H*W, C in memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stmnet.models.resnet import BasicBlock, Bottleneck


class ChannelwiseTemporalConv(nn.Module):
    """Channel-wise temporal convolution (Eq. 1): every channel has its own kernel over time.

    (N*T, C, H, W) -> the same shape. Kernel size 3, zeros beyond both ends of the clip.

    Paper silent: the start. A part shift: the first quarter of the channels sees the frame
    before, the last quarter the frame after, the rest the frame itself.
    """

    def __init__(self, channels: int, *, num_frames: int) -> None:
        super().__init__()
        self.channels = channels
        self.num_frames = num_frames
        self.weight = nn.Parameter(torch.zeros(channels, 1, 3, 1))
        with torch.no_grad():
            quarter = channels // 4
            before, itself, after = self.weight[:, 0, :, 0].unbind(dim=1)
            before[:quarter] = 1
            itself[quarter : channels - quarter] = 1
            after[channels - quarter :] = 1

    def forward(self, frames: Tensor) -> Tensor:
        num_images, channels, height, width = frames.shape
        # (N*T, C, H, W) -> (N, C, T, H*W). In channels_last this is a view: nothing is copied,
        # and the temporal convolution is a 2D one, which every engine and export format has.
        clips = (
            frames.permute(0, 2, 3, 1)
            .reshape(-1, self.num_frames, height * width, channels)
            .permute(0, 3, 1, 2)
        )
        clips = F.conv2d(clips, self.weight, padding=(1, 0), groups=channels)
        # (N, C, T, H*W) -> (N*T, C, H, W)
        return (
            clips.permute(0, 2, 3, 1)
            .reshape(num_images, height, width, channels)
            .permute(0, 3, 1, 2)
        )

    def extra_repr(self) -> str:
        return f"{self.channels}, num_frames={self.num_frames}"


class CSTM(nn.Conv2d):
    """Channel-wise spatiotemporal module (section 3.1): Eq. 1, then a 3x3 convolution.

    (N*T, C, H, W) -> (N*T, C', H', W'). It is the block's 3x3 convolution with a temporal one in
    front, so that its weight keeps the name it has in a plain ResNet. The temporal convolution
    runs at the block's input resolution, before the stride.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, num_frames: int, stride: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.temporal = ChannelwiseTemporalConv(in_channels, num_frames=num_frames)

    def forward(self, frames: Tensor) -> Tensor:
        return super().forward(self.temporal(frames))


class CMM(nn.Module):
    """Channel-wise motion module (Eq. 2): a frame's features minus the next frame's, transformed.

    (N*T, C, H, W) -> (N*T, C, H', W'). Channels are reduced by `reduction`, at least to one, and
    restored after the difference. The last time step has no next frame: its motion is zero.

    With stride 2 the module runs at full resolution and ends in a 2x2 max-pool.

    Paper silent: the start of the transform. It starts as the identity, so that the module begins
    as the plain difference of neighbours, the high temporal frequency of Eq. 7.
    """

    def __init__(
        self, channels: int, *, num_frames: int, stride: int = 1, reduction: int = 16
    ) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        self.num_frames = num_frames
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn = nn.BatchNorm2d(reduced)
        self.transform = ChannelwiseTransform(reduced)
        self.restore = nn.Conv2d(reduced, channels, 1, bias=False)
        # ceil_mode: odd sizes end as large as those of a strided 3x3 convolution
        self.pool = nn.Identity() if stride == 1 else nn.MaxPool2d(stride, ceil_mode=True)

    def forward(self, frames: Tensor) -> Tensor:
        features = self.bn(self.reduce(frames))
        # (N*T, C/r, H, W) -> (N, T, C/r, H, W), views
        per_clip = features.unflatten(0, (-1, self.num_frames))
        transformed = self.transform(features).unflatten(0, (-1, self.num_frames))

        motion = torch.zeros_like(features)
        steps = motion.unflatten(0, (-1, self.num_frames))
        steps[:, :-1] = per_clip[:, :-1] - transformed[:, 1:]

        return self.pool(self.restore(motion))


class ChannelwiseTransform(nn.Module):
    """The learnt 3x3 transform K of Eq. 2, one kernel a channel, shared by all time steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.zeros(channels, 1, 3, 3))
        nn.init.dirac_(self.weight, groups=channels)

    def forward(self, frames: Tensor) -> Tensor:
        return F.conv2d(frames, self.weight, padding=1, groups=self.channels)

    def extra_repr(self) -> str:
        return f"{self.channels}"


class STMBottleneck(Bottleneck):
    """STM block on ResNet-50's and 101's bottleneck (section 3.4, Fig. 3)."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        num_frames: int,
        reduction: int = 16,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, num_frames=num_frames)
        self.conv2 = CSTM(channels, channels, num_frames=num_frames, stride=stride)
        self.cmm = CMM(channels, num_frames=num_frames, stride=stride, reduction=reduction)

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        spatiotemporal = self.relu(self.bn2(self.conv2(features)))
        features = spatiotemporal + self.cmm(features)
        features = self.bn3(self.conv3(features))
        return self.relu(features + identity)


class STMBasicBlock(BasicBlock):
    """STM block on ResNet-18's and 34's basic block.

    Paper silent. The second 3x3 convolution, which has no stride, becomes the CSTM; the CMM runs
    beside it on the same features, and the sum goes through the batch normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        num_frames: int,
        reduction: int = 16,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, num_frames=num_frames)
        self.conv2 = CSTM(channels, channels, num_frames=num_frames)
        self.cmm = CMM(channels, num_frames=num_frames, reduction=reduction)

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        features = self.bn2(self.conv2(features) + self.cmm(features))
        return self.relu(features + identity)
