"""ECO: a 2D network's early maps of all frames, stacked over time and read by a 3D network.

Source: Zolfaghari et al., "ECO: efficient convolutional network for online video understanding"
(ECCV 2018), section 3. The 2D network is BN-Inception (Ioffe and Szegedy, ICML 2015); the 3D one is
a 3D ResNet-18 (Tran et al., 2017) from its third stage on, with pre-activation.

Frames lie as (N*T, C, H, W) in channels_last, clips as (N, C, T, H, W) in channels_last_3d: the
same memory, so that going from one to the other copies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stmnet.models.resnet import frames_of_clips


@dataclass(frozen=True)
class Branches:
    """Channels of an inception block's branches.

    `single`: a 1x1 convolution. `triple`: a 1x1 and a 3x3 one. `double`: a 1x1 and two 3x3 ones of
    the same number. `projection`: a 1x1 one after a pool (max-pool if `max_pool`, else average).

    A block without `single` and `projection` halves the maps by its last 3x3 ones and its pool.
    """

    single: int
    triple: tuple[int, int]
    double: tuple[int, int]
    projection: int
    max_pool: bool = False


STAGE_3 = (
    Branches(64, (64, 64), (64, 96), 32),
    Branches(64, (64, 96), (64, 96), 64),
)
STAGES_4_AND_5 = (
    Branches(224, (64, 96), (96, 128), 128),
    Branches(192, (96, 128), (96, 128), 128),
    Branches(160, (128, 160), (128, 160), 128),
    Branches(96, (128, 192), (160, 192), 128),
    Branches(0, (128, 192), (192, 256), 0, max_pool=True),
    Branches(352, (192, 320), (160, 224), 128),
    Branches(352, (192, 320), (192, 224), 128, max_pool=True),
)


def conv2d(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """BN-Inception's element: convolution, batch normalization, ReLU."""
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def max_pool(stride: int) -> nn.MaxPool2d:
    """3x3. Padded as the convolutions beside it are, so that maps of odd sizes fit, too."""
    return nn.MaxPool2d(3, stride, padding=1)


