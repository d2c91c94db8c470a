"""The multi-scale crop of training, which torchvision does not have, as one of its `transforms.v2`.

It cuts first and resizes only what it cut: bilinear with antialiasing on uint8, which is several
times quicker where channels come last in memory, as decoded frames have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from stmnet.data.option_types import NumCropPositions

MAX_DISTORTION = 1
"""How many scales the width and the height of a multi-scale crop may lie apart."""

# Quarters of the free (height, width) above and to the left of the crop.
_CORNERS_AND_CENTER = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
_EDGES_AND_QUARTERS = ((2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3))


def crop_sizes(short_side: int, scales: Sequence[float]) -> list[tuple[int, int]]:
    """All (height, width) of a multi-scale crop, in pixels: two neighboring scales at most."""
    lengths = [max(int(short_side * scale), 1) for scale in scales]
    return [
        (height, width)
        for i, height in enumerate(lengths)
        for j, width in enumerate(lengths)
        if abs(i - j) <= MAX_DISTORTION
    ]


def crop_positions(
    free_height: int, free_width: int, num_positions: NumCropPositions
) -> list[tuple[int, int]]:
    """All (top, left) of a crop that leaves `free_height` rows and `free_width` columns over.

    5 are TSN's corners and center; 13 add the middles of the edges and the quarter points (TSM).
    """
    more = _EDGES_AND_QUARTERS if num_positions == 13 else ()
    quarters = _CORNERS_AND_CENTER + more
    return [(y * free_height // 4, x * free_width // 4) for y, x in quarters]


class MultiScaleCrop(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Corner cropping with scale jittering: (..., H, W) -> (..., `crop_size`, `crop_size`).

    The crop's height and width are `scales` of the frame's own short side, one of `crop_sizes`,
    at one of `crop_positions`, each with equal chance. Since both follow the frame's size, a clip
    that is not yet at short side 256 needs no resizing of its own.

    Paper silent: scales and positions. Theirs are TSN's and TSM's; a crop of TSM's code may stop
    up to three pixels short of the far edges, ours touches them.
    """

    def __init__(
        self, crop_size: int, scales: Sequence[float], num_positions: NumCropPositions
    ) -> None:
        super().__init__()
        if not scales or not all(0 < scale <= 1 for scale in scales):
            raise ValueError(f"crop scales {list(scales)} must be above 0 and at most 1")
        self.crop_size = crop_size
        self.scales = list(scales)
        self.num_positions: NumCropPositions = num_positions

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        frame_height, frame_width = v2.query_size(flat_inputs)
        sizes = crop_sizes(min(frame_height, frame_width), self.scales)
        height, width = sizes[int(torch.randint(len(sizes), ()))]
        positions = crop_positions(frame_height - height, frame_width - width, self.num_positions)
        top, left = positions[int(torch.randint(len(positions), ()))]
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        size = [self.crop_size, self.crop_size]
        return F.resized_crop(inpt, **params, size=size, antialias=True)
