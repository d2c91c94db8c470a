"""`read_frames` gives the bytes of a full decode by plain PyAV, whatever the codec and container.

Every file is made here, in one of the ways that make frame numbers hard to tell.
"""

from __future__ import annotations

import ctypes
import gc
import random
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stmnet.errors import TruncatedVideoError
from stmnet.memory import glibc
from stmnet.video.frames import probe, read_frames
from stmnet.video.reader import VideoFile
from tests.conftest import decode_all, write_video

NUM_FRAMES = 61


def noisy_frames(num_frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    """A picture that shifts, with noise: every frame differs, and predicting it is work."""
    rng = np.random.default_rng(7)
    ground = rng.integers(0, 255, (height, 2 * width, 3), dtype=np.uint8)
    ground = (ground // 4 + np.linspace(0, 190, 2 * width, dtype=np.uint8)[None, :, None]).astype(
        np.uint8
    )
    for t in range(num_frames):
        frame = ground[:, t : t + width].copy()
        frame[:8, :8] = 4 * t % 256
        yield frame


def encode(
    path: Path,
    codec: str,
    *,
    size: tuple[int, int] = (80, 64),
    times: list[int] | None = None,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    num_frames: int = NUM_FRAMES,
) -> Path:
    """`times` in hundredths of a second, where frames are not to be 1/25 s apart."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for number, image in enumerate(noisy_frames(num_frames, *size)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


# A picture of MPEG-4 that is not coded: P, time 0 of 25, "the one before once more".
EMPTY_PICTURE = b"\0\0\1\xb6\x50\x4f"


def write_packed(path: Path, *, in_a_row: int, is_empty_key: bool = False) -> Path:
    """As XviD and DivX write AVI: the first B picture in the packet of the reference before it, and
    an empty picture in the place that this leaves at the end of their run.

    With `is_empty_key` the empty packet has the mark of the key frame that the one before holds.
    """
    options = {"bf": str(in_a_row), "g": "12"}
    plain = encode(path.with_name("plain.avi"), "mpeg4", options=options)
    with av.open(str(plain)) as read, av.open(str(path), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        pictures = [(bytes(p), p.is_keyframe) for p in read.demux(stream) if p.size]
        is_b = [data[data.index(b"\0\0\1\xb6") + 4] >> 6 == 2 for data, _ in pictures] + [False]
        packed: list[tuple[bytes, bool]] = []
        for number, (data, is_key) in enumerate(pictures):
            if is_b[number] and not is_b[number - 1]:
                packed[-1] = (packed[-1][0] + data, packed[-1][1])
            else:
                packed.append((data, is_key))
            if is_b[number] and not is_b[number + 1]:
                packed.append((EMPTY_PICTURE, is_empty_key and packed[-1][1]))
        # Decoders go by the encoder's name: p at its end for packed.
        first = packed[0][0].replace(b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb6", 1)
        packed[0] = (first, True)
        assert len(packed) == len(pictures)
        for number, (data, is_key) in enumerate(packed):
            packet = av.Packet(data)
            packet.stream, packet.time_base = copy, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = is_key
            write.mux(packet)
    return path


def store_decoding_times(source: Path, target: Path) -> Path:
    """As some programs that know nothing of B pictures do: each shown as soon as it is decoded."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        number = 0
        for packet in read.demux(stream):
            if packet.size:
                packet.pts = packet.dts = number
                packet.time_base, packet.stream = Fraction(1, 25), copy
                number += 1
                write.mux(packet)
    return target


X264 = {"preset": "veryfast", "bf": "3", "g": "12"}
VARIABLE_TIMES = [4 * t + (t * t) % 3 + (20 if t > 30 else 0) for t in range(NUM_FRAMES)]

Maker = Callable[[Path], Path]
CASES: dict[str, tuple[Maker, bool]] = {
    # name: (how it is made, whether groups of pictures are found in it)
    "h264 b-frames": (lambda d: encode(d / "a.mp4", "libx264", options=X264), True),
    "h264 b-pyramid, one key frame": (
        lambda d: encode(
            d / "a.mp4",
            "libx264",
            options={"preset": "medium", "bf": "5", "x264-params": "b-pyramid=normal:keyint=999"},
        ),
        True,
    ),
    "h264 open gop": (
        lambda d: encode(
            d / "a.mp4", "libx264", options={**X264, "x264-params": "open-gop=1:scenecut=0"}
        ),
        True,
    ),
    "h264 open gop, mkv": (
        lambda d: encode(
            d / "a.mkv", "libx264", options={**X264, "x264-params": "open-gop=1:scenecut=0"}
        ),
        True,
    ),
    "h264 intra refresh": (
        lambda d: encode(
            d / "a.mp4", "libx264", options={"x264-params": "intra-refresh=1:keyint=20:bframes=0"}
        ),
        False,
    ),
    "h264 all intra": (lambda d: encode(d / "a.mp4", "libx264", options={"g": "1"}), True),
    "h264 interlaced": (
        lambda d: encode(d / "a.mp4", "libx264", options={**X264, "x264-params": "tff=1"}),
        True,
    ),
    "h264 fragmented mp4": (
        lambda d: encode(
            d / "a.mp4",
            "libx264",
            options=X264,
            container_options={"movflags": "frag_keyframe+empty_moov"},
        ),
        True,
    ),
    "h264 in mpeg-ts": (lambda d: encode(d / "a.ts", "libx264", options=X264), False),
    "h264 in avi": (
        lambda d: encode(d / "a.avi", "libx264", options={"g": "12", "bf": "0"}),
        False,
    ),
    "h264 offsets below zero": (
        lambda d: encode(
            d / "a.mp4",
            "libx264",
            options=X264,
            container_options={"movflags": "negative_cts_offsets"},
        ),
        True,
    ),
    "h264 without b-frames": (
        lambda d: encode(d / "a.mp4", "libx264", options={"g": "30", "bf": "0"}),
        True,
    ),
    "h264 mov": (lambda d: encode(d / "a.mov", "libx264", options=X264), True),
    "h264 odd size": (
        lambda d: encode(
            d / "a.mp4", "libx264", options=X264, size=(79, 61), pixel_format="yuv444p"
        ),
        True,
    ),
    "hevc": (
        lambda d: encode(
            d / "a.mp4",
            "libx265",
            options={"preset": "ultrafast", "x265-params": "log-level=0:keyint=12:bframes=4"},
        ),
        True,
    ),
    "hevc open gop, temporal layers": (
        lambda d: encode(
            d / "a.mp4",
            "libx265",
            options={
                "preset": "fast",
                "x265-params": "log-level=0:keyint=12:open-gop=1:bframes=4:temporal-layers=3",
            },
        ),
        True,
    ),
    "vp9": (
        lambda d: encode(
            d / "a.webm", "libvpx-vp9", options={"g": "20", "cpu-used": "8", "deadline": "good"}
        ),
        True,
    ),
    "vp9 hidden pictures": (
        lambda d: encode(
            d / "a.webm",
            "libvpx-vp9",
            options={"auto-alt-ref": "6", "lag-in-frames": "16", "cpu-used": "5"},
        ),
        True,
    ),
    "vp8 hidden pictures": (
        lambda d: encode(
            d / "a.webm",
            "libvpx",
            options={"auto-alt-ref": "1", "lag-in-frames": "16", "g": "20", "b": "200k"},
        ),
        True,
    ),
    "av1": (
        lambda d: encode(
            d / "a.mp4", "libsvtav1", options={"preset": "12", "g": "16"}, size=(128, 96)
        ),
        True,
    ),
    "av1 mkv": (
        lambda d: encode(
            d / "a.mkv", "libsvtav1", options={"preset": "12", "g": "16"}, size=(128, 96)
        ),
        True,
    ),
    "mpeg-4 b-frames, avi": (
        lambda d: encode(d / "a.avi", "mpeg4", options={"bf": "2", "g": "12"}),
        True,
    ),
    "mpeg-4 without b-frames, avi": (
        lambda d: encode(d / "a.avi", "mpeg4", options={"bf": "0", "g": "12"}),
        True,
    ),
    "mpeg-4 packed b-frames, avi": (lambda d: write_packed(d / "a.avi", in_a_row=1), True),
    "mpeg-4 packed runs of b-frames, avi": (
        lambda d: write_packed(d / "a.avi", in_a_row=2),
        False,
    ),
    "mpeg-4 packed b-frames, avi, keys twice": (
        lambda d: write_packed(d / "a.avi", in_a_row=1, is_empty_key=True),
        True,
    ),
    "mpeg-4 b-frames, mkv with decoding times": (
        lambda d: store_decoding_times(
            encode(d / "plain.avi", "mpeg4", options={"bf": "2", "g": "12"}), d / "a.mkv"
        ),
        True,
    ),
    "mpeg-4 b-frames, mp4 with decoding times": (
        lambda d: store_decoding_times(
            encode(d / "plain.avi", "mpeg4", options={"bf": "2", "g": "12"}), d / "a.mp4"
        ),
        True,
    ),
    "h264 b-frames, mp4 with decoding times": (
        lambda d: store_decoding_times(
            encode(d / "plain.mp4", "libx264", options=X264), d / "a.mp4"
        ),
        False,
    ),
    "mpeg-4 b-frames, mp4": (
        lambda d: encode(d / "a.mp4", "mpeg4", options={"bf": "2", "g": "12"}),
        True,
    ),
    "a codec not known to begin anew": (lambda d: encode(d / "a.mkv", "msmpeg4v3"), False),
    "mpeg-2 b-frames": (lambda d: encode(d / "a.mpg", "mpeg2video", options={"bf": "2"}), False),
    "mjpeg avi": (lambda d: encode(d / "a.avi", "mjpeg", pixel_format="yuvj420p"), True),
    "variable rate": (
        lambda d: encode(d / "a.mp4", "libx264", options=X264, times=VARIABLE_TIMES),
        True,
    ),
    "variable rate, webm": (
        lambda d: encode(
            d / "a.webm", "libvpx-vp9", options={"cpu-used": "8"}, times=VARIABLE_TIMES
        ),
        True,
    ),
    "late start": (
        lambda d: encode(
            d / "a.mp4", "libx264", options=X264, times=[900 + 4 * t for t in range(NUM_FRAMES)]
        ),
        True,
    ),
}


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bool]:
    make, has_groups = CASES[request.param]
    return make(tmp_path_factory.mktemp("case")), has_groups


