"""The colors of a training clip: drawn where it is loaded, applied on the device.

Brightness, contrast, saturation, hue and grayscale are linear in the colors, in whatever order
they come: a pixel x of a frame whose mean color is m becomes A x + B m. What is drawn for a view
is therefore one tensor (3, 6), [A | B], and a loader's worker touches no pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

ColorStep = Literal["brightness", "contrast", "saturation", "hue"]

# Rows of NTSC's YIQ. The luma has Rec. 601's weights as torchvision rounds them.
_YIQ = torch.tensor(
    [[0.2989, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]],
    dtype=torch.float64,
)
_IDENTITY = torch.eye(3, dtype=torch.float64)
_GRAY = _YIQ[0].expand(3, 3)


def compose_colors(steps: Iterable[tuple[ColorStep, float]]) -> Tensor:
    """Steps and their factors, the first applied first -> (3, 6) float32, [A | B].

    A factor of one changes nothing; of hue, a factor of zero. Saturation by zero is grayscale.
    The colors are meant in [0, 255], and clipped to it after the last step only.
    """
    of_pixel = _IDENTITY
    of_mean = torch.zeros_like(_IDENTITY)
    for step, factor in steps:
        if step == "contrast":
            mean_gray = _GRAY @ (of_pixel + of_mean)
            of_pixel = factor * of_pixel
            of_mean = factor * of_mean + (1 - factor) * mean_gray
        else:
            matrix = _matrix(step, factor)
            of_pixel, of_mean = matrix @ of_pixel, matrix @ of_mean
    return torch.cat([of_pixel, of_mean], dim=1).float()


def _matrix(step: Literal["brightness", "saturation", "hue"], factor: float) -> Tensor:
    if step == "brightness":
        return factor * _IDENTITY
    if step == "saturation":
        return factor * _IDENTITY + (1 - factor) * _GRAY
    return hue_rotation(factor)


def hue_rotation(turn: float) -> Tensor:
    """The (3, 3) rotation by `turn` of a circle about the gray axis in YIQ; red goes to green.

    torchvision turns the hue in HSV. That keeps a color's largest channel, as this keeps its
    luma, but it is not linear, and would need a pass of its own over every pixel.

    Paper silent: whether the hue is turned at all. The recipe's default leaves it.
    """
    cos, sin = math.cos(math.tau * turn), math.sin(math.tau * turn)
    rotation = torch.tensor([[1, 0, 0], [0, cos, sin], [0, -sin, cos]], dtype=torch.float64)
    return torch.linalg.solve(_YIQ, rotation @ _YIQ)


def apply_colors(clips: Tensor, colors: Tensor | None) -> Tensor:
    """Clips (..., T, 3, H, W) in [0, 255] with `colors` (..., 3, 6): same shape and type.

    Nothing is rounded, but to the clips' own type. Without colors the clips come back as they are.
    """
    if colors is None:
        return clips
    pixels = clips.float()
    of_pixel, of_mean = colors.float().unsqueeze(-3).split(3, dim=-1)  # (..., 1, 3, 3) each
    means = pixels.mean(dim=(-2, -1))  # (..., T, 3)
    from_means = (of_mean * means.unsqueeze(-2)).sum(dim=-1)
    # Not a matrix product: mixed precision would take that in bfloat16, which has steps of a whole
    # level of 255 and more. One plane after the other, into memory that lies as the clips do.
    result = torch.empty_like(pixels)
    planes = pixels.unbind(-3)
    for channel, plane in enumerate(result.unbind(-3)):
        weights = of_pixel[..., channel, :, None, None].unbind(-3)
        plane.copy_(from_means[..., channel, None, None])
        for weight, pixel in zip(weights, planes, strict=True):
            plane.addcmul_(weight, pixel)
    return result.clamp_(0, 255).to(clips.dtype)
