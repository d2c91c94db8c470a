"""Opening a video file, and what its packets tell of being whole. Imports no torch."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from stmnet.errors import VideoError

# FFmpeg's names of the containers that are known by their first bytes.
MP4, MATROSKA, AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
# Of these the container itself tells size and codec.
STATE_EVERYTHING = frozenset({MP4, MATROSKA})
MAX_PIXEL_ASPECT = 8
"""Far beyond those of tapes, discs and lenses, which are between 0.5 and 2.1."""


@contextmanager
def open_video(
    path: Path, *, quickly: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file with one decoding thread; `quickly` without a trial decode where that can be.

    Raises `VideoError`.
    """
    try:
        mode = path.stat().st_mode
        if not (S_ISREG(mode) or S_ISDIR(mode)):  # it would be waited for
            raise VideoError(f"{path}: a pipe or a device. Save the video as a file.")
        with path.open("rb", buffering=0) as file:
            head = file.read(12)
    except (OSError, ValueError) as e:  # a zero byte in a name is a ValueError
        reason = e.strerror if isinstance(e, OSError) else str(e)
        if isinstance(e, FileNotFoundError):
            reason = "no such file"
        raise VideoError(f"{path}: {reason}. Give the path of a video file.") from e
    if not head:
        raise VideoError(f"{path}: the file is empty. Download or copy it again.")
    container_format = _container_format(head) if quickly else None
    # A list of allowed decoders without any: FFmpeg then takes the container's word.
    options = {"codec_whitelist": "none"} if container_format in STATE_EVERYTHING else {}
    try:
        container = av.open(
            str(path), format=container_format, options=options, metadata_errors="replace"
        )
    except (av.error.FFmpegError, OSError) as e:
        reason = (
            # An mp4 keeps the table of its frames at the end unless it was written for streaming.
            "an mp4 whose frame table is cut off or damaged" if head[4:8] == b"ftyp" else e.strerror
        )
        raise VideoError(
            f"{path}: not a readable video ({reason}). Download it again, or remove it."
        ) from e
    with container:
        yield container, _video_stream(path, container)


def demux(container: InputContainer, stream: VideoStream | None = None) -> Iterator[Packet[Any]]:
    """The packets from where the container stands, of one stream or of all."""
    packets = container.demux() if stream is None else container.demux(stream)
    # Left in its middle and not closed, PyAV's own generator keeps a packet's memory (18.1).
    with closing(cast("Generator[Packet[Any]]", packets)):
        yield from packets


def _container_format(head: bytes) -> str | None:
    """The container by a file's first 12 bytes; None leaves it to FFmpeg, which tries them all."""
    if head[4:8] == b"ftyp":
        return MP4
    if head[:4] == b"\x1aE\xdf\xa3":
        return MATROSKA
    return AVI if head[:4] == b"RIFF" and head[8:] == b"AVI " else None


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    # A cover picture of a song is a video stream too, with a mark.
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        found = "audio only" if container.streams.audio else "no stream FFmpeg knows"
        raise VideoError(f"{path}: no video stream ({found}). Remove it from the list of videos.")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(f"{path}: no decoder for its video stream. Convert it to H.264.")
    stream.codec_context.thread_count = 1
    return stream


def pixel_aspect(path: Path, stream: VideoStream) -> Fraction:
    """How many times as wide as high a pixel is stored; a codec tells once it has decoded.

    Raises `VideoError` for what no camera makes.
    """
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
    if not 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT:
        raise VideoError(
            f"{path}: states pixels that are {float(aspect):g} times as wide as high. Its header "
            "is damaged: convert it with the right aspect, or remove it."
        )
    return aspect


def promised_seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long a file lasts by its header."""
    seconds = (container.duration or 0) / av.time_base
    if container.format.name == AVI and stream.time_base is not None:
        # Without the table at an AVI's end FFmpeg guesses; the header has the number of ticks.
        seconds = max(seconds, float(stream.frames * stream.time_base))
    return seconds


def falls_short(found: float, promised: float) -> bool:
    """Whether a file ends before its header promises."""
    # Headers round, and last frames have no length of their own: a few per cent are no damage.
    return found < 0.95 * promised


class StreamEnds:
    """When the packets of a file's streams are over; those that do not say count for nothing."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        self._streams: dict[int, Stream] = {}

    def add(self, packet: Packet[Any]) -> None:
        start = packet.dts if packet.pts is None else packet.pts
        if start is None:
            return
        number = packet.stream_index
        end = start + (packet.duration or 0)
        if end > self._ticks.get(number, 0):
            self._ticks[number] = end
            self._streams[number] = packet.stream

    def last_seconds(self) -> float:
        """The end of the stream that lasts longest."""
        return max(
            (
                ticks * float(self._streams[number].time_base or 0)
                for number, ticks in self._ticks.items()
            ),
            default=0.0,
        )
