"""The one 2D trunk: a ResNet that takes a block, sees each frame alone and averages the scores.

With its own blocks it is TSN. Other networks hand in blocks that look along time. Every part that
torchvision's ResNet has too carries torchvision's name, so ImageNet weights load by name.

Source: He et al., "Deep residual learning" (stride in the bottleneck's 3x3, as torchvision);
Wang et al., "Temporal segment networks" (consensus by averaging).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn


class BlockBuilder(Protocol):
    """What the trunk calls to make a block: a `Block`'s class, or a function."""

    def __call__(
        self, in_channels: int, channels: int, *, stride: int, num_frames: int
    ) -> Block: ...


class Block(nn.Module):
    """A residual block: `channels` inside, `channels * expansion` at its end."""

    expansion: ClassVar[int]


def every_block(
    build_block: BlockBuilder, blocks_per_stage: Sequence[int]
) -> list[list[BlockBuilder]]:
    """The layout of a network with one type of block."""
    return [[build_block] * num_blocks for num_blocks in blocks_per_stage]


def frames_of_clips(clips: Tensor, num_frames: int) -> Tensor:
    """(N, T, 3, H, W) -> (N*T, 3, H, W), channels_last. `ValueError` for any other shape."""
    if clips.ndim != 5 or clips.shape[1:3] != (num_frames, 3):
        raise ValueError(
            f"clips: expected shape (N, {num_frames}, 3, H, W), not {tuple(clips.shape)}. "
            f"num_frames of this network is {num_frames}."
        )
    return clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """The projection on the skip path, or None where the identity fits."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(Block):
    """Two 3x3 convolutions, the first one strided (ResNet-18 and 34)."""

    expansion: ClassVar[int] = 1

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, num_frames: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2: nn.Module = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, channels, stride)

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        features = self.bn2(self.conv2(features))
        return self.relu(features + identity)


class Bottleneck(Block):
    """1x1, 3x3 (strided), 1x1 convolutions (ResNet-50 and 101)."""

    expansion: ClassVar[int] = 4

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, num_frames: int
    ) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2: nn.Module = nn.Conv2d(
            channels, channels, 3, stride=stride, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, frames: Tensor) -> Tensor:
        identity = frames if self.downsample is None else self.downsample(frames)
        features = self.relu(self.bn1(self.conv1(frames)))
        features = self.relu(self.bn2(self.conv2(features)))
        features = self.bn3(self.conv3(features))
        return self.relu(features + identity)


class ResNet(nn.Module):
    """A 2D ResNet over the frames of a clip, with temporal average pooling of the scores.

    Input: (N, T, 3, H, W) float, normalized, T = `num_frames`. Output: logits (N, `num_classes`).

    `layout` holds, for each of the four stages, what builds each of its blocks, so that every
    block can be of its own kind; `width` is the number of channels of the stem (64 in the papers;
    smaller makes the whole network narrower). `strides` are the stages' own.

    Paper silent: dropout before the classifier. 0.5 as in the TSN/TSM line.
    """

    def __init__(
        self,
        layout: Sequence[Sequence[BlockBuilder]],
        *,
        num_classes: int,
        num_frames: int,
        width: int = 64,
        dropout: float = 0.5,
        strides: Sequence[int] = (1, 2, 2, 2),
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        self._in_channels = width
        self.layer1 = self._stage(layout[0], width, stride=strides[0])
        self.layer2 = self._stage(layout[1], width * 2, stride=strides[1])
        self.layer3 = self._stage(layout[2], width * 4, stride=strides[2])
        self.layer4 = self._stage(layout[3], width * 8, stride=strides[3])

        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self._in_channels, num_classes)
        self.reset_parameters()
        # The frames lie in channels_last inside; weights that do too spare a copy at every step.
        self.to(memory_format=torch.channels_last)

    def _stage(
        self, build_blocks: Sequence[BlockBuilder], channels: int, *, stride: int
    ) -> nn.Sequential:
        blocks = []
        for build_block in build_blocks:
            block = build_block(
                self._in_channels, channels, stride=stride, num_frames=self.num_frames
            )
            blocks.append(block)
            self._in_channels = channels * block.expansion
            stride = 1  # only a stage's first block is strided
        return nn.Sequential(*blocks)

    def reset_parameters(self) -> None:
        """Draw fresh weights for the convolutions, by He et al.'s normal as torchvision does.

        The temporal parts of other networks' blocks are not `nn.Conv2d` and keep their own start.
        Paper silent: the classifier, which starts as `nn.Linear` does.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        frames = frames_of_clips(clips, self.num_frames)
        features = self.maxpool(self.relu(self.bn1(self.conv1(frames))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        features = self.avgpool(features).flatten(1)  # (N*T, C)
        logits = self.fc(self.dropout(features))
        # (N*T, K) -> (N, T, K) -> (N, K): temporal average pooling, of the time steps left
        return logits.unflatten(0, (clips.shape[0], -1)).mean(dim=1)
