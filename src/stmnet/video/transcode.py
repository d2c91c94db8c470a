"""Make a video small and quick to read at random: short side 256, a key frame every few.

A reader that wants one frame decodes from the key frame before it. Published videos have one every
hundred frames or so; `docs/benchmarks/prepared_files.md` has what a shorter interval costs
and gains.

Nothing here imports torch: every process that transcodes loads this module.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from stmnet.errors import VideoError
from stmnet.files import atomic_write
from stmnet.video.codings import CODINGS, CONTAINER_OPTIONS, DEFAULT_INTERVALS, REPEATABLE
from stmnet.video.opening import (
    StreamEnds,
    decode,
    demux,
    falls_short,
    open_video,
    pixel_aspect,
    promised_seconds,
)
from stmnet.video.orientation import UPRIGHT, Orientation, orientation_of
from stmnet.video.rgb import state_known_matrix

FORMAT_VERSION = 3
"""Raised whenever the same source and settings would give other bytes."""


@dataclass(frozen=True)
class Shape:
    """What videos become: the short side in pixels at most, and how many frames from key to key.

    Without an interval, each container has the one in `DEFAULT_INTERVALS`.
    """

    short_side: int = 256
    key_frame_interval: int | None = None


@dataclass(frozen=True)
class Transcoded:
    """How many frames were written, and what is wrong with the source although they could be."""

    num_frames: int
    damage: str | None = None


# ITU-T H.273's number, which PyAV has no name for.
_MATRIX_OF_RGB = 0
# What is wrong with the place that is written to, and not with the source.
_WRITE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT}
)


def ignore_damage(_: str) -> None:
    """The result says it, too."""


def transcode(
    source: Path, target: Path, shape: Shape, on_damage: Callable[[str], None] = ignore_damage
) -> Transcoded:
    """Write `source` again as `target`, of the same suffix, which appears once it is whole.

    All frames in their order at their times, upright, with square pixels, of even size, never
    enlarged, and no sound. The same source and shape give the same bytes. A source that is cut off
    or damaged gives the frames that can be decoded; `on_damage` is called before `target` appears,
    and the result has the same line.

    Raises `VideoError` for a source without any frame or with pixels of an impossible shape, and
    `OSError` if `target` cannot be written.
    """
    try:
        with open_video(source) as (container, stream):
            decoding = _Decoding(source, container, stream)
            frames = iter(decoding)
            first = next(frames, None)
            if first is None:
                raise VideoError(
                    f"{source}: no frame can be decoded. Download it again, or remove it."
                )
            aspect = pixel_aspect(source, stream)
            suffix = source.suffix.lower()
            with atomic_write(target) as unfinished:
                with _Encoding(unfinished, suffix, shape, stream, first, aspect=aspect) as out:
                    out.write(first)
                    for frame in frames:
                        out.write(frame)
                    out.finish()
                made = Transcoded(out.num_frames, decoding.damage())
                if made.damage is not None:
                    on_damage(made.damage)
            return made
    except av.error.FFmpegError as e:
        if e.errno in _WRITE_ERRORS:
            raise OSError(e.errno, os.strerror(e.errno), str(target)) from e
        raise VideoError(
            f"{source}: cannot be encoded ({e.strerror}). Convert it by another tool, or remove it."
        ) from e


def copy_video(source: Path, target: Path) -> None:
    """Copy a video of a kind that is not transcoded. Raises as `transcode` does."""
    with open_video(source), atomic_write(target) as unfinished:
        shutil.copyfile(source, unfinished)


def upright_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The even size, at most the given one, whose short side is at most `short_side`."""
    scale = min(1.0, short_side / min(width, height))
    # Rounded first, so that 256 pixels are not 255.99 and so 254.
    return (
        max(2, int(round(width * scale, 3)) // 2 * 2),
        max(2, int(round(height * scale, 3)) // 2 * 2),
    )


# ---- reading ----


class _Decoding:
    """All frames that can be decoded, in presentation order; what was wrong is known at the end."""

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self._num_broken = 0
        self._ends = StreamEnds()

    def __iter__(self) -> Iterator[VideoFrame]:
        # All streams, for the header's duration is that of the longest.
        packets = demux(self._container)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self._num_broken += 1
                continue
            self._ends.add(packet)
            if packet.stream is not self._stream:
                continue
            try:
                frames = decode(self._path, packet)
            except av.error.FFmpegError:
                self._num_broken += 1
                continue
            for frame in frames:
                self._num_broken += frame.is_corrupt
                state_known_matrix(frame)
                yield frame

    def damage(self) -> str | None:
        """What is wrong with the source, for a message; None if nothing is."""
        seconds = promised_seconds(self._container, self._stream)
        end_seconds = self._ends.last_seconds()
        if falls_short(end_seconds, seconds):
            return f"cut off after {end_seconds:.1f} of {seconds:.1f} s"
        if self._num_broken:
            return f"damaged frames: {self._num_broken}"
        return None


# ---- writing ----


class _Encoding:
    """One file that is being written. A context manager; `finish` before its end."""

    def __init__(
        self,
        path: Path,
        suffix: str,
        shape: Shape,
        source: VideoStream,
        first: VideoFrame,
        *,
        aspect: Fraction,
    ) -> None:
        coding = CODINGS[suffix]
        interval = shape.key_frame_interval or DEFAULT_INTERVALS[suffix]
        self._counts = coding.counts
        self._orientation = orientation_of(first)
        self._size = _square_pixel_size(
            first, aspect, shape.short_side, sideways=self._orientation.is_sideways
        )
        self._shaper = VideoReformatter()
        rate = source.average_rate or source.guessed_rate or Fraction(25)
        # MPEG-4's clock has 16 bits; a fixed rate needs no finer one.
        frame_time = (1 / rate).limit_denominator(0xFFFF)
        self._time_base = frame_time if self._counts else source.time_base or frame_time
        self._last_time: int | None = None
        self.num_frames = 0

        options = REPEATABLE | CONTAINER_OPTIONS.get(coding.container, {})
        self._container = av.open(str(path), "w", format=coding.container, options=options)
        self._stream = cast("VideoStream", self._container.add_stream(coding.codec, rate=rate))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.gop_size = interval
        codec = self._stream.codec_context
        codec.thread_count = 1
        codec.options = {**coding.options, "keyint_min": str(interval)}
        codec.time_base = self._time_base
        codec.color_range = ColorRange.MPEG
        # RGB becomes YUV with this matrix; the source's mark would still say that it is RGB.
        is_rgb = first.format.is_rgb or first.colorspace == _MATRIX_OF_RGB
        codec.colorspace = Colorspace.ITU601 if is_rgb else first.colorspace
        codec.color_primaries = first.color_primaries
        codec.color_trc = first.color_trc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def write(self, frame: VideoFrame) -> None:
        """Encode one frame of the source."""
        sideways = self._orientation.is_sideways
        width, height = reversed(self._size) if sideways else self._size
        shaped = self._shaper.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        shaped = _upright(shaped, self._orientation)
        shaped.pts = self._time_of(frame)
        shaped.time_base = self._time_base
        # The source's own choice of key frames would be taken for ours.
        shaped.pict_type = PictureType.NONE
        self._container.mux(self._stream.encode(shaped))
        self.num_frames += 1

    def finish(self) -> None:
        """Write what the encoder still holds, and the index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _time_of(self, frame: VideoFrame) -> int:
        """In units of the time base. Where a damaged source goes back in time, the next tick."""
        earliest = 0 if self._last_time is None else self._last_time + 1
        if self._counts or frame.pts is None:
            time = earliest
        else:
            time = frame.pts if self._last_time is None else max(frame.pts, earliest)
        self._last_time = time
        return time


def _square_pixel_size(
    frame: VideoFrame, aspect: Fraction, short_side: int, *, sideways: bool
) -> tuple[int, int]:
    # Oblong pixels are made square along their longer side, so that no line is lost.
    width = round(frame.width * max(aspect, Fraction(1)))
    height = round(frame.height / min(aspect, Fraction(1)))
    if sideways:
        width, height = height, width
    return upright_size(width, height, short_side)


def _upright(frame: VideoFrame, orientation: Orientation) -> VideoFrame:
    """A yuv420p frame as it is meant to be seen."""
    if orientation == UPRIGHT:
        return frame
    sideways = orientation.is_sideways
    width, height = (frame.height, frame.width) if sideways else (frame.width, frame.height)
    upright = VideoFrame(width, height, "yuv420p")
    for plane, upright_plane in zip(frame.planes, upright.planes, strict=True):
        _pixels(upright_plane)[:] = orientation.upright(_pixels(plane))
    return upright


def _pixels(plane: VideoPlane) -> npt.NDArray[np.uint8]:
    """(H, W) of an 8-bit plane, in place."""
    rows = np.asarray(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
