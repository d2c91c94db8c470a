"""Where the frames of a video file lie, told by its packets, without decoding.

A group of pictures runs, in decoding order, from one key frame to before the next. Its packets give
frames that follow each other in presentation order too, so a frame's number tells its group, and
the presentation times inside the group tell its packet. Only the packets of wanted groups are read
where the container has a table of them (MP4, AVI); WebM and Matroska are read once from end to end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, cast

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

MP4, MATROSKA, AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
# AVI has no presentation times: only codecs whose packets tell their order themselves.
CODECS_WITHOUT_TIMES = frozenset({"mpeg4", "mjpeg"})
# An MPEG-4 packet this small says "as before", and most decoders give no frame for it.
MAX_EMPTY_MPEG4_BYTES = 19
# Bits of FFmpeg's index entries (AVINDEX_KEYFRAME, AVINDEX_DISCARD_FRAME).
TABLE_KEY, TABLE_DISCARD = 1, 2
# The compressed packets of files without a table are kept up to this size, and else read again.
MAX_KEPT_BYTES = 64 * 2**20


class UnsureOrderError(Exception):
    """The packets do not tell for sure which frame comes when; decoding in order does."""


_Entry = tuple[int | None, bool]
"""Of a packet: the timestamp to find it by if it is a key frame's, and whether it gives a frame."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of pictures: its first packet and frame, and how many it has of both.

    `timestamp` is what the container finds its first packet by.
    """

    first_packet: int
    first_frame: int
    num_packets: int
    num_frames: int
    timestamp: int


class PacketIndex:
    """The groups of pictures of the stream, and the packets of each on demand.

    Raises `UnsureOrderError` for a stream that is not laid out in such groups.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._next_packet: int | None = None
        self._demuxer: Iterator[Packet[VideoStream]] = iter(())
        self._kept: list[Packet[VideoStream]] = []
        self._codec = stream.codec_context.name
        self._format = container.format.name
        self.last_end_seconds = 0.0
        if self._format not in (MP4, MATROSKA, AVI):
            raise UnsureOrderError(f"container {self._format}")
        if self._format == AVI and self._codec not in CODECS_WITHOUT_TIMES:
            raise UnsureOrderError(f"{self._codec} in AVI")

        self.has_table = self._format != MATROSKA and 0 < stream.frames == len(stream.index_entries)
        self.groups = _groups(self._read_table() if self.has_table else self._scan())
        self.num_frames = self.groups[-1].first_frame + self.groups[-1].num_frames

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
                self._container.seek(group.timestamp, stream=self._stream)
                self._demuxer = (p for p in self._container.demux(self._stream) if p.size)
            packets = list(islice(self._demuxer, group.num_packets))
            self._next_packet = group.first_packet + group.num_packets
        if len(packets) < group.num_packets or self._timestamp(packets[0]) != group.timestamp:
            raise UnsureOrderError("the packets are not where the table says")
        if self._format == AVI and self._codec == "mpeg4":
            _time_mpeg4(packets, first_time=group.first_frame)
        times = {packet.pts for packet in packets}
        if None in times or len(times) < len(packets):
            raise UnsureOrderError("presentation times are missing or repeated")
        if number == 0 and any(time_of(packet) < time_of(packets[0]) for packet in packets):
            raise UnsureOrderError("the first frames refer to some that are not there")
        return packets

    def shown(self, packets: Sequence[Packet[VideoStream]]) -> list[Packet[VideoStream]]:
        """Those of a group's packets that give a frame, in presentation order."""
        return sorted((packet for packet in packets if self._shows(packet)), key=time_of)

    def _read_table(self) -> list[_Entry]:
        """The container's own table of packets."""
        table = self._stream.index_entries
        if self._codec == "mpeg4" and any(entry.size <= MAX_EMPTY_MPEG4_BYTES for entry in table):
            raise UnsureOrderError("packets without a frame")
        flags = [entry.flags for entry in table]
        return [
            (table[n].timestamp if flag & TABLE_KEY else None, not flag & TABLE_DISCARD)
            for n, flag in enumerate(flags)
        ]

    def _scan(self) -> list[_Entry]:
        """Read all packets once; keep them unless they are too large."""
        entries: list[_Entry] = []
        num_bytes = 0
        min_bytes = MAX_EMPTY_MPEG4_BYTES if self._codec == "mpeg4" else 0
        # All streams, for the header's duration is that of the longest.
        for any_packet in self._container.demux():
            self.last_end_seconds = max(self.last_end_seconds, end_seconds(any_packet))
            if any_packet.stream is not self._stream:
                continue
            packet = cast("Packet[VideoStream]", any_packet)
            timestamp = self._timestamp(packet)
            if timestamp is None and packet.size == 0:
                continue  # the end of the stream
            if timestamp is None or packet.size <= min_bytes:
                raise UnsureOrderError("packets without a time or a frame")
            entries.append((timestamp if packet.is_keyframe else None, self._shows(packet)))
            num_bytes += packet.size
            if num_bytes <= MAX_KEPT_BYTES:
                self._kept.append(packet)
        if num_bytes > MAX_KEPT_BYTES:
            self._kept = []
        return entries

    def _timestamp(self, packet: Packet[VideoStream]) -> int | None:
        """What the container seeks by, in the stream's time base."""
        return packet.pts if self._format == MATROSKA else packet.dts

    def _shows(self, packet: Packet[VideoStream]) -> bool:
        # A VP8 packet may hold a picture that others refer to and nobody sees: bit 4 says so.
        hidden = self._codec == "vp8" and not memoryview(packet)[0] & 0x10
        return not (packet.is_discard or hidden)


def _groups(entries: Sequence[_Entry]) -> list[Group]:
    starts = [number for number, (timestamp, _) in enumerate(entries) if timestamp is not None]
    if not starts or starts[0] != 0:
        raise UnsureOrderError("no key frame at the start")
    groups = []
    first_frame = 0
    for start, end in pairwise([*starts, len(entries)]):
        timestamp = entries[start][0]
        assert timestamp is not None
        num_frames = sum(shows for _, shows in entries[start:end])
        groups.append(Group(start, first_frame, end - start, num_frames, timestamp))
        first_frame += num_frames
    return groups


def _first_frame(group: Group) -> int:
    return group.first_frame


def end_seconds(packet: Packet[Any]) -> float:
    """When what a packet holds is over; 0 where it does not say."""
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return (packet.pts + (packet.duration or 0)) * float(packet.time_base)


def time_of(packet: Packet[VideoStream]) -> int:
    """The presentation time of a packet from `PacketIndex.packets`, in the stream's time base."""
    assert packet.pts is not None
    return packet.pts


def _time_mpeg4(packets: Sequence[Packet[VideoStream]], *, first_time: int) -> None:
    """Number the packets of a group in presentation order: B pictures come before what they follow.

    Source: ISO/IEC 14496-2, 6.2.5: vop_start_code 00 00 01 B6, then two bits of coding type.
    """
    time = first_time
    reference: Packet[VideoStream] | None = None
    for packet in packets:
        coding_types = [part[0] >> 6 for part in bytes(packet).split(b"\0\0\1\xb6")[1:] if part]
        if len(coding_types) != 1:
            raise UnsureOrderError("packed B-frames")
        is_b = coding_types[0] == 2
        if not is_b and reference is not None:
            reference.pts, time = time, time + 1
        if is_b:
            packet.pts, time = time, time + 1
        else:
            reference = packet
    if reference is not None:
        reference.pts = time
