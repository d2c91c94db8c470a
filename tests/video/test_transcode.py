"""Transcoding: the same frames at the same times, upright, small, and a key frame every few."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from stmnet.errors import VideoError
from stmnet.video.codings import SUFFIXES
from stmnet.video.transcode import Shape, Transcoded, transcode, upright_size
from tests.conftest import VideoWriter, decode_all, moving_bars, write_audio

CODECS = {".webm": "libvpx-vp9", ".avi": "mpeg4", ".mpg": "mpeg2video", ".mpeg": "mpeg2video"}
FPS = 25  # MPEG-2 knows no 12


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert all(frame.pts is not None for frame in frames)
    return [float(frame.pts * frame.time_base) for frame in frames]


def key_frames(path: Path) -> list[bool]:
    """In decoding order."""
    with av.open(str(path)) as container:
        return [packet.is_keyframe for packet in container.demux(video=0) if packet.size]


def done(source: Path, **shape: int) -> Path:
    """The transcoded file, in a folder of its own."""
    target = source.parent / "done" / source.name
    target.parent.mkdir(exist_ok=True)
    assert transcode(source, target, Shape(**shape)).damage is None
    return target


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_family_keeps_its_frames_and_times(make_video: VideoWriter, suffix: str) -> None:
    codec = CODECS.get(suffix, "libx264")
    source = make_video(f"a{suffix}", codec=codec, fps=FPS, num_frames=23)
    out = done(source, key_frame_interval=5)
    assert times(out) == times(source)
    assert psnr(decode_all(out), decode_all(source)) > 32
    assert [n for n, is_key in enumerate(key_frames(out)) if is_key] == [0, 5, 10, 15, 20]
    with av.open(str(out)) as container, av.open(str(source)) as original:
        assert container.format.name == original.format.name
        assert container.streams.video[0].codec_context.name == {
            "libx264": "h264",
            "libvpx-vp9": "vp9",
        }.get(codec, codec)


@pytest.mark.parametrize(("suffix", "interval"), [(".mp4", 6), (".webm", 16), (".avi", 6)])
def test_every_container_has_its_own_interval(
    make_video: VideoWriter, suffix: str, interval: int
) -> None:
    source = make_video(f"a{suffix}", codec=CODECS.get(suffix, "libx264"), num_frames=35)
    keys = [n for n, is_key in enumerate(key_frames(done(source))) if is_key]
    assert keys == list(range(0, 35, interval))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".mpg"])
def test_the_same_bytes_every_time(make_video: VideoWriter, suffix: str) -> None:
    source = make_video(f"a{suffix}", codec=CODECS.get(suffix, "libx264"), fps=FPS)
    first = done(source).read_bytes()
    assert done(source).read_bytes() == first


@pytest.mark.slow
def test_the_same_bytes_sixty_times(make_video: VideoWriter) -> None:
    # x264's macroblock tree, which is off, gave other bytes for one file in thirty.
    source = make_video("a.mp4", num_frames=50, width=320, height=240)
    first = done(source, short_side=128).read_bytes()
    differing = [n for n in range(60) if done(source, short_side=128).read_bytes() != first]
    assert differing == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_varying_frame_rate_stays_as_it_is(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"a{suffix}"
    milliseconds = [40, 80, 81, 300, 301, 340, 1000, 1033, 1066, 2500]
    with av.open(str(source), "w") as container:
        stream = container.add_stream(CODECS.get(suffix, "libx264"), rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, image in zip(milliseconds, moving_bars(len(milliseconds), 64, 48), strict=True):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert times(source) == [pytest.approx(ms / 1000) for ms in milliseconds]
    assert times(done(source)) == times(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi"])
@pytest.mark.parametrize("hours", [1, 12])
def test_a_picture_an_hour_stays_as_it_is(tmp_path: Path, suffix: str, hours: int) -> None:
    source = tmp_path / f"a{suffix}"
    gap = Fraction(3600 * hours)
    with av.open(str(source), "w") as container:
        stream = container.add_stream(CODECS.get(suffix, "libx264"), rate=1 / gap)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, image in enumerate(moving_bars(3, 64, 48)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = number, gap
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert times(source) == [0, 3600 * hours, 7200 * hours]
    assert times(done(source)) == times(source)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((640, 480), 256, (340, 256)),
        ((480, 640), 256, (256, 340)),
        ((427, 240), 256, (426, 240)),
        ((95, 71), 256, (94, 70)),
        ((1920, 1080), 256, (454, 256)),
        ((256, 256), 256, (256, 256)),
        ((3, 3), 256, (2, 2)),
        ((4000, 3), 256, (4000, 2)),
    ],
)
def test_sizes_are_even_and_never_larger(
    size: tuple[int, int], short_side: int, expected: tuple[int, int]
) -> None:
    assert upright_size(*size, short_side) == expected


@pytest.mark.parametrize(("name", "pixels"), [("a.webm", "yuv420p"), ("a.mp4", "yuv444p")])
def test_an_odd_sized_video_is_made_smaller_and_no_larger(
    make_video: VideoWriter, name: str, pixels: str
) -> None:
    codec = CODECS.get(Path(name).suffix, "libx264")
    source = make_video(name, width=95, height=71, codec=codec, pixel_format=pixels)
    assert decode_all(done(source)).shape == (24, 70, 94, 3)
    assert decode_all(done(source, short_side=32)).shape == (24, 32, 42, 3)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(4, 3), (128, 72)), (Fraction(3, 4), (96, 96)), (Fraction(1), (96, 72))],
)
def test_oblong_pixels_become_square(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for image in moving_bars(4, 96, 72):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    with av.open(str(done(source))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
        assert stream.sample_aspect_ratio in (None, 1)


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuv422p", "yuv420p10le"])
def test_colors_stay(make_video: VideoWriter, pixels: str) -> None:
    source = make_video("a.mp4", pixel_format=pixels)
    assert psnr(decode_all(done(source)), decode_all(source)) > 32


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264rgb", "rgb24"),
        ("a.mov", "png", "rgb24"),
        ("a.mov", "png", "gray"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.webm", "libvpx-vp9", "gbrp"),
    ],
)
def test_rgb_becomes_yuv_and_is_marked_so(
    make_video: VideoWriter, name: str, codec: str, pixels: str
) -> None:
    source = make_video(name, codec=codec, pixel_format=pixels)
    target = done(source)
    assert psnr(decode_all(target), decode_all(source)) > 32
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.colorspace == Colorspace.ITU601


def test_sound_is_left_out(tmp_path: Path, make_video: VideoWriter) -> None:
    silent, source = make_video("silent.mp4"), tmp_path / "a.mp4"
    sound = write_audio(tmp_path / "sound.mp4")
    with (
        av.open(str(silent)) as pictures,
        av.open(str(sound)) as tones,
        av.open(str(source), "w") as container,
    ):
        copies = [container.add_stream_from_template(c.streams[0]) for c in (pictures, tones)]
        for original, copy in zip((pictures, tones), copies, strict=True):
            for packet in original.demux():
                if packet.size:
                    packet.stream = copy
                    container.mux(packet)
    with av.open(str(source)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    with av.open(str(done(source))) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert times(done(source)) == times(silent)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_cut_file_gives_what_is_there_and_says_so(make_video: VideoWriter, suffix: str) -> None:
    source = make_video(
        f"a{suffix}",
        codec=CODECS.get(suffix, "libx264"),
        num_frames=60,
        container_options={"movflags": "faststart"} if suffix == ".mp4" else None,
    )
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    target = source.with_name(f"out{suffix}")
    result = transcode(source, target, Shape())
    assert result.damage is not None
    assert result.damage.startswith("cut off after ")
    assert 10 < result.num_frames < 55
    assert len(times(target)) == result.num_frames


@pytest.mark.parametrize(
    ("name", "codec", "num_frames"), [("a.mp4", "libx264", 29), ("a.avi", "mpeg4", 30)]
)
def test_damage_in_the_middle_is_told(
    make_video: VideoWriter, name: str, codec: str, num_frames: int
) -> None:
    source = make_video(name, codec=codec, num_frames=30, width=160, height=120)
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][15]
        start, length = packet.pos + packet.size // 10, packet.size // 2
    data = bytearray(source.read_bytes())
    data[start : start + length] = b"\x55" * length
    source.write_bytes(data)
    result = transcode(source, source.with_name(f"out_{name}"), Shape())
    assert result == Transcoded(num_frames, "damaged frames: 1")


def test_what_is_no_video_is_told_and_leaves_nothing(
    tmp_path: Path, make_video: VideoWriter
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    write_audio(tmp_path / "audio.mp4")
    headless = make_video("headless.mp4")
    headless.write_bytes(headless.read_bytes()[: headless.stat().st_size // 2])
    before = sorted(tmp_path.iterdir())
    for name, message in {
        "text.mp4": "not a readable video",
        "empty.mp4": "the file is empty",
        "audio.mp4": "no video stream (audio only)",
        "headless.mp4": "not a readable video",
        "none.mp4": "no such file",
    }.items():
        with pytest.raises(VideoError) as error:
            transcode(tmp_path / name, tmp_path / "out.mp4", Shape())
        assert message in str(error.value)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_place_without_room_is_no_fault_of_the_source(make_video: VideoWriter) -> None:
    source = make_video("a.mp4", num_frames=60)
    program = f"""
import resource
from pathlib import Path
from stmnet.video.transcode import Shape, transcode
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    transcode(Path({str(source)!r}), Path({str(source.with_name("out.mp4"))!r}), Shape())
except OSError as e:
    print(e.filename, e.strerror)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"{source.with_name('out.mp4')} File too large\n", done.stderr
    assert list(source.parent.iterdir()) == [source]


def test_processes_that_transcode_need_no_torch() -> None:
    code = "import sys, stmnet.video.transcode; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
