"""Decoded frames as upright RGB images.

The matrix from YUV to RGB, the range and the place of the chroma samples are those that the stream
states, of 8 bits and of more, HDR's BT.2020 too; a stream that states no matrix has BT.601's, as
FFmpeg decides. The curve stays: nothing is mapped from HDR to SDR. Chroma is enlarged as FFmpeg's
scaler does without being asked for more (bilinear), so that the bytes are those of PyAV's own
`VideoFrame.to_ndarray`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from stmnet.errors import VideoError
from stmnet.video.opening import pixel_aspect
from stmnet.video.orientation import UPRIGHT, orientation_of
from stmnet.video.sizes import require_size

# ITU-T H.273's numbers.
UNSPECIFIED_MATRIX, RESERVED_MATRIX = 2, 3


class _Converter(threading.local):
    """One for all files that a thread reads: a new one sets up its tables for some frames' time."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_CONVERTER = _Converter()


class RgbImages:
    """RGB images of one size in one array (num_images, H, W, 3), filled one after the other.

    Pixels that are not square, as `squared` (their stream) states, are made so.
    """

    def __init__(self, path: Path, num_images: int, squared: VideoStream | None) -> None:
        self.path = path
        self.num_images = num_images
        self.num_added = 0
        self.frames = np.empty(0, np.uint8)
        self._squared = squared
        self._size = (0, 0)
        self._orientation = UPRIGHT

    def add(self, frame: VideoFrame) -> None:
        """Convert a frame, upright; a stream that changes its size keeps that of the first."""
        if self.num_added == 0:
            aspect = pixel_aspect(self.path, self._squared) if self._squared else 1
            self._size = (max(1, round(frame.width * aspect)), frame.height)
            require_size(self.path, *self._size)
            self._orientation = orientation_of(frame)
        width, height = self._size
        rgb = self._convert(frame, width, height)
        plane = rgb.planes[0]
        strides = (plane.line_size, 3, 1)  # lines may be padded
        stored = np.ndarray((height, width, 3), np.uint8, memoryview(plane), strides=strides)
        image = self._orientation.upright(stored)
        if self.num_added == 0:
            self.frames = np.empty((self.num_images, *image.shape), np.uint8)
        self.frames[self.num_added] = image
        self.num_added += 1

    def _convert(self, frame: VideoFrame, width: int, height: int) -> VideoFrame:
        state_known_matrix(frame)
        try:
            # One thread, and the plane as it lies: starting threads and PyAV's own copy into an
            # array each cost more than converting a small frame.
            return _CONVERTER.reformatter.reformat(
                frame, width=width, height=height, format="rgb24", threads=1
            )
        except av.error.FFmpegError as e:
            raise VideoError(
                f"{self.path}: its pictures ({frame.format.name}, color matrix "
                f"{int(frame.colorspace)} of ITU-T H.273) cannot be made RGB ({e.strerror}). "
                "Convert it to yuv420p and BT.709."
            ) from e


def state_known_matrix(frame: VideoFrame) -> None:
    """Have a frame that states the number without a meaning state no matrix.

    Some VP9 and AV1 files do, and FFmpeg's scaler refuses it.
    """
    if frame.colorspace == RESERVED_MATRIX:
        frame.colorspace = UNSPECIFIED_MATRIX
