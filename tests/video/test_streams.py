"""Of several video streams, the one that the container marks is read, else the largest."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from stmnet.video.frames import probe, read_frames
from stmnet.video.reader import VideoFile
from stmnet.video.transcode import Shape, transcode
from tests.conftest import moving_bars

SMALL, LARGE, COVER = (64, 48), (160, 120), (320, 320)
NUM_FRAMES = 12


def write_streams(
    path: Path, sizes: list[tuple[int, int]], marks: list[Disposition] | None = None
) -> Path:
    """A video stream of each size; only the cover is a single picture. None refers to another."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            is_cover = (width, height) == COVER
            stream = container.add_stream("mjpeg" if is_cover else "libx264", rate=12)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if is_cover else "yuv420p"
            if marks is not None:
                stream.disposition = marks[number]
            streams.append(stream)
        for stream in streams:
            length = 1 if (stream.width, stream.height) == COVER else NUM_FRAMES
            for image in moving_bars(length, stream.width, stream.height):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode(None))
    return path


def decoded(path: Path, number: int) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[number])
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def require_stream(path: Path, number: int) -> None:
    """Count, size, times, bytes and the transcoded copy are those of this stream alone."""
    expected = decoded(path, number)
    assert len(expected) == NUM_FRAMES
    info = probe(path)
    assert (info.num_frames, info.height, info.width) == expected.shape[:3]
    indices = [11, 0, 5]
    np.testing.assert_array_equal(
        read_frames(path, indices).permute(0, 2, 3, 1).numpy(), expected[indices]
    )
    with VideoFile(path) as video:
        assert len(video.frame_times_seconds) == NUM_FRAMES
        in_groups = video._read_by_groups([3])
    if path.suffix in (".mp4", ".mkv"):
        assert in_groups is not None
    if in_groups is not None:
        np.testing.assert_array_equal(in_groups.frames[0], expected[3])
    copy = path.with_name(f"copy{path.suffix if path.suffix != '.ts' else '.mp4'}")
    if path.suffix != ".ts":
        assert transcode(path, copy, Shape()).num_frames == NUM_FRAMES
        assert decoded(copy, 0).shape == expected.shape


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("large_first", [False, True])
def test_the_largest_of_equals_is_read(tmp_path: Path, suffix: str, *, large_first: bool) -> None:
    sizes = [LARGE, SMALL] if large_first else [SMALL, LARGE]
    path = write_streams(tmp_path / f"a{suffix}", sizes, [Disposition.default] * 2)
    require_stream(path, 0 if large_first else 1)
    if suffix == ".mp4":
        with av.open(str(path)) as container:
            best = container.streams.best("video")
            assert best is container.streams.video[0 if large_first else 1], "FFmpeg's own choice"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("marked", [0, 1])
def test_the_containers_mark_counts_more_than_the_size(
    tmp_path: Path, suffix: str, marked: int
) -> None:
    """An MP4's other tracks are not enabled, a Matroska's not default: players do not show them."""
    marks = [Disposition(0), Disposition(0)]
    marks[marked] = Disposition.default
    path = write_streams(tmp_path / f"a{suffix}", [SMALL, LARGE], marks)
    require_stream(path, marked)
    with av.open(str(path)) as container:
        best = container.streams.best("video")
        assert best is container.streams.video[marked], "FFmpeg's own choice"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_without_a_mark_the_largest_is_read(tmp_path: Path, suffix: str) -> None:
    path = write_streams(tmp_path / f"a{suffix}", [SMALL, LARGE], [Disposition(0)] * 2)
    with av.open(str(path)) as container:
        marked = [bool(s.disposition & Disposition.default) for s in container.streams.video]
    # The writer of MP4 enables the first where none is marked.
    require_stream(path, 0 if any(marked) else 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_picture_is_never_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".mp4":
        write_streams(path, [COVER, SMALL], [Disposition.attached_pic, Disposition(0)])
    else:  # Matroska has such pictures as attachments
        with av.open(str(path), "w") as container:
            data = io.BytesIO()
            Image.new("RGB", COVER).save(data, "JPEG")
            container.add_attachment("cover.jpg", "image/jpeg", data.getvalue())
            stream = container.add_stream("libx264", rate=12)
            stream.width, stream.height = SMALL
            stream.pix_fmt = "yuv420p"
            for image in moving_bars(NUM_FRAMES, *SMALL):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        pictures = [
            bool(stream.disposition & Disposition.attached_pic)
            for stream in container.streams.video
        ]
    assert sum(pictures) == 1
    require_stream(path, pictures.index(False))