class Inception(nn.Module):
    """An inception block: branches side by side, their channels concatenated."""

    def __init__(self, in_channels: int, branches: Branches, *, width: int) -> None:
        super().__init__()
        single, projection = (n * width // 64 for n in (branches.single, branches.projection))
        triple = [n * width // 64 for n in branches.triple]
        double = [n * width // 64 for n in branches.double]
        stride = 1 if branches.single else 2

        self.branches = nn.ModuleList()
        if branches.single:
            self.branches.append(conv2d(in_channels, single, 1))
        self.branches.append(
            nn.Sequential(
                conv2d(in_channels, triple[0], 1),
                conv2d(triple[0], triple[1], 3, stride),
            )
        )
        self.branches.append(
            nn.Sequential(
                conv2d(in_channels, double[0], 1),
                conv2d(double[0], double[1], 3),
                conv2d(double[1], double[1], 3, stride),
            )
        )
        pool = max_pool(stride) if branches.max_pool else nn.AvgPool2d(3, stride, padding=1)
        last = nn.Sequential(pool)
        if branches.projection:
            last.append(conv2d(in_channels, projection, 1))
        self.branches.append(last)
        self.out_channels = single + triple[1] + double[1] + (projection or in_channels)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


def inceptions(
    in_channels: int, blocks: tuple[Branches, ...], *, width: int
) -> tuple[nn.Sequential, int]:
    """Inception blocks in sequence, and their number of output channels."""
    modules = nn.Sequential()
    for branches in blocks:
        block = Inception(in_channels, branches, width=width)
        modules.append(block)
        in_channels = block.out_channels
    return modules, in_channels


class ImageStream(nn.Module):
    """What ECO-Full has beside the 3D network: BN-Inception's rest, from block 3c on.

    (N*T, 320, H, W) and what 3c's double branch has made of it so far, (N*T, 96, H, W) ->
    (N, 1024), the mean over frames and places.
    """

    def __init__(self, in_channels: int, *, num_frames: int, width: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.triple_3c = nn.Sequential(
            conv2d(in_channels, width * 2, 1), conv2d(width * 2, width * 160 // 64, 3, 2)
        )
        shared = width * 96 // 64
        self.double_3c = conv2d(shared, shared, 3, 2)
        self.pool_3c = max_pool(2)
        channels = width * 160 // 64 + shared + in_channels
        self.blocks, self.out_channels = inceptions(channels, STAGES_4_AND_5, width=width)
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, maps: Tensor, shared: Tensor) -> Tensor:
        branches = [self.triple_3c(maps), self.double_3c(shared), self.pool_3c(maps)]
        maps = self.blocks(torch.cat(branches, dim=1))
        # (N*T, 1024, H, W) -> (N*T, 1024) -> (N, T, 1024) -> (N, 1024)
        features = self.avgpool(maps).flatten(1)
        return features.unflatten(0, (-1, self.num_frames)).mean(dim=1)


def conv3d(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv3d:
    """3x3x3, strided in time and space alike."""
    return nn.Conv3d(in_channels, out_channels, 3, stride, padding=1, bias=False)


class ResidualBlock3d(nn.Module):
    """Two 3x3x3 convolutions, normalized before, beside the identity.

    Where the block is strided, a 3x3x3 convolution of the normalized input takes the identity's
    place.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm3d(in_channels)
        self.conv1 = conv3d(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm3d(out_channels)
        self.conv2 = conv3d(out_channels, out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None if stride == 1 else conv3d(in_channels, out_channels, stride)

    def forward(self, clips: Tensor) -> Tensor:
        activated = self.relu(self.bn1(clips))
        identity = clips if self.downsample is None else self.downsample(activated)
        features = self.relu(self.bn2(self.conv1(activated)))
        return self.conv2(features) + identity


class ECO(nn.Module):
    """ECO-Lite, or ECO-Full with `image_stream`.

    Input: (N, T, 3, H, W) float, normalized, T = `num_frames`. Output: logits (N, `num_classes`).

    BN-Inception up to the first 3x3 convolution of block 3c's double branch (96 x 28 x 28 of
    224 x 224), then the stages res3 to res5 of the 3D network, halved in time and space at res4 and
    res5. ECO-Full joins the 3D network's 512 features and the image stream's 1024.

    Paper silent: dropout before the classifier. 0.5 as elsewhere.
    """

    def __init__(
        self,
        *,
        image_stream: bool,
        num_classes: int,
        num_frames: int = 16,
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        stage_3, channels = inceptions(width * 3, STAGE_3, width=width)
        self.stem = nn.Sequential(
            conv2d(3, width, 7, 2),
            max_pool(2),
            conv2d(width, width, 1),
            conv2d(width, width * 3, 3),
            max_pool(2),
        )
        self.stage_3 = stage_3
        shared = width * 96 // 64
        self.shared_3c = nn.Sequential(conv2d(channels, width, 1), conv2d(width, shared, 3))
        self.stages_3d = nn.Sequential(
            conv3d(shared, width * 2),
            ResidualBlock3d(width * 2, width * 2),
            ResidualBlock3d(width * 2, width * 4, stride=2),
            ResidualBlock3d(width * 4, width * 4),
            ResidualBlock3d(width * 4, width * 8, stride=2),
            ResidualBlock3d(width * 8, width * 8),
            nn.BatchNorm3d(width * 8),
            nn.ReLU(inplace=True),
        )
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        num_features = width * 8
        self.image_stream = None
        if image_stream:
            self.image_stream = ImageStream(channels, num_frames=num_frames, width=width)
            num_features += self.image_stream.out_channels
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(num_features, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He et al.'s normal, as in the other networks; weights lie as the maps they meet."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)
            elif isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)

    def forward(self, clips: Tensor) -> Tensor:
        frames = frames_of_clips(clips, self.num_frames)
        maps = self.stage_3(self.stem(frames))  # (N*T, 320, H/8, W/8)
        shared = self.shared_3c(maps)
        # (N*T, 96, H/8, W/8) -> (N, T, 96, H/8, W/8) -> (N, 96, T, H/8, W/8)
        volumes = shared.unflatten(0, (-1, self.num_frames)).transpose(1, 2)
        features = self.avgpool(self.stages_3d(volumes)).flatten(1)  # (N, 512)
        if self.image_stream is not None:
            features = torch.cat([features, self.image_stream(maps, shared)], dim=1)
        return self.fc(self.dropout(features))
