"""What is larger than the limit is refused by its header, before it takes memory; 8K is read."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stmnet.errors import VideoError
from stmnet.video.frames import probe, read_frames
from stmnet.video.shrink import shrink_folder
from stmnet.video.sizes import MAX_PIXELS, MAX_SIDE, image_size, require_size
from stmnet.video.transcode import Shape, transcode
from tests.conftest import VideoWriter

LIMIT = r"the limit is 16384 a side and 67108864 in all\. Make it smaller, or remove it"
STREAM_LIMIT = r"a picture of its video stream is larger than the limit of 67108864 pixels"


def png(width: int, height: int, content: bytes = b"") -> bytes:
    """A PNG file of 8-bit gray, of few bytes whatever its size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(name, data) for name, data in [(b"IHDR", header), (b"IDAT", content), (b"IEND", b"")]
    )


def jpeg(width: int, height: int) -> bytes:
    """A JPEG file whose frame header (ITU-T T.81, B.2.2) says this size, and of 16 x 16 else."""
    data = io.BytesIO()
    Image.new("RGB", (16, 16)).save(data, "JPEG")
    content = bytearray(data.getvalue())
    place = content.index(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("size", [(7680, 4320), (4320, 7680), (8192, 8192), (MAX_SIDE, 4096)])
def test_up_to_the_limit_all_is_taken(size: tuple[int, int]) -> None:
    require_size(Path("a.mp4"), *size)


@pytest.mark.parametrize("size", [(8193, 8192), (MAX_SIDE + 1, 16), (16, MAX_SIDE + 1)])
def test_over_the_limit_nothing_is(size: tuple[int, int]) -> None:
    with pytest.raises(VideoError, match=rf"^a\.mp4: .* {size[0]} x {size[1]} pixels; {LIMIT}"):
        require_size(Path("a.mp4"), *size)


@pytest.mark.parametrize(("name", "make"), [("1.png", png), ("1.jpg", jpeg), ("1.jpg", png)])
@pytest.mark.parametrize("size", [(60_000, 60_000), (9000, 9000), (16, 30_000)])
def test_an_image_is_refused_by_its_header(
    tmp_path: Path, name: str, make: object, size: tuple[int, int]
) -> None:
    assert callable(make)
    (tmp_path / "clip").mkdir()
    image = tmp_path / "clip" / name
    image.write_bytes(make(*size))
    assert image_size(image.read_bytes()) == size
    for read in (probe, lambda path: read_frames(path, [0])):
        with pytest.raises(VideoError, match=rf"{size[0]} x {size[1]} pixels; {LIMIT}") as error:
            read(tmp_path / "clip")
        assert str(error.value).startswith(f"{image}: ")
        assert "\n" not in str(error.value)


def test_prepare_copies_such_an_image_as_a_damaged_one(tmp_path: Path) -> None:
    source = tmp_path / "clip"
    source.mkdir()
    Image.new("RGB", (640, 480)).save(source / "1.png")
    (source / "2.png").write_bytes(png(60_000, 60_000))
    assert (
        shrink_folder(source, tmp_path / "out", 256).damage == "damaged frames: 1, the first 2.png"
    )
    assert (tmp_path / "out/2.png").read_bytes() == (source / "2.png").read_bytes()
    assert Image.open(tmp_path / "out/1.png").size == (341, 256)


def test_the_header_says_what_another_reader_finds(tmp_path: Path) -> None:
    """With the segments that writers put before the frame header, and the fill bytes they may."""
    exif = Image.Exif()
    exif[0x010E] = "a description with \xff\xc0 in it"
    picture = Image.new("RGB", (70, 50))
    thumbnail = io.BytesIO()
    picture.resize((7, 5)).save(thumbnail, "JPEG")
    for number, options in enumerate(
        [
            {},
            {"exif": exif},
            {"progressive": True, "optimize": True},
            {"icc_profile": b"\xff\xc0" + bytes(70_000), "comment": b"\xff\xd8\xff\xc0\x00\x11"},
            {"comment": thumbnail.getvalue()},
        ]
    ):
        path = tmp_path / f"{number}.jpg"
        picture.save(path, **options)
        data = path.read_bytes()
        for content in (data, data[:2] + b"\xff\xff" + data[2:]):
            assert image_size(content) == Image.open(io.BytesIO(content)).size == (70, 50)
    picture.save(tmp_path / "1.png")
    assert image_size((tmp_path / "1.png").read_bytes()) == (70, 50)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for content in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a" + bytes(40), b"text"):
        (tmp_path / "clip/1.png").write_bytes(content)
        with pytest.raises(
            VideoError, match=r"1\.png: not a readable image \(.+\)\. Copy it again"
        ):
            read_frames(tmp_path / "clip", [0])


def test_8k_is_read(tmp_path: Path) -> None:
    video = tmp_path / "8k.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mjpeg", rate=12)
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(7680, 4320, "yuvj420p")))
        container.mux(stream.encode(None))
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/1.png").write_bytes(png(7680, 4320, zlib.compress(bytes(4320 * 7681), 1)))
    for path in (video, tmp_path / "clip"):
        assert read_frames(path, [0]).shape == (1, 3, 4320, 7680)


