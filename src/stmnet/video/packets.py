"""Where the frames of a video file lie, from its packets, without decoding.

A group of pictures runs, in decoding order, from one key frame to before the next. Its packets give
frames that follow each other in presentation order too, so a frame's number tells its group, and
the presentation times inside the group tell its packet. Only the packets of wanted groups are read
where the container has a table of them (MP4, AVI); WebM and Matroska are read once from end to end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, dropwhile, islice, pairwise
from typing import cast

from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from stmnet.video.opening import AVI, MATROSKA, MP4, StreamEnds, demux

# Codecs that are known to give a group's frames whatever was decoded before it.
CODECS_IN_GROUPS = frozenset(
    {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg"}
    | {"h263", "flv1", "prores", "dnxhd", "ffv1", "huffyuv", "png", "rawvideo"}
)
# AVI has no presentation times: only codecs whose packets tell their order themselves.
CODECS_WITHOUT_TIMES = frozenset({"mpeg4", "mjpeg"})
# An MPEG-4 packet this small holds a header alone: nothing changed, or (XviD, DivX) the picture
# came packed with the one before.
MAX_EMPTY_MPEG4_BYTES = 8
VOP_START_CODE = b"\0\0\1\xb6"
# Bits of FFmpeg's index entries (AVINDEX_KEYFRAME, AVINDEX_DISCARD_FRAME).
TABLE_KEY, TABLE_DISCARD = 1, 2
# The compressed packets of files without a table are kept up to this size, and else read again.
MAX_KEPT_BYTES = 64 * 2**20


class UnsureOrderError(Exception):
    """The packets do not tell for sure which frame comes when; decoding in order does."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of pictures: its first packet and frame, and how many it has of both.

    `first_timestamp` and `last_timestamp` are those of its first and last packet by which the
    container finds them.
    """

    first_packet: int
    first_frame: int
    num_packets: int
    num_frames: int
    first_timestamp: int
    last_timestamp: int


class PacketIndex:
    """The groups of pictures of the stream, and the packets of each on demand.

    Raises `UnsureOrderError` for a stream that is not laid out in such groups.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._demuxer = self._packets_from_here()
        self._next_packet: int | None = None
        self._kept: list[Packet[VideoStream]] = []
        self._codec = stream.codec_context.codec.canonical_name
        self._format = container.format.name
        # What the container seeks by, in the stream's time base.
        self._timestamp = _pts if self._format == MATROSKA else _dts
        self.last_end_seconds = 0.0
        if self._format not in (MP4, MATROSKA, AVI):
            raise UnsureOrderError(f"container {self._format}")
        if self._codec not in CODECS_IN_GROUPS:
            raise UnsureOrderError(f"codec {self._codec}")
        if self._format == AVI and self._codec not in CODECS_WITHOUT_TIMES:
            raise UnsureOrderError(f"{self._codec} in AVI")

        self.has_table = self._format != MATROSKA and 0 < stream.frames == len(stream.index_entries)
        if self.has_table:
            self._next_packet = 0
        self.groups = self._read_table() if self.has_table else self._scan()
        self.num_frames = self.groups[-1].first_frame + self.groups[-1].num_frames
        self._refuse_orphans_at_start()

    def num_frames_before(self, num_bytes: int) -> int:
        """How many frames lie whole within the first `num_bytes` of a file that has a table."""
        table = self._stream.index_entries
        last = table[-1]
        if last.pos + last.size <= num_bytes:
            return self.num_frames
        return sum(entry.pos + entry.size <= num_bytes and not entry.is_discard for entry in table)

    def group_of(self, frame: int) -> int:
        """The number of the group that frame `frame` (in presentation order) belongs to."""
        return bisect_right(self.groups, frame, key=_first_frame) - 1

    def packets(self, number: int) -> list[Packet[VideoStream]]:
        """The packets of a group in decoding order, all with presentation times."""
        group = self.groups[number]
        if self._kept:
            packets = self._kept[group.first_packet :][: group.num_packets]
        else:
            if self._next_packet != group.first_packet:
                self._seek(group)
            packets = list(islice(self._demuxer, group.num_packets))
            self._next_packet = group.first_packet + group.num_packets
        found = self._timestamp(packets[0]) if packets else None
        if len(packets) < group.num_packets or found != group.first_timestamp:
            raise UnsureOrderError("the packets are not where the table says")
        if self._codec == "mpeg4":
            # Not by the container's times: what XviD wrote is often stored with wrong ones.
            packets = self._unpack(packets)
            _time_mpeg4(packets, first_time=group.first_packet)
        times = {packet.pts for packet in packets}
        if None in times or len(times) < len(packets):
            raise UnsureOrderError("presentation times are missing or repeated")
        return packets

    def frame_times(self, number: int, packets: Sequence[Packet[VideoStream]]) -> list[int]:
        """The presentation times of the frames that a group's packets give, ascending."""
        group = self.groups[number]
        if group.num_frames < group.num_packets:
            packets = [packet for packet in packets if self._shows(packet)]
        times = sorted(map(time_of, packets))
        if len(times) != group.num_frames:
            raise UnsureOrderError("the packets are not those of the table")
        return times

    def denies_reordering(self, packets: Sequence[Packet[VideoStream]]) -> bool:
        """Whether an MP4 has every packet of a group shown as soon as it is decoded."""
        return self._format == MP4 and all(packet.pts == packet.dts for packet in packets)

    def _refuse_orphans_at_start(self) -> None:
        """Frames shown before the first key frame refer to some that are not there.

        They come right after it, and decoders leave them out: all numbers would be shifted.
        """
        start = self._kept[:2] or list(islice(self._demuxer, 2))
        if not self._kept:
            self._demuxer = chain(start, self._demuxer)
        if start and self._codec == "mpeg4":
            _time_mpeg4(self._unpack(start), first_time=0)
        times = [packet.pts for packet in start]
        if None not in times and times != sorted(map(time_of, start)):
            raise UnsureOrderError("the first frames refer to some that are not there")

    def _packets_from_here(self) -> Iterator[Packet[VideoStream]]:
        return (packet for packet in demux(self._container, self._stream) if packet.size)

    def _seek(self, group: Group) -> None:
        # MP4 seeks to the last key frame shown by then, which may be decoded well before. (An AVI's
        # last packet may be empty and yet marked as a key frame.)
        goal = group.first_timestamp if self._format == AVI else group.last_timestamp
        self._container.seek(goal, stream=self._stream)
        timestamp_of, first = self._timestamp, group.first_timestamp
        # Nothing here refers to the index itself: a circle would keep the decoder and its buffers
        # until Python's collector comes by.
        self._demuxer = dropwhile(
            lambda packet: (found := timestamp_of(packet)) is not None and found < first,
            self._packets_from_here(),
        )

    def _unpack(self, packets: Sequence[Packet[VideoStream]]) -> list[Packet[VideoStream]]:
        """One picture a packet, where XviD and DivX packed B pictures with the one before."""
        # Where one is packed, an empty packet follows.
        if min(packet.size for packet in packets) > MAX_EMPTY_MPEG4_BYTES:
            return list(packets)
        unpacking = BitStreamFilterContext("mpeg4_unpack_bframes", self._stream)
        unpacked = [part for packet in packets for part in unpacking.filter(packet)]
        if len(unpacked) != len(packets):
            raise UnsureOrderError("packed B-frames across a key frame")
        _refuse_empty_mpeg4(packet.size for packet in unpacked)
        return cast("list[Packet[VideoStream]]", unpacked)

    def _read_table(self) -> list[Group]:
        """The groups by the container's own table of packets."""
        table = self._stream.index_entries
        if self._format == MP4 and self._codec == "mpeg4":
            _refuse_empty_mpeg4(entry.size for entry in table)
        starts: list[int] = []
        hidden: list[int] = []
        for number, entry in enumerate(table):
            if flags := entry.flags:
                if flags & TABLE_KEY and self._holds_picture(entry.size):
                    starts.append(number)
                if flags & TABLE_DISCARD:
                    hidden.append(number)
        return _groups(starts, hidden, len(table), lambda number: table[number].timestamp)

    def _scan(self) -> list[Group]:
        """The groups by reading all packets once; these are kept unless they are too large."""
        starts: list[int] = []
        hidden: list[int] = []
        timestamps: list[int] = []
        num_bytes = 0
        ends = StreamEnds()
        # All streams, for the header's duration is that of the longest.
        for packet in demux(self._container):
            ends.add(packet)
            if packet.stream is not self._stream:
                continue
            timestamp = self._timestamp(packet)
            if timestamp is None and packet.size == 0:
                continue  # the end of the stream
            if timestamp is None or packet.size == 0:
                raise UnsureOrderError("packets without a time or a frame")
            if self._format != AVI and self._codec == "mpeg4":
                _refuse_empty_mpeg4([packet.size])
            if packet.is_keyframe and self._holds_picture(packet.size):
                starts.append(len(timestamps))
            if not self._shows(packet):
                hidden.append(len(timestamps))
            timestamps.append(timestamp)
            num_bytes += packet.size
            if num_bytes <= MAX_KEPT_BYTES:
                self._kept.append(packet)
        if num_bytes > MAX_KEPT_BYTES:
            self._kept = []
        self.last_end_seconds = ends.last_seconds()
        return _groups(starts, hidden, len(timestamps), timestamps.__getitem__)

    def _holds_picture(self, num_bytes: int) -> bool:
        # XviD marks as a key frame the empty packet behind one that another picture is packed with.
        return self._codec != "mpeg4" or num_bytes > MAX_EMPTY_MPEG4_BYTES

    def _shows(self, packet: Packet[VideoStream]) -> bool:
        # A VP8 packet may hold a picture that others refer to and nobody sees: bit 4 says so.
        hidden = self._codec == "vp8" and not memoryview(packet)[0] & 0x10
        return not (packet.is_discard or hidden)


