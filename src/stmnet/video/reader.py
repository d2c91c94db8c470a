"""Frames of a video file by their number in presentation order, decoded with PyAV (FFmpeg).

Only what is needed is decoded: from the last key frame before a wanted frame to that frame, without
the pictures in between that no other refers to. Where the packets do not tell for sure which frame
is which, the file is decoded in order instead; the bytes are the same either way.

One decoding thread a call: loaders read many files side by side in worker processes instead.
A file is open only as long as its `VideoFile`. In memory are the frames asked for, the decoder's
own, and the compressed packets of one group of pictures (of files up to 64 MiB that have no table
of their packets, such as WebM, all packets).
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import cached_property
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from stmnet.errors import TruncatedVideoError, VideoError
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
from stmnet.video.packets import PacketIndex, UnsureOrderError, time_of
from stmnet.video.rgb import RgbImages
from stmnet.video.sizes import MAX_SIDE
from stmnet.video.video_info import VideoInfo

if TYPE_CHECKING:
    from torch import Tensor

# Decoders whose `skip_frame` leaves out exactly the pictures that no other refers to.
CODECS_THAT_SKIP = frozenset({"h264", "mpeg4"})


class VideoFile:
    """An open video file; a context manager. Raises `VideoError` where it cannot be opened."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._exit = ExitStack()
        self._container, self._stream = self._exit.enter_context(
            open_video(self.path, quickly=True)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def num_frames(self) -> int:
        """How many frames the packets that are there promise."""
        return self._extent[0]

    @property
    def is_truncated(self) -> bool:
        """Whether the packets end before the header promises."""
        return self._extent[1]

    @cached_property
    def info(self) -> VideoInfo:
        stream = self._stream
        num_frames, is_truncated = self._extent
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        duration_seconds = (self._container.duration or 0) / av.time_base
        width, height, orientation, aspect = _first_frame(self.path)
        sideways = orientation.is_sideways
        return VideoInfo(
            num_frames=num_frames,
            fps=fps or (num_frames / duration_seconds if duration_seconds else 0.0),
            duration_seconds=num_frames / fps if fps else duration_seconds,
            width=height if sideways else width,
            height=width if sideways else height,
            is_truncated=is_truncated,
            rotation_degrees=90 * orientation.quarter_turns,
            is_mirrored=orientation.is_mirrored,
            pixel_aspect=float(1 / aspect if sideways else aspect),
        )

    @cached_property
    def frame_times_seconds(self) -> list[float]:
        """When each frame is shown, ascending: for sampling by time where the rate varies."""
        with open_video(self.path) as (container, stream):
            assert stream.time_base is not None
            packets = [packet for packet in _undamaged(demux(container, stream)) if packet.size]
            times = [packet.pts for packet in packets if _gives_frame(packet, packets[0])]
            if None in times:
                raise VideoError(
                    f"{self.path}: its packets have no presentation times. Sample by frame number."
                )
            return sorted(float(t * stream.time_base) for t in times if t is not None)

    def read(self, indices: Sequence[int], *, square_pixels: bool = False) -> Tensor:
        """As `stmnet.read_frames`, of the open file."""
        import torch  # here, for a process that only probes starts ten times as fast without

        if not indices:
            raise ValueError("no frame indices given")
        if min(indices) < 0:
            raise VideoError(f"{self.path}: frame {min(indices)} was asked for; they count from 0.")
        wanted = sorted(set(indices))
        images = self._read_by_groups(wanted, square_pixels=square_pixels)
        if images is None:
            images = _read_in_order(self.path, wanted, square_pixels=square_pixels)
        frames = images.frames
        if wanted != list(indices):
            frames = frames[[wanted.index(index) for index in indices]]
        # (len, H, W, 3) -> (len, 3, H, W)
        return torch.from_numpy(frames).permute(0, 3, 1, 2)

    @cached_property
    def _index(self) -> PacketIndex | None:
        try:
            return PacketIndex(self._container, self._stream)
        except (UnsureOrderError, av.error.FFmpegError):
            return None

    @cached_property
    def _extent(self) -> tuple[int, bool]:
        """The number of frames, and whether the file is cut off."""
        if self._index is not None and self._index.has_table:
            num_frames = self._index.num_frames_before(self.path.stat().st_size)
            if num_frames == 0:
                raise VideoError(f"{self.path}: the file ends before its first frame.")
            return num_frames, num_frames < self._index.num_frames
        if self._index is not None:
            num_frames, last_end = self._index.num_frames, self._index.last_end_seconds
        else:
            num_frames, last_end = _count_packets(self.path)
        # By time, for headers count pictures too that are left out (AVI) or cut away (edit lists).
        return num_frames, falls_short(last_end, promised_seconds(self._container, self._stream))

    def _read_by_groups(
        self, wanted: Sequence[int], *, square_pixels: bool = False
    ) -> RgbImages | None:
        """The frames with these ascending numbers; None where only decoding in order is sure."""
        index = self._index
        if index is None or wanted[-1] >= index.num_frames:
            return None
        codec = self._stream.codec_context
        images = RgbImages(self.path, len(wanted), self._stream if square_pixels else None)
        try:
            for number, frames in groupby(wanted, key=index.group_of):
                group = index.groups[number]
                packets = index.packets(number)
                shown = index.frame_times(number, packets)
                times = {shown[frame - group.first_frame] for frame in frames}
                if min(times) < time_of(packets[0]):
                    # Frames before their own key frame refer to the group before, too.
                    packets = index.packets(number - 1) + packets
                for frame in _decode_group(codec, packets, wanted_times=times):
                    images.add(frame)
                if index.denies_reordering(packets) and codec.reorder_depth > 0:
                    raise UnsureOrderError("the decoder reorders, the container does not know it")
        except (UnsureOrderError, av.error.FFmpegError):
            return None
        return images if images.num_added == len(wanted) else None


def _decode_group(
    codec: VideoCodecContext, packets: Sequence[Packet[VideoStream]], *, wanted_times: Set[int]
) -> Iterator[VideoFrame]:
    """The frames with these presentation times, decoded from the first packet, a key frame's, on.

    In the order of presentation. Stops after the last packet that a wanted frame comes from.
    """
    key_time = time_of(packets[0])
    last_time: int | None = None
    last = max(n for n, packet in enumerate(packets) if packet.pts in wanted_times)
    can_skip = codec.name in CODECS_THAT_SKIP
    skips = None
    if codec.is_open:
        codec.flush_buffers()
    if codec.name == "h264":
        # Decoders guess how far frames are out of order, and drop what they guessed too late.
        codec.reorder_depth = max(codec.reorder_depth, _reorder_depth(packets))
    for packet in [*packets[: last + 1], None]:
        if can_skip and skips != (skip := packet is not None and packet.pts not in wanted_times):
            codec.skip_frame = "NONREF" if skip else "DEFAULT"
            skips = skip
        for frame in codec.decode(packet):
            if frame.is_corrupt or (frame.pts == key_time and frame.pict_type != PictureType.I):
                raise UnsureOrderError("damage, or a key frame that refers to others")
            if frame.pts is None or (last_time is not None and frame.pts <= last_time):
                raise UnsureOrderError("frames come in another order than the container says")
            last_time = frame.pts
            if last_time in wanted_times:
                yield frame


def _reorder_depth(packets: Sequence[Packet[VideoStream]]) -> int:
    """How many packets at most come before one that is shown earlier than they."""
    times = [time_of(packet) for packet in packets]
    depth = 0
    earlier: list[int] = []
    if times == sorted(times):
        return 0
    for time in times:
        depth = max(depth, len(earlier) - bisect(earlier, time))
        insort(earlier, time)
    return depth


def _read_in_order(path: Path, wanted: Sequence[int], *, square_pixels: bool) -> RgbImages:
    """The frames with these ascending numbers, decoded from the first frame on."""
    last = wanted[-1]
    to_keep = set(wanted)
    num_decoded = 0
    with open_video(path) as (container, stream):
        images = RgbImages(path, len(wanted), stream if square_pixels else None)
        for frame in decode_in_order(path, container, stream):
            if num_decoded in to_keep:
                images.add(frame)
            num_decoded += 1
            if num_decoded > last:
                return images
    if num_decoded == 0:
        raise TruncatedVideoError(
            f"{path}: none of its frames can be decoded: damaged, or larger than the limit of "
            f"{MAX_SIDE} pixels a side. Download it again, or remove it.",
            num_decoded=0,
        )
    raise TruncatedVideoError(
        f"{path}: frame {last} was asked for, but only {num_decoded} can be decoded. "
        "Replace the file if it should be longer.",
        num_decoded=num_decoded,
    )


def decode_in_order(
    path: Path, container: InputContainer, stream: VideoStream
) -> Iterator[VideoFrame]:
    """Decode on past damaged packets, as every player does: what can be seen is returned."""
    packets = demux(container, stream)
    while True:
        try:
            frames = decode(path, next(packets))
        except StopIteration:
            return
        except av.error.FFmpegError:
            continue
        yield from frames


def _undamaged(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Packets up to the end, or to damage that the container does not get past."""
    with suppress(av.error.FFmpegError):
        yield from packets


def _gives_frame(packet: Packet[Any], first: Packet[Any]) -> bool:
    """Whether decoders show what a packet holds, in a stream that begins with `first`."""
    if packet.is_discard:
        return False
    if not first.is_keyframe or packet.pts is None or first.pts is None:
        return True
    # What is shown before the key frame at the start refers to frames that are not there.
    return packet.pts >= first.pts


def _count_packets(path: Path) -> tuple[int, float]:
    """The number of packets that hold something, and when the last of all streams ends."""
    num_frames = 0
    first: Packet[Any] | None = None
    ends = StreamEnds()
    with open_video(path) as (container, stream):
        for packet in _undamaged(demux(container)):
            ends.add(packet)
            if packet.stream is stream and packet.size > 0:
                first = first or packet
                num_frames += _gives_frame(packet, first)
    if num_frames == 0:
        raise VideoError(f"{path}: the video stream has no frames. Remove the file.")
    return num_frames, ends.last_seconds()


def _first_frame(path: Path) -> tuple[int, int, Orientation, Fraction]:
    """Width and height as stored, how the picture is made upright, and the pixel aspect.

    Of the first decoded frame: PyAV tells how it is turned only there, and some codecs the others.
    """
    with open_video(path) as (container, stream):
        for frame in decode_in_order(path, container, stream):
            return frame.width, frame.height, orientation_of(frame), pixel_aspect(path, stream)
        return stream.codec_context.width, stream.codec_context.height, UPRIGHT, Fraction(1)
