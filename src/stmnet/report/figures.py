"""The report's pictures: frames and feature maps as data URIs, learning curves as inline SVG."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

MAX_WIDTH = 160
"""Frames are shown at most this wide, in pixels."""

# Matplotlib knows no CSS. It draws in these colors, which nothing else in the SVG has, and the
# page's variables take their place, so that one drawing serves light and dark mode.
_TEXT = "#0000f0"
_RULE = "#0000f1"


@dataclass(frozen=True)
class Picture:
    """An image inside the page: a data URI and its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Curve:
    """A line of a learning curve in the color of the network with this accent (1, 2, ...)."""

    accent: int
    epochs: Sequence[int]
    values: Sequence[float]
    dashed: bool


def frame_picture(frame: Tensor) -> Picture:
    """Encode a video frame (3, H, W) uint8, scaled down to `MAX_WIDTH` if it is wider."""
    if frame.shape[2] > MAX_WIDTH:
        frame = _resize(frame[None].float(), MAX_WIDTH)[0].round().clamp(0, 255).byte()
    return _jpeg(frame)


def map_pictures(maps: Tensor) -> list[Picture]:
    """Color feature maps (T, h, w) with one scale from their least to their greatest value."""
    smooth = _resize(maps[:, None].float(), MAX_WIDTH)[:, 0]
    low, high = maps.min(), maps.max()
    span = (high - low).clamp(min=torch.finfo(torch.float32).tiny)
    unit = ((smooth - low) / span).clamp(0, 1)
    colors = matplotlib.colormaps["magma"](unit.numpy(), bytes=True)  # (T, H, W, 4)
    pixels = torch.from_numpy(colors)[..., :3].permute(0, 3, 1, 2)
    return [_jpeg(image) for image in pixels]


def draw_learning_curve(curves: Sequence[Curve], *, as_percent: bool, name: str) -> Markup:
    """Draw values over epochs as an SVG element for a page that defines `--accent-1`, `--rule`.

    `name` tells this drawing's internal ids from those of other drawings in the same page.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9.5}):
        figure = Figure(figsize=(5.2, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for curve in curves:
            axes.plot(
                curve.epochs,
                curve.values,
                color=_accent(curve.accent),
                linewidth=1.1 if curve.dashed else 1.9,
                linestyle=(0, (2.5, 2)) if curve.dashed else "-",
                solid_capstyle="round",
            )
        axes.set_xlabel("epoch", color=_TEXT)
        axes.tick_params(length=0, labelcolor=_TEXT, pad=5)
        axes.grid(axis="y", color=_RULE, linewidth=0.7)
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.spines["bottom"].set_color(_RULE)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
        axes.margins(x=0.01)
        if as_percent:
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="\N{NARROW NO-BREAK SPACE}%"))
        else:
            axes.set_ylim(bottom=0)
        return _inline_svg(figure, [curve.accent for curve in curves])


def _inline_svg(figure: Figure, accents: Sequence[int]) -> Markup:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)  # they repeat in the next drawing of the page
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    for accent in set(accents):
        svg = svg.replace(_accent(accent), f"var(--accent-{accent})")
    return Markup(svg.replace(_TEXT, "currentColor").replace(_RULE, "var(--rule)"))


def _accent(number: int) -> str:
    return f"#0001{number:02x}"


def _resize(images: Tensor, width: int) -> Tensor:
    """Scale (N, C, H, W) to a width in pixels, keeping the shape of the picture."""
    height = max(1, round(images.shape[2] * width / images.shape[3]))
    return F.interpolate(images, size=(height, width), mode="bicubic", antialias=True)


def _jpeg(image: Tensor) -> Picture:
    """Encode an image (3, H, W) uint8."""
    buffer = io.BytesIO()
    pixels = image.permute(1, 2, 0).numpy()  # (H, W, 3)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(uri, width=image.shape[2], height=image.shape[1])