# ---- videos ----


class Bits:
    """The syntax of a header, bit by bit (ITU-T H.264, 7.2 and 9.1)."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, length: int, value: int) -> Bits:
        self.text += format(value, f"0{length}b")
        return self

    def golomb(self, *values: int) -> Bits:
        for value in values:
            code = format(value + 1, "b")
            self.text += "0" * (len(code) - 1) + code
        return self

    def ended(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def sequence_parameters(side: int) -> bytes:
    """An H.264 stream's header (7.3.2.1.1, baseline profile) for square pictures."""
    bits = Bits().fixed(8, 66).fixed(8, 0xC0).fixed(8, 62).golomb(0, 0, 2, 1).fixed(1, 0)
    macroblocks = side // 16 - 1
    bits.golomb(macroblocks, macroblocks).fixed(4, 0b1100)
    return b"\x67" + bits.ended()


def state_side(video: Path, side: int) -> Path:
    """Write such a header in place of an MP4's own, which is longer, in its `avcC` box."""
    data = bytearray(video.read_bytes())
    place = data.index(b"avcC") + 4 + 6
    (length,) = struct.unpack_from(">H", data, place)
    parameters = sequence_parameters(side)
    following = data[place + 2 + length :]
    box_end = struct.unpack_from(">I", data, place - 14)[0] - 16 - length
    rest, behind = following[:box_end], following[box_end:]
    content = struct.pack(">H", len(parameters)) + parameters + rest
    content += bytes(2 + length + len(rest) - len(content))
    video.write_bytes(bytes(data[:place]) + content + bytes(behind))
    return video


def remuxed(video: Path, suffix: str) -> Path:
    target = video.with_suffix(suffix)
    options = {"codec_whitelist": "none"}  # nothing is decoded here
    with av.open(str(video), options=options) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        for packet in read.demux(stream):
            if packet.size:
                packet.stream = copy
                write.mux(packet)
    return target


# A key frame's header of VP8 (RFC 6386, 9.1) and of JPEG, before its size.
VP8_KEY, JPEG_FRAME = b"\x9d\x01\x2a", b"\xff\xc0\x00\x11\x08"


def restate(video: Path, before: bytes, size: bytes, new_size: bytes, *, skip: int = 0) -> Path:
    """State another size in every picture's header but the first `skip`."""
    parts = video.read_bytes().split(before + size)
    assert len(parts) > skip + 1
    written = parts[0]
    for number, part in enumerate(parts[1:]):
        written += before + (size if number < skip else new_size) + part
    video.write_bytes(written)
    return video


def vp8(make_video: VideoWriter, *, skip: int) -> Path:
    options = {"g": "2", "auto-alt-ref": "0"}
    video = make_video("a.webm", codec="libvpx", num_frames=6, options=options)
    sizes = struct.pack("<HH", 96, 72), struct.pack("<HH", 12_000, 12_000)
    return restate(video, VP8_KEY, *sizes, skip=skip)


