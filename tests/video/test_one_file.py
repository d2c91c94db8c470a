"""A video is one file: whatever names other files or addresses is refused, under any name.

That nothing else is opened is told by the kernel (inotify), and not by what FFmpeg says.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from stmnet.errors import VideoError
from stmnet.video.frames import probe, read_frames
from stmnet.video.transcode import Shape, transcode
from tests.conftest import VideoWriter

IN_OPEN = 0x20  # Linux's <sys/inotify.h>

PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "list.mpd": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S"><Period><AdaptationSet contentType="video">'
        '<Representation id="0" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>"
    ),
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nm=video 5004 RTP/AVP 96\n",
}


@contextmanager
def opens_of(path: Path) -> Iterator[list[int]]:
    """A list that holds how often `path` was opened, once the block ends."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells what was opened")
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN)
    opens: list[int] = []
    try:
        yield opens
        try:
            opens.append(len(os.read(watch, 4096)) // 16)  # events without a name have 16 bytes
        except BlockingIOError:
            opens.append(0)
    finally:
        os.close(watch)


def require_refused(path: Path, target: Path) -> None:
    """Whatever opens a video refuses `path` in one line, and does not open `target`."""
    for read in (
        probe,
        lambda video: read_frames(video, [0]),
        lambda video: transcode(video, video.with_name(f"out_{target.name}"), Shape()),
    ):
        with opens_of(target) as opens, pytest.raises(VideoError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: not a")
        assert "\n" not in str(error.value)
        assert opens == [0]


@pytest.mark.parametrize("suffix", ["", ".mp4", ".ts", ".avi"])
@pytest.mark.parametrize("name", PLAYLISTS)
def test_lists_of_files_are_refused_under_any_name(
    make_video: VideoWriter, tmp_path: Path, name: str, suffix: str
) -> None:
    target = make_video("target.ts")
    playlist = tmp_path / f"{name}{suffix}"
    playlist.write_text(PLAYLISTS[name].format(target=target.name))
    require_refused(playlist, target)


@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat"])
def test_ffmpeg_itself_would_follow_them(
    make_video: VideoWriter, tmp_path: Path, name: str
) -> None:
    """Or the test above would test nothing."""
    target = make_video("target.ts")
    playlist = tmp_path / name
    playlist.write_text(PLAYLISTS[name].format(target=target.name))
    with opens_of(target) as opens, av.open(str(playlist)) as container:
        assert next(container.decode(video=0)).width == 96
    assert opens != [0]


def test_the_refusal_says_what_to_do(make_video: VideoWriter, tmp_path: Path) -> None:
    playlist = tmp_path / "list.mp4"
    playlist.write_text(PLAYLISTS["list.m3u8"].format(target=make_video("target.ts").name))
    with pytest.raises(VideoError, match=r"not a video in one file \(a playlist, .*Give the path"):
        read_frames(playlist, [0])


def test_a_name_is_no_pattern_and_no_address(
    make_video: VideoWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with names that FFmpeg reads as something else are read as the files that they are."""
    monkeypatch.chdir(tmp_path)
    video = make_video("target.mp4", num_frames=5)
    names = ["concat:target.mp4|target.mp4", "subfile,,start,0,end,9,,:a.mp4", "a%03d.mp4"]
    for name in [*names, "http:a.mp4", "-", "file:a.mp4"]:
        Path(name).write_bytes(video.read_bytes())
        with opens_of(video) as opens:
            assert read_frames(name, [0, 4]).shape == (2, 3, 72, 96)
            assert probe(Path(name)).num_frames == 5
        assert opens == [0]


def test_a_pattern_of_pictures_is_refused(make_video: VideoWriter, tmp_path: Path) -> None:
    picture = make_video("a001.png", codec="png", num_frames=1, pixel_format="rgb24")
    pattern = tmp_path / "a%03d.png"
    pattern.write_bytes(picture.read_bytes())
    with opens_of(picture) as opens, pytest.raises(VideoError, match="not a video in one file"):
        read_frames(pattern, [0])
    assert opens == [0]


def grow_box(data: bytearray, names: tuple[bytes, ...], content: bytes) -> bytearray:
    """An MP4 whose innermost box of these nested ones has another content.

    ISO/IEC 14496-12, 4.2: a box begins with its size and its name.
    """
    place, places = 0, []
    for name in names:
        place = data.index(name, place) - 4
        places.append(place)
    (size,) = struct.unpack_from(">I", data, place)
    growth = len(content) + 8 - size
    data[place + 8 : place + size] = content
    for place in places:
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + growth)
    return data


def test_frames_in_another_file_are_not_followed(make_video: VideoWriter, tmp_path: Path) -> None:
    """A QuickTime movie may keep its frames elsewhere, by an alias in its data references."""
    target = make_video("target.mov", num_frames=5)
    alias = bytes(10) + b"\x04disk" + bytes(23) + bytes(12)
    alias += b"\x0atarget.mov" + bytes(53) + bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    alias += struct.pack(">hh", 2, 10) + b"target.mov" + struct.pack(">hh", -1, 0)
    # Version, flags and number of references, of which one.
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    references = struct.pack(">II", 0, 1) + entry
    boxes = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    data = bytearray(target.read_bytes())
    dinf = data.index(b"dinf", data.index(b"vmhd"))
    assert dinf < data.index(boxes[-1], dinf)
    movie = tmp_path / "movie.mov"
    movie.write_bytes(grow_box(data, (*boxes[:-1], b"dinf", b"dref"), references))

    with opens_of(target) as opens, av.open(str(movie), options={"enable_drefs": "1"}) as container:
        assert len(container.streams.video) == 1
    assert opens != [0], "FFmpeg follows it if it is told to: the test tests something"
    with opens_of(target) as opens, pytest.raises(VideoError, match=r"movie\.mov: "):
        read_frames(movie, [0])
    assert opens == [0]
