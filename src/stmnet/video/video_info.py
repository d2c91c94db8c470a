"""What a video tells of itself without being decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoInfo:
    """What a file's packets and header tell.

    `num_frames` counts the frames that are there; `is_truncated` says that they end before the
    header promises, or that some of a folder's numbers are missing. `width` and `height` are those
    of the frames that are read: upright, in pixels as they are stored. A stored pixel is
    `pixel_aspect` times as wide as it is high. `rotation_degrees` is the counterclockwise turn that
    makes the stored picture upright; if it `is_mirrored`, left and right then change places.
    """

    num_frames: int
    fps: float
    duration_seconds: float
    width: int
    height: int
    is_truncated: bool
    rotation_degrees: int = 0
    is_mirrored: bool = False
    pixel_aspect: float = 1.0
