"""Draw what motion features see, for the README: docs/figures/motion.png.

    python scripts/motion_figure.py

A sample clip, played forward and backward, and what the first block of the packaged recognizer
makes of it: the mean magnitude over the channels of CSTM's and of CMM's output, above its median.
The predictions in the picture are the recognizer's for these very frames.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from torch import Tensor
from torch.nn import functional as F

import stmnet
from stmnet.analysis.feature_maps import first_block_maps
from stmnet.recognizer import Recognizer

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "samples" / "moving_something_up.mp4"
FIGURE = ROOT / "docs" / "figures" / "motion.png"
NUM_FRAMES = 8
SHOWN = (1, 3, 5)
"""Frames of the clip played forward; backward the same ones are shown, in reverse. None is at an
end, where CSTM meets zeros and CMM is zero."""

ROWS = {"frames": "", "CSTM": "what changes", "CMM": "where it moves"}

# A card of its own color, readable on light and on dark pages.
CARD, TEXT, FAINT = "#15171c", "#f2f3f5", "#9aa0ab"


def main() -> None:
    recognizer = stmnet.load("motion")
    frames = stmnet.read_frames(SAMPLE, range(0, 2 * NUM_FRAMES, 2))
    backward = [NUM_FRAMES - 1 - t for t in reversed(SHOWN)]
    figure = Figure(figsize=(10, 4.15), facecolor=CARD)
    grid = figure.add_gridspec(
        len(ROWS),
        2 * len(SHOWN) + 1,
        width_ratios=[*[1] * len(SHOWN), 0.12, *[1] * len(SHOWN)],
        **{
            "left": 0.118,
            "right": 0.99,
            "top": 0.83,
            "bottom": 0.02,
            "wspace": 0.04,
            "hspace": 0.05,
        },
    )
    draw(figure, grid[:, : len(SHOWN)], "played forward", recognizer, frames, list(SHOWN))
    draw(figure, grid[:, -len(SHOWN) :], "played backward", recognizer, frames.flip(0), backward)
    for row, (name, meaning) in enumerate(ROWS.items()):
        box = grid[row, 0].get_position(figure)
        middle = (box.y0 + box.y1) / 2
        up = 0.035 if meaning else 0
        figure.text(0.012, middle + up, name, color=TEXT, fontsize=11, va="center")
        figure.text(0.012, middle - 0.03, meaning, color=FAINT, fontsize=9, va="center")
    figure.savefig(FIGURE, dpi=110, facecolor=CARD, metadata={"Software": None})
    print(f"{FIGURE}: {FIGURE.stat().st_size / 1000:.0f} kB")


def draw(
    figure: Figure,
    part: SubplotSpec,
    order: str,
    recognizer: Recognizer,
    clip: Tensor,
    shown: list[int],
) -> None:
    """One half: the frames at `shown`, the maps of both modules below, the answer above."""
    grid = part.subgridspec(len(ROWS), len(shown), wspace=0.04, hspace=0.05)
    maps = [above_median(each) for each in maps_of(recognizer, clip)]
    for column, t in enumerate(shown):
        axes = [figure.add_subplot(grid[row, column]) for row in range(len(ROWS))]
        axes[0].imshow(clip[t].permute(1, 2, 0), interpolation="bicubic")
        for axis, each in zip(axes[1:], maps, strict=True):
            bright = each[shown].max()
            axis.imshow(each[t], cmap="inferno", interpolation="bicubic", vmin=0, vmax=bright)
        for axis in axes:
            axis.set_axis_off()
    left = grid[0, 0].get_position(figure).x0
    figure.text(left, 0.945, order, color=FAINT, fontsize=10.5, va="center")
    said = answer(recognizer, clip)
    figure.text(left, 0.88, said, color=TEXT, fontsize=13, weight="bold", va="center")


def maps_of(recognizer: Recognizer, clip: Tensor) -> tuple[Tensor, Tensor]:
    """CSTM's and CMM's maps of whole frames, enlarged by half so that edges are seen."""
    large = F.interpolate(clip, scale_factor=1.5, mode="bilinear", antialias=True)
    return first_block_maps(recognizer, large)


def above_median(maps: Tensor) -> Tensor:
    """What stands out from the even background."""
    return (maps - maps[1:-1].median()).clamp(min=0)


def answer(recognizer: Recognizer, clip: Tensor) -> str:
    """The label and its probability."""
    view = recognizer.config.preprocessing.center_view(clip)
    probabilities = recognizer.probabilities(view.unsqueeze(0))[0]
    best = int(probabilities.argmax())
    return f"{recognizer.config.label_names[best]}, {probabilities[best]:.1%}"


if __name__ == "__main__":
    matplotlib.use("Agg")
    main()
