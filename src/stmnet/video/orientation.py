"""How a stored picture is made upright. Imports no torch."""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame

Image = npt.NDArray[np.uint8]


class Orientation(NamedTuple):
    """`quarter_turns` counterclockwise; if it `is_mirrored`, left and right then change places."""

    quarter_turns: int = 0
    is_mirrored: bool = False

    @property
    def is_sideways(self) -> bool:
        """Whether width and height change places."""
        return self.quarter_turns % 2 == 1

    def upright(self, image: Image) -> Image:
        """A view of (H, W) or (H, W, 3) as it is meant to be seen."""
        if self.quarter_turns:
            image = np.rot90(image, self.quarter_turns)
        return image[:, ::-1] if self.is_mirrored else image


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """By the frame's display matrix, to the nearest quarter turn; upright where it states none.

    PyAV's own `VideoFrame.rotation` does not report mirroring.
    """
    try:
        # Not `frame.side_data`, which the frame keeps, and which keeps the frame: a circle.
        side_data = SideDataContainer(frame)  # type: ignore[call-arg]  # missing in its stub
        matrix: Any = side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV has no name for some of it, as a JPEG's EXIF: the turn it tells
        return Orientation(round(frame.rotation / 90) % 4)
    if matrix is None:
        return UPRIGHT
    # What is at (x, y), y downwards, is shown at (a x + c y, b x + d y).
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    if a * d == b * c:  # no picture is shown by such a matrix: damage, or none was meant
        return UPRIGHT
    is_mirrored = a * d < b * c
    clockwise = math.atan2(b, -a if is_mirrored else a)
    return Orientation(round(-clockwise / (math.pi / 2)) % 4, is_mirrored)
