"""Opening a video file, and what its packets tell of being whole. Imports no torch.

What is opened is one file: no format that names other files or addresses (playlists, lists of
files, patterns of names), and no protocol but that of local files, whatever the file is called.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stmnet.errors import VideoError
from stmnet.video.sizes import DECODER_MAX_PIXELS, require_size, too_large

# FFmpeg's names of the containers that are known by their first bytes.
MP4, MATROSKA, AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
# Of these the container itself tells size and codec.
STATE_EVERYTHING = frozenset({MP4, MATROSKA})
# FFmpeg's names of the formats that hold a video, or a picture, in one file. Those that name other
# files are not among them: hls, dash, concat, imf, sdp, image2, mlv, ...
FORMATS = (
    # containers
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "live_flv", "asf", "asf_o", "ogg", "mxf"),
    *("nut", "wtv", "rm", "swf", "gxf", "nsv", "nuv", "dv", "ivf", "pva", "ty", "dhav", "kux"),
    *("lmlm4", "pmp", "smjpeg", "mpjpeg", "yuv4mpegpipe", "bink", "smk", "flic", "roq"),
    # streams without a container
    *("h264", "hevc", "vvc", "evc", "av1", "obu", "m4v", "mpegvideo", "mjpeg", "mjpeg_2000"),
    *("ingenient", "h261", "h263", "vc1", "vc1test", "dirac", "dnxhd", "cavsvideo", "avs2", "avs3"),
    # pictures, still or moving
    *("gif", "apng", "webp", "jpegxl_anim", "png_pipe", "jpeg_pipe", "webp_pipe", "gif_pipe"),
    *("bmp_pipe", "tiff_pipe", "jpegxl_pipe", "j2k_pipe", "ppm_pipe", "pgm_pipe", "dpx_pipe"),
)
# With MP4's own default, that data in other files (`dref`) is not followed.
SAFE_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "file",
    "enable_drefs": "0",
    "max_pixels": str(DECODER_MAX_PIXELS),
}
# The first bytes of FLV and of MPEG's program stream.
LATE_STREAMS = (b"FLV", b"\0\0\1\xba")
# So begin, under names that FFmpeg does not take for a playlist's either, HLS, DASH and concat.
PLAYLISTS = (b"#EXTM3U", b"<?xml", b"<MPD", b"ffconcat")
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
            raise VideoError(f"{path}: is a pipe or a device. Save the video as a file.")
        with path.open("rb", buffering=0) as file:
            head = file.read(12)
    except (OSError, ValueError) as e:  # a zero byte in a name is a ValueError
        reason = e.strerror if isinstance(e, OSError) else str(e)
        if isinstance(e, FileNotFoundError):
            reason = "no such file"
        raise VideoError(f"{path}: {reason}. Give the path of a video file.") from e
    if not head:
        raise VideoError(f"{path}: the file is empty. Download or copy it again.")
    container_format = _container_format(head)
    if head.startswith(LATE_STREAMS):
        _try_first_pictures(path, head)
    # A list of allowed decoders without any: FFmpeg then takes the container's word.
    takes_its_word = quickly and container_format in STATE_EVERYTHING
    options = {"codec_whitelist": "none"} if takes_its_word else {}
    with _open_safely(path, head, container_format if quickly else None, options) as container:
        yield container, _video_stream(path, container)


def decode(path: Path, packet: Packet[Any]) -> list[VideoFrame]:
    """The frames that a packet of a video stream gives.

    Raises `VideoError` for a picture that is too large, and `FFmpegError` for damage.
    """
    try:
        return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
    except av.error.ArgumentError as e:
        # What FFmpeg leaves of a size that it refuses.
        if packet.stream.codec_context.width == 0:
            raise too_large(path) from e
        raise


def _open_safely(
    path: Path, head: bytes, container_format: str | None, options: dict[str, str]
) -> InputContainer:
    try:
        return av.open(
            f"file:{path}",  # or a name such as concat:a|b would be taken for an address
            format=container_format,
            options=SAFE_OPTIONS | options,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError) as e:
        is_other_format = isinstance(e, av.error.ArgumentError) and _container_format(head) is None
        if is_other_format or head.startswith(PLAYLISTS):
            raise VideoError(
                f"{path}: not a video in one file (a playlist, a list of files or a format that "
                "stmnet does not read). Give the path of the video file itself."
            ) from e
        reason = (
            # An mp4 keeps the table of its frames at the end unless it was written for streaming.
            "an mp4 whose frame table is cut off or damaged" if head[4:8] == b"ftyp" else e.strerror
        )
        raise VideoError(
            f"{path}: not a readable video ({reason}). Download it again, or remove it."
        ) from e


def _try_first_pictures(path: Path, head: bytes) -> None:
    """Raise `VideoError` for pictures that are too large, before FFmpeg opens the file its own way.

    In these containers it finds the streams while it opens them, and decodes without any limit.
    """
    with _open_safely(path, head, None, {"codec_whitelist": "none"}) as container:
        stream = _video_stream(path, container)
        with suppress(av.error.FFmpegError):
            for packet in islice(demux(container, stream), 16):
                if decode(path, packet):
                    return


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
    # PyAV has none where FFmpeg has no decoder.
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        raise VideoError(f"{path}: no decoder for its video stream. Convert it to H.264.")
    stream = max(decodable, key=_rank)
    codec = stream.codec_context
    require_size(path, codec.width, codec.height)
    codec.thread_count = 1
    codec.options = {"max_pixels": str(DECODER_MAX_PIXELS)}
    return stream


def _rank(stream: VideoStream) -> tuple[bool, int]:
    """What makes a stream the one that players show: the container's mark, then the size.

    Both by the header, so that it is the same stream however the file was opened. FFmpeg's own
    choice begins with the mark too, but goes on by what it happened to measure while opening.
    """
    codec = stream.codec_context
    return bool(stream.disposition & Disposition.default), codec.width * codec.height


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
    # Headers round, and last frames have no length of their own: a few per cent are not damage.
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