def _groups(
    starts: Sequence[int],
    hidden: Sequence[int],
    num_packets: int,
    timestamp_of: Callable[[int], int],
) -> list[Group]:
    """From the numbers of the key frames' packets and of those that give no frame."""
    if not starts or starts[0] != 0:
        raise UnsureOrderError("no key frame at the start")
    groups = []
    for start, end in pairwise([*starts, num_packets]):
        first_frame = start - bisect_left(hidden, start)
        groups.append(
            Group(
                first_packet=start,
                first_frame=first_frame,
                num_packets=end - start,
                num_frames=end - bisect_left(hidden, end) - first_frame,
                first_timestamp=timestamp_of(start),
                last_timestamp=timestamp_of(end - 1),
            )
        )
    return groups


def _pts(packet: Packet[VideoStream]) -> int | None:
    return packet.pts


def _dts(packet: Packet[VideoStream]) -> int | None:
    return packet.dts


def _first_frame(group: Group) -> int:
    return group.first_frame


def time_of(packet: Packet[VideoStream]) -> int:
    """The presentation time of a packet from `PacketIndex.packets`, in the stream's time base."""
    assert packet.pts is not None
    return packet.pts


def _refuse_empty_mpeg4(sizes: Iterable[int]) -> None:
    if any(size <= MAX_EMPTY_MPEG4_BYTES for size in sizes):
        raise UnsureOrderError("packets without a frame")


def _time_mpeg4(packets: Sequence[Packet[VideoStream]], *, first_time: int) -> None:
    """Number the packets of a group in presentation order: B pictures come before what they follow.

    Source: ISO/IEC 14496-2, 6.2.5: a start code, then two bits of coding type, 2 for B.
    """
    time = first_time
    reference: Packet[VideoStream] | None = None
    for packet in packets:
        data = bytes(packet)
        start = data.find(VOP_START_CODE, 0, len(data) - 1)  # a byte at least follows
        if start < 0:
            raise UnsureOrderError("a packet without a picture")
        is_b = data[start + 4] >> 6 == 2
        if not is_b and reference is not None:
            reference.pts, time = time, time + 1
        if is_b:
            packet.pts, time = time, time + 1
        else:
            reference = packet
    if reference is not None:
        reference.pts = time
