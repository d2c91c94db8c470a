"""From decoded frames to what a network takes. All frames of a clip get the same draw.

A clip is a uint8 tensor (T, 3, H, W) until it is normalised on the device. The transforms are
torchvision's `transforms.v2`, and classes in their protocol for what they do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its clips; stored with its weights.

    `num_frames` is T; the short side is resized to `short_side` pixels, then a square of
    `crop_size` pixels is cut; `mean` and `std` are of RGB in [0, 1].
    """

    num_frames: int
    short_side: int
    crop_size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def center_view(self) -> v2.Transform:
        """The transform of the centre view: (T, 3, H, W) -> (T, 3, crop, crop), both uint8."""
        return v2.Compose(
            [v2.Resize(self.short_side, antialias=True), v2.CenterCrop(self.crop_size)]
        )

    def normalize(self, clips: Tensor) -> Tensor:
        """(..., 3, H, W) uint8 in [0, 255] -> float32, about zero mean and unit variance."""
        shape = (3, 1, 1)
        mean = torch.tensor(self.mean, device=clips.device).view(shape)
        std = torch.tensor(self.std, device=clips.device).view(shape)
        return (clips.float() / 255 - mean) / std


class RandomMirror(nn.Module):
    """Flip the whole clip left to right, and its label where the flip changes the action.

    `mirrored_labels` gives for every class id the id of its mirror image.
    """

    def __init__(self, mirrored_labels: Sequence[int], probability: float = 0.5) -> None:
        super().__init__()
        self.mirrored_labels = list(mirrored_labels)
        self.probability = probability

    def forward(self, frames: Tensor, label: int) -> tuple[Tensor, int]:
        if torch.rand(()) >= self.probability:
            return frames, label
        return frames.flip(-1), self.mirrored_labels[label]


@dataclass(frozen=True)
class Augmentation:
    """The random distortion A of section 4.2, drawn once a clip.

    The short side is scaled to one of `short_sides` pixels (scale jitter) before the crop;
    `brightness`, `contrast`, `saturation` and `hue` are torchvision's ColorJitter strengths.

    Paper silent: the strengths and probabilities. Their defaults are the recipe's.
    """

    short_sides: Sequence[int]
    flip_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grayscale_probability: float

    def view(self, crop_size: int, *, mirrored_labels: Sequence[int]) -> v2.Transform:
        """The transform (frames, label) -> (frames, label); frames (T, 3, crop, crop) uint8.

        Its random numbers come from torch's global generator, as torchvision's transforms want
        it: seed that generator inside `torch.random.fork_rng`.
        """
        return v2.Compose(
            [
                v2.RandomShortestSize(list(self.short_sides), antialias=True),
                v2.RandomCrop(crop_size),
                RandomMirror(mirrored_labels, self.flip_probability),
                v2.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue),
                v2.RandomGrayscale(self.grayscale_probability),
            ]
        )