def peak_megabytes(video: Path) -> float:
    """How much memory probing and transcoding a video that is refused adds, without torch."""
    code = f"""
import resource
from pathlib import Path
from stmnet.errors import VideoError
from stmnet.video.frames import probe
from stmnet.video.transcode import Shape, transcode
video = Path({str(video)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
out = video.with_name("out" + (video.suffix if video.suffix in (".mp4", ".webm") else ".mp4"))
for read in (probe, lambda v: transcode(v, out, Shape())):
    try:
        read(video)
    except VideoError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return float(done.stdout)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv", ".h264"])
def test_a_stream_is_refused_by_its_header(make_video: VideoWriter, suffix: str) -> None:
    options = {"profile": "baseline", "preset": "ultrafast"}
    video = state_side(make_video("a.mp4", num_frames=6, options=options), 12_000)
    if suffix != ".mp4":
        video = remuxed(video, suffix)
    for read in (probe, lambda path: read_frames(path, [0, 3])):
        with pytest.raises(VideoError) as error:
            read(video)
        assert re.search(rf"12000 x 12000 pixels; {LIMIT}|{STREAM_LIMIT}", str(error.value))
        assert "\n" not in str(error.value)
    # One picture would be 206 MiB; the decoder's tables for its blocks are not counted by FFmpeg.
    assert peak_megabytes(video) < 120


def test_a_size_that_no_decoder_takes_is_told_in_one_line(make_video: VideoWriter) -> None:
    options = {"profile": "baseline", "preset": "ultrafast"}
    video = state_side(make_video("a.mp4", num_frames=6, options=options), 30_000)
    for read in (
        lambda path: read_frames(path, [0]),
        lambda path: transcode(path, path.with_name("out.mp4"), Shape()),
    ):
        with pytest.raises(VideoError, match=r"a\.mp4: no.* can be decoded") as error:
            read(video)
        assert "\n" not in str(error.value)
    with pytest.raises(VideoError, match="larger than the limit of 16384 pixels a side"):
        read_frames(video, [0])
    assert peak_megabytes(video) < 50


def test_the_containers_word_is_enough(make_video: VideoWriter) -> None:
    video = make_video("a.mov", codec="mjpeg", pixel_format="yuvj420p", num_frames=6)
    data = bytearray(video.read_bytes())
    place = data.index(b"jpeg", data.index(b"stsd")) + 28  # ISO/IEC 14496-12, 12.1.3
    assert struct.unpack_from(">HH", data, place) == (96, 72)
    struct.pack_into(">HH", data, place, 60_000, 60_000)
    video.write_bytes(data)
    with pytest.raises(VideoError, match=rf"60000 x 60000 pixels; {LIMIT}"):
        read_frames(video, [0])


def test_a_stream_that_grows_is_read_up_to_there(make_video: VideoWriter) -> None:
    video = vp8(make_video, skip=1)
    assert probe(video).width == 96
    assert read_frames(video, [0, 1]).shape == (2, 3, 72, 96)
    for read in (
        lambda: read_frames(video, [2]),
        lambda: read_frames(video, [0, 5]),
        lambda: transcode(video, video.with_name("out.webm"), Shape()),
    ):
        with pytest.raises(VideoError, match=STREAM_LIMIT):
            read()
    assert not video.with_name("out.webm").exists()
    assert peak_megabytes(video) < 50


def test_a_stream_too_large_from_its_first_picture_on(make_video: VideoWriter) -> None:
    video = vp8(make_video, skip=0)
    for read in (probe, lambda path: read_frames(path, [0])):
        with pytest.raises(VideoError, match=STREAM_LIMIT):
            read(video)


def test_oblong_pixels_count_as_they_are_made_square(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 4096, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 8
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 4096, 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read_frames(video, [0]).shape == (1, 3, 64, 4096)
    with pytest.raises(VideoError, match=rf"32768 x 64 pixels; {LIMIT}"):
        read_frames(video, [0], square_pixels=True)


def test_the_limit_is_the_one_that_is_told() -> None:
    assert (MAX_SIDE, MAX_PIXELS) == (16_384, 67_108_864)
