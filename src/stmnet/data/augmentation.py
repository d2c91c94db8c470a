"""The random distortions of training clips. All frames of a view get the same draw.

A clip stays a uint8 tensor (T, 3, H, W). The transforms are torchvision's `transforms.v2`, and
classes in their protocol for what they do not have. Test views are `stmnet.data.preprocessing`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from stmnet.data.colors import ColorStep, compose_colors
from stmnet.data.crops import MultiScaleCrop
from stmnet.data.option_types import Crop, NumCropPositions

# In the order in which torchvision's ColorJitter numbers them.
_COLOR_STEPS: tuple[ColorStep, ...] = ("brightness", "contrast", "saturation", "hue")


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


class AugmentedViews(nn.Module):
    """One clip and its label -> `num_views` distortions of it, and the label that they share.

    (T, 3, H, W) becomes (T, 3, crop, crop), or (num_views, T, 3, crop, crop) where there are more
    views than one. Every view has its own crop.

    Paper silent: whether both distortions of Twins Training may be flipped apart. One draw flips
    all views or none: they share one target (section 3.5), and a flip may change it.
    """

    def __init__(self, crop: v2.Transform, mirror: RandomMirror, num_views: int) -> None:
        super().__init__()
        if num_views < 1:
            raise ValueError(f"num_views {num_views}: give at least 1.")
        self.crop = crop
        self.mirror = mirror
        self.num_views = num_views

    def forward(self, frames: Tensor, label: int) -> tuple[Tensor, int]:
        views = [self.crop(frames) for _ in range(self.num_views)]
        return self.mirror(views[0] if self.num_views == 1 else torch.stack(views), label)


class RandomColors:
    """Draws colors as torchvision's ColorJitter and RandomGrayscale do, in this order.

    `brightness`, `contrast`, `saturation` and `hue` are ColorJitter's strengths.
    """

    def __init__(
        self,
        brightness: float,
        contrast: float,
        saturation: float,
        hue: float,
        *,
        grayscale_probability: float,
    ) -> None:
        self.jitter = v2.ColorJitter(brightness, contrast, saturation, hue)
        self.grayscale_probability = grayscale_probability

    def draw(self) -> Tensor:
        """The colors (3, 6) of one view, for all its frames; from torch's global generator."""
        params = self.jitter.make_params([])
        ordered = [_COLOR_STEPS[number] for number in params["fn_idx"].tolist()]
        factors = [(step, params[f"{step}_factor"]) for step in ordered]
        steps = [(step, factor) for step, factor in factors if factor is not None]
        if torch.rand(()) < self.grayscale_probability:
            steps.append(("saturation", 0.0))
        return compose_colors(steps)


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

    def view(
        self, crop_size: int, *, mirrored_labels: Sequence[int], num_views: int = 1
    ) -> AugmentedViews:
        """The transform (frames, label) -> (frames, label); uint8 frames as `AugmentedViews` says.

        Its random numbers come from torch's global generator, as torchvision's transforms want
        it: seed that generator inside `torch.random.fork_rng`.
        """
        if self.crop == "multi_scale":
            crop = MultiScaleCrop(crop_size, self.scales, self.num_crop_positions)
        else:
            shortest = v2.RandomShortestSize(list(self.short_sides), antialias=True)
            crop = v2.Compose([shortest, v2.RandomCrop(crop_size)])
        return AugmentedViews(crop, RandomMirror(mirrored_labels, self.flip_probability), num_views)

    def colors(self) -> RandomColors | None:
        """What draws the colors of a view; None where they stay as they are."""
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        if not any((*strengths, self.grayscale_probability)):
            return None
        return RandomColors(*strengths, grayscale_probability=self.grayscale_probability)
