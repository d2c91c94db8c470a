"""From decoded frames to what a network takes: test views and normalization.

Resizing is torch's own, bilinear with antialiasing on uint8: the values of torchvision's
transforms, without importing them. It is several times quicker where channels come last in memory,
as decoded frames have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stmnet.data.colors import apply_colors

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its clips; stored with its weights, as `recognizer.config.preprocessing`.

    `num_frames` is T, spread over the clip's frames, or with `by_time` over its time. The short
    side is resized to `short_side` pixels, then a square of `crop_size` pixels is cut. `mean` and
    `std` are those of the red, green and blue channel with values in [0, 1]; their defaults are
    ImageNet's.

    A test view is cut first (uint8, on the CPU), then normalized (float32, on any device), which is
    what networks take:

    >>> import torch, stmnet
    >>> recognizer = stmnet.load("motion", device="cpu")
    >>> preprocessing = recognizer.config.preprocessing
    >>> preprocessing.mean, preprocessing.std
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    >>> frames = stmnet.read_frames("samples/closing_something.mp4", range(1, 16, 2))
    >>> view = preprocessing.center_view(frames)  # (T, 3, H, W) -> (T, 3, crop, crop)
    >>> clips = preprocessing.normalize(view.unsqueeze(0))  # (N, T, 3, crop, crop)
    >>> with torch.no_grad():
    ...     logits = recognizer.network(clips)  # (N, K)
    >>> recognizer.config.label_names[logits.argmax()]
    'Closing something'

    Raises `ValueError` for sizes below 1, for a crop larger than the resized frame, and where mean
    and std are not of three channels.
    """

    num_frames: int
    short_side: int
    crop_size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    by_time: bool = False

    def __post_init__(self) -> None:
        for name in ("num_frames", "short_side", "crop_size"):
            if (number := getattr(self, name)) < 1:
                raise ValueError(f"{name} {number}: give at least 1.")
        if self.crop_size > self.short_side:
            raise ValueError(
                f"crop_size {self.crop_size}: give at most short_side, {self.short_side}."
            )
        if not len(self.mean) == len(self.std) == 3:
            raise ValueError(f"mean {self.mean}, std {self.std}: give three numbers each.")

    def center_view(self, frames: Tensor) -> Tensor:
        """The middle square of the resized frames: (T, 3, H, W) -> (T, 3, crop, crop), uint8."""
        resized = resize_short_side(frames, self.short_side)
        height, width = resized.shape[-2:]
        top = round((height - self.crop_size) / 2)
        left = round((width - self.crop_size) / 2)
        return resized[..., top : top + self.crop_size, left : left + self.crop_size]

    def three_crop_view(self, frames: Tensor) -> Tensor:
        """The three crops of section 4.2: (T, 3, H, W) -> (3, T, 3, crop, crop), both uint8."""
        return three_crops(resize_short_side(frames, self.short_side), self.crop_size)

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


def resize_short_side(frames: Tensor, short_side: int) -> Tensor:
    """(T, 3, H, W) uint8, the short side resized to `short_side` pixels, the aspect kept."""
    height, width = frames.shape[-2:]
    long_side = int(short_side * max(height, width) / min(height, width))
    tall = height > width
    return resize(frames, (long_side, short_side) if tall else (short_side, long_side))


def three_crops(frames: Tensor, crop_size: int) -> Tensor:
    """Three squares along the long side: (T, 3, H, W) uint8 -> (3, T, 3, crop, crop).

    The squares have the short side's length (section 4.2: 256 after resizing to it) and lie at
    the start, the middle and the end of the long side; each is resized to `crop_size`. They leave
    nothing out of frames up to three times as long as wide.
    """
    height, width = frames.shape[-2:]
    side = min(height, width)
    crops = []
    for part in range(3):
        top, left = part * (height - side) // 2, part * (width - side) // 2
        square = frames[..., top : top + side, left : left + side]
        crops.append(resize(square, (crop_size, crop_size)))
    return torch.stack(crops)


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """(T, 3, H, W) uint8 -> (T, 3, *`size`), bilinear with antialiasing; on the CPU."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    return F.interpolate(frames, size=size, mode="bilinear", antialias=True)
