"""From decoded frames to what a network takes. All frames of a clip get the same draw.

A clip is a uint8 tensor (T, 3, H, W) until it is normalized on the device. The transforms are
torchvision's `transforms.v2`, and classes in their protocol for what they do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from stmnet.data.colors import RandomColors, apply_colors
from stmnet.data.crops import MultiScaleCrop, ThreeCrops
from stmnet.data.option_types import Crop, NumCropPositions

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its clips; stored with its weights.

    `num_frames` is T, spread over the clip's frames, or with `by_time` over its time; the short
    side is resized to `short_side` pixels, then a square of `crop_size` pixels is cut; `mean` and
    `std` are of RGB in [0, 1].
    """

    num_frames: int
    short_side: int
    crop_size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    by_time: bool = False

    def center_view(self) -> v2.Transform:
        """The transform of the center view: (T, 3, H, W) -> (T, 3, crop, crop), both uint8."""
        return v2.Compose(
            [v2.Resize(self.short_side, antialias=True), v2.CenterCrop(self.crop_size)]
        )

    def three_crop_view(self) -> v2.Transform:
        """The transform of section 4.2's three crops: (T, 3, H, W) -> (3, T, 3, crop, crop)."""
        return v2.Compose([v2.Resize(self.short_side, antialias=True), ThreeCrops(self.crop_size)])

    def normalize(self, clips: Tensor, colors: Tensor | None = None) -> Tensor:
        """(..., 3, H, W) in [0, 255] -> float32, about zero mean and unit variance.

        With `colors`, as `apply_colors` takes them, these are applied first. The result lies
        channels last in memory, as networks want it.
        """
        pixels = apply_colors(clips.to(torch.float32, copy=True), colors)
        # Rows of W * 3 numbers: a dimension of three, innermost, takes several times as long.
        rows = pixels.movedim(-3, -1).flatten(-2)
        width = clips.shape[-1]
        mean = torch.tensor(self.mean, device=clips.device).repeat(width)
        std = torch.tensor(self.std, device=clips.device).repeat(width)
        rows = rows.div_(255).sub_(mean).div_(std)
        return rows.unflatten(-1, (width, 3)).movedim(-1, -3)


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


class Views(nn.Module):
    """One clip and its label -> `num_views` distortions of it, and the label that they share.

    (T, 3, H, W) becomes (T, 3, crop, crop), or (num_views, T, 3, crop, crop) where there are more
    views than one. Every view has its own crop.

    Paper silent: whether both distortions of Twins Training may be flipped apart. One draw flips
    all views or none: they share one target (section 3.5), and a flip may change it.
    """

    def __init__(self, crop: v2.Transform, mirror: RandomMirror, num_views: int) -> None:
        super().__init__()
        if num_views < 1:
            raise ValueError(f"{num_views} views of a clip; there must be at least one")
        self.crop = crop
        self.mirror = mirror
        self.num_views = num_views

    def forward(self, frames: Tensor, label: int) -> tuple[Tensor, int]:
        views = [self.crop(frames) for _ in range(self.num_views)]
        return self.mirror(views[0] if self.num_views == 1 else torch.stack(views), label)


@dataclass(frozen=True)
class Augmentation:
    """The random distortion A of section 4.2, drawn once a view for all frames of a clip.

    `crop` is "multi_scale" (`MultiScaleCrop` with `scales` and `num_crop_positions`: the paper's
    corner cropping and scale jittering, which TSN made one transform) or "scale_jitter" (the
    short side is scaled to one of `short_sides` pixels before a random crop). `brightness`,
    `contrast`, `saturation` and `hue` are torchvision's ColorJitter strengths.

    Paper silent: the strengths and probabilities. Their defaults are the recipe's.
    """

    crop: Crop
    scales: Sequence[float]
    num_crop_positions: NumCropPositions
    short_sides: Sequence[int]
    flip_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grayscale_probability: float

    def view(self, crop_size: int, *, mirrored_labels: Sequence[int], num_views: int = 1) -> Views:
        """The transform (frames, label) -> (frames, label); uint8 frames as `Views` says.

        Its random numbers come from torch's global generator, as torchvision's transforms want
        it: seed that generator inside `torch.random.fork_rng`.
        """
        if self.crop == "multi_scale":
            crop = MultiScaleCrop(crop_size, self.scales, self.num_crop_positions)
        else:
            shortest = v2.RandomShortestSize(list(self.short_sides), antialias=True)
            crop = v2.Compose([shortest, v2.RandomCrop(crop_size)])
        return Views(crop, RandomMirror(mirrored_labels, self.flip_probability), num_views)

    def colors(self) -> RandomColors | None:
        """What draws the colors of a view; None where they stay as they are."""
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        if not any((*strengths, self.grayscale_probability)):
            return None
        return RandomColors(*strengths, grayscale_probability=self.grayscale_probability)