def test_random_frames_are_those_of_a_full_decode(case: tuple[Path, bool]) -> None:
    path, has_groups = case
    expected = decode_all(path)
    assert_exact(path, expected)
    with VideoFile(path) as video:
        assert (video._read_by_groups([0, 7, len(expected) - 1]) is not None) == has_groups


def test_the_count_from_packets_is_the_decoded_count(case: tuple[Path, bool]) -> None:
    path, _ = case
    info = probe(path)
    num_decoded = len(decode_all(path))
    assert info.num_frames == num_decoded
    assert not info.is_truncated
    with pytest.raises(TruncatedVideoError) as error:
        read_frames(path, [0, num_decoded])
    assert error.value.num_decoded == num_decoded


def assert_exact(path: Path, expected: np.ndarray, *, rounds: int = 6) -> None:
    rng = random.Random(3)
    numbers = range(len(expected))
    for size in [1, 2, 4, 8, 8, 16][:rounds]:
        indices = rng.choices(numbers, k=size)
        frames = read_frames(path, indices).permute(0, 2, 3, 1).numpy()
        for frame, index in zip(frames, indices, strict=True):
            np.testing.assert_array_equal(frame, expected[index], err_msg=f"frame {index}")


@pytest.mark.parametrize(
    "name",
    [
        *("h264 open gop", "h264 offsets below zero", "av1"),
        "h264 b-frames, mp4 with decoding times",
        *(f"mpeg-4 {kind} b-frames, avi" for kind in ("without", "packed")),
        "mpeg-4 b-frames, avi",
    ],
)
def test_every_frame_alone(tmp_path: Path, name: str) -> None:
    make, has_groups = CASES[name]
    path = make(tmp_path)
    expected = decode_all(path)
    for index in range(NUM_FRAMES):
        np.testing.assert_array_equal(
            read_frames(path, [index])[0].permute(1, 2, 0).numpy(), expected[index]
        )
        with VideoFile(path) as video:
            found = video._read_by_groups([index]) is not None
            assert found == has_groups, f"frame {index}"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {**X264, "x264-params": "open-gop=1:scenecut=0"}),
        (
            "libx265",
            {"preset": "fast", "x265-params": "log-level=0:keyint=12:open-gop=1:bframes=4"},
        ),
        ("mpeg2video", {"bf": "2", "g": "12"}),
    ],
)
def test_a_file_that_begins_with_frames_that_refer_to_none(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    """Cut from a longer one at a key frame, before which frames are shown that need its past."""
    whole = encode(tmp_path / f"whole{suffix}", codec, options=options)
    part = remux(whole, tmp_path / f"part{suffix}", skip_groups=1)
    expected = decode_all(part)
    assert 30 < len(expected) < NUM_FRAMES
    assert_exact(part, expected)
    assert probe(part).num_frames == len(expected)
    with VideoFile(part) as video:
        assert len(video.frame_times_seconds) == len(expected)


def remux(source: Path, target: Path, *, skip_seconds: float = 0.0, skip_groups: int = 0) -> Path:
    """Copy the packets; with `skip_seconds` an MP4 gets an edit list that starts in mid-group."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        num_keys = 0
        for packet in read.demux(stream):
            if packet.dts is None:
                continue
            num_keys += packet.is_keyframe
            if num_keys <= skip_groups:
                continue
            shift = round(skip_seconds / float(stream.time_base))
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copy
            write.mux(packet)
    return target


def test_an_edit_list_hides_the_frames_before_it(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", "libx264", options=X264)
    edited = remux(whole, tmp_path / "edited.mp4", skip_seconds=0.6)
    expected = decode_all(edited)
    assert 0 < len(expected) < NUM_FRAMES, "the edit list hides nothing: the test tests nothing"
    assert_exact(edited, expected)
    assert probe(edited).num_frames == len(expected)
    assert not probe(edited).is_truncated


def test_a_wrong_frame_count_in_the_header_changes_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", "mpeg4", options={"g": "12"})
    expected = decode_all(path)
    data = bytearray(path.read_bytes())
    # The main header's number of frames, and the stream header's length.
    for tag, offset in ((b"avih", 24), (b"strh", 40)):
        place = data.index(tag) + offset
        for promised in (0, 7):
            data[place : place + 4] = promised.to_bytes(4, "little")
            path.write_bytes(data)
            assert_exact(path, expected, rounds=3)
            assert probe(path).num_frames == NUM_FRAMES


def test_frames_that_were_dropped_in_writing_are_none(tmp_path: Path) -> None:
    """An AVI marks a frame that came too late for its writer by a chunk of no bytes."""
    path = encode(tmp_path / "a.avi", "mjpeg", pixel_format="yuvj420p")
    expected = decode_all(path)
    data = path.read_bytes()
    dropped = range(20, 28)
    movi = data.index(b"movi")
    written, index = bytearray(data[: movi + 4]), bytearray()
    place = movi + 4
    for number in range(NUM_FRAMES):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        chunk = data[place + 8 : place + 8 + size] if number not in dropped else b""
        index += b"00dc" + struct.pack("<III", 16, len(written) - movi, len(chunk))
        written += b"00dc" + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2)
        place += 8 + size + size % 2
    struct.pack_into("<I", written, movi - 4, len(written) - movi)
    written += b"idx1" + struct.pack("<I", len(index)) + index
    struct.pack_into("<I", written, 4, len(written) - 8)
    path.write_bytes(written)
    assert probe(path).num_frames == NUM_FRAMES - len(dropped)
    assert not probe(path).is_truncated
    assert_exact(path, np.delete(expected, dropped, axis=0))


def test_a_picture_that_changes_its_size_keeps_the_first(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / "1.ts", num_frames=8, width=96, height=64),
        write_video(tmp_path / "2.ts", num_frames=8, width=64, height=48),
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert read_frames(path, [0, 12]).shape == (2, 3, 64, 96)


def test_every_shared_video(shared: Path) -> None:
    paths = sorted(
        path
        for path in (shared / "videos").rglob("*")
        if path.suffix in {".mp4", ".webm", ".avi"} and path.stat().st_size < 3_000_000
    )
    assert len(paths) > 200
    for path in paths[::9]:
        expected = decode_all(path)
        assert probe(path).num_frames == len(expected), path
        assert_exact(path, expected, rounds=3)
        with VideoFile(path) as video:
            assert video._read_by_groups([len(expected) // 2]) is not None, path


def test_ten_thousand_opens_leave_no_file_open(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=4, width=32, height=32)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10_000):
        with VideoFile(path) as video:
            assert video.num_frames == 4
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


class Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2` (man mallinfo)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    )


@pytest.mark.skipif(not hasattr(glibc(), "mallinfo2"), reason="only glibc says what is in use")
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".webm", ".ts"])  # .ts is read in order
def test_reading_keeps_no_memory(tmp_path: Path, suffix: str) -> None:
    codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(suffix, "libx264")
    path = encode(tmp_path / f"a{suffix}", codec, options={"g": "6"})
    libc = glibc()
    assert libc is not None
    mallinfo2 = libc.mallinfo2
    mallinfo2.restype = Mallinfo

    def bytes_in_use_after(num_reads: int) -> int:
        for number in range(num_reads):
            # Two groups of pictures and never the last: both demuxers are left in their middle.
            read_frames(path, [number % 20, 30 + number % 20])
            probe(path)
        return int(mallinfo2().uordblks)

    before = bytes_in_use_after(20)
    gc.disable()  # what only a collector frees may stay for long
    try:
        # One packet that stays behind in every read is 30 KiB.
        assert bytes_in_use_after(200) - before < 15_000
    finally:
        gc.enable()
