"""The matrix and the range that a stream states make its RGB, of 8 bits and of 10.

Held against the standards' own numbers: Kr and Kb of ITU-R BT.601, BT.709 and BT.2020, and the
quantization of their limited and full range (ITU-T H.273, 8.3), in float64.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from stmnet.errors import VideoError
from stmnet.video.frames import read_frames
from stmnet.video.transcode import Shape, transcode
from tests.conftest import decode_all

# H.273's number of the matrix: Kr and Kb.
MATRICES = {
    1: (0.2126, 0.0722),  # BT.709
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    9: (0.2627, 0.0593),  # BT.2020, as HDR10 and HLG are
}
UNSPECIFIED, RESERVED, YCGCO = 2, 3, 8
LIMITED, FULL = 1, 2
BLOCK = 8  # pixels of one color each way, so that how chroma is enlarged plays no part inside
NUM_BLOCKS = (6, 8)


def random_colors(num_bits: int, color_range: int) -> np.ndarray:
    """(3, rows, columns) of Y, Cb and Cr, some far from gray."""
    rng = np.random.default_rng(11)
    unit = 2 ** (num_bits - 8)
    low, high = (16 * unit, 235 * unit) if color_range == LIMITED else (0, 255 * unit)
    luma = rng.integers(low, high, NUM_BLOCKS)
    return np.stack([luma, *rng.integers(60 * unit, 196 * unit, (2, *NUM_BLOCKS))])


def as_rgb(colors: np.ndarray, num_bits: int, matrix: int, color_range: int) -> np.ndarray:
    """(rows, columns, 3), 0 to 255, not rounded."""
    red, blue = MATRICES[matrix]
    unit = 2 ** (num_bits - 8)
    luma, cb, cr = colors.astype(np.float64)
    if color_range == LIMITED:
        luma, cb, cr = (luma / unit - 16) / 219, (cb / unit - 128) / 224, (cr / unit - 128) / 224
    else:
        largest = 2**num_bits - 1
        luma, cb, cr = luma / largest, (cb - 128 * unit) / largest, (cr - 128 * unit) / largest
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return 255 * np.clip(np.stack([r, g, b], axis=-1), 0, 1)


def write_colors(
    path: Path, colors: np.ndarray, pixel_format: str, matrix: int, color_range: int
) -> Path:
    """A block of each color, in a codec that keeps every value."""
    rows, columns = NUM_BLOCKS
    frame = av.VideoFrame(columns * BLOCK, rows * BLOCK, pixel_format)
    kind = np.uint16 if pixel_format.endswith("le") else np.uint8
    for plane, values in zip(frame.planes, colors, strict=True):
        side = plane.height // rows
        lines = np.asarray(memoryview(plane)).view(kind).reshape(plane.height, -1)
        lines[:, : plane.width] = np.kron(values, np.ones((side, side), kind))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_colors(path: Path) -> np.ndarray:
    """The middle of every block: (rows, columns, 3)."""
    image = read_frames(path, [0])[0].permute(1, 2, 0).numpy()
    return image[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK].astype(np.float64)


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(
    ("pixel_format", "num_bits", "tolerance"),
    [
        ("yuv444p", 8, 0.52),
        ("yuv444p10le", 10, 1.3),  # full range: FFmpeg takes 1023 for 1020
        # FFmpeg's tables for the usual layout cut off where others round, in this library, in
        # `ffmpeg` and in all that is built on it.
        ("yuv420p", 8, 3.0),
        ("yuv420p10le", 10, 4.0),
    ],
)
def test_the_values_are_the_standards(
    tmp_path: Path,
    pixel_format: str,
    num_bits: int,
    tolerance: float,
    matrix: int,
    color_range: int,
) -> None:
    colors = random_colors(num_bits, color_range)
    path = write_colors(tmp_path / "a.mkv", colors, pixel_format, matrix, color_range)
    found = read_colors(path)
    assert abs(found - as_rgb(colors, num_bits, matrix, color_range)).max() < tolerance
    for other in (1, 6, 9):
        if MATRICES[other] != MATRICES[matrix]:
            wrong = as_rgb(colors, num_bits, other, color_range)
            assert abs(found - wrong).max() > 2 * tolerance, f"as well matrix {other}"
    np.testing.assert_array_equal(read_frames(path, [0])[0].permute(1, 2, 0), decode_all(path)[0])


@pytest.mark.parametrize(("pixel_format", "num_bits"), [("yuv444p", 8), ("yuv444p10le", 10)])
def test_without_a_matrix_it_is_that_of_bt601(
    tmp_path: Path, pixel_format: str, num_bits: int
) -> None:
    colors = random_colors(num_bits, LIMITED)
    path = write_colors(tmp_path / "a.mkv", colors, pixel_format, UNSPECIFIED, LIMITED)
    assert abs(read_colors(path) - as_rgb(colors, num_bits, 6, LIMITED)).max() < 0.52


def test_a_number_without_a_meaning_is_no_matrix(tmp_path: Path) -> None:
    """VP9 has such a number, and AV1 the one that H.273 reserves: FFmpeg's scaler refuses it."""
    colors = random_colors(8, LIMITED)
    plain = write_colors(tmp_path / "plain.mkv", colors, "yuv444p", UNSPECIFIED, LIMITED)
    path = tmp_path / "a.webm"
    with av.open(str(plain)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream("libvpx-vp9", rate=12, options={"lossless": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        numbering = BitStreamFilterContext("vp9_metadata=color_space=6", stream)
        frame = next(read.decode(video=0))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            write.mux(numbering.filter(packet))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == RESERVED
    expected = as_rgb(colors, 8, 6, LIMITED)
    assert abs(read_colors(path) - expected).max() < 0.52
    copy = tmp_path / "copy.webm"
    transcode(path, copy, Shape())
    assert abs(read_colors(copy) - expected).mean() < 8  # coded again, with chroma of half the size


def test_a_matrix_that_ffmpeg_lacks_is_named(tmp_path: Path) -> None:
    colors = random_colors(8, LIMITED)
    path = write_colors(tmp_path / "a.mkv", colors, "yuv444p", YCGCO, LIMITED)
    with pytest.raises(VideoError, match=r"color matrix 8 of ITU-T H\.273\) cannot be made RGB"):
        read_frames(path, [0])


def test_chroma_lies_where_the_stream_says(tmp_path: Path) -> None:
    """HEVC's chroma lies below the left of two pixels unless it says otherwise, HDR's too.

    `ffmpeg` and what is built on its filters take it for the middle. A picture whose chroma was
    taken from the left comes back nearer by what the stream says.
    """
    height, width = 64, 96
    y, x = np.mgrid[:height, :width]
    truth = np.stack(
        [128 + 100 * np.sin(x / 3), 128 + 90 * np.cos((x + y) / 5), 128 - 100 * np.sin(x / 3)], -1
    )
    red, blue = MATRICES[9]
    r, g, b = np.moveaxis(truth / 255, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b

    def from_the_left(chroma: np.ndarray) -> np.ndarray:
        padded = np.pad(chroma, ((0, 0), (1, 1)), "edge")
        across = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:])[:, ::2] / 4
        return (across[::2] + across[1::2]) / 2

    frame = av.VideoFrame(width, height, "yuv420p10le")
    planes = (
        64 + 876 * luma,
        512 + 896 * from_the_left((b - luma) / (2 - 2 * blue)),
        512 + 896 * from_the_left((r - luma) / (2 - 2 * red)),
    )
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.asarray(memoryview(plane)).view(np.uint16).reshape(plane.height, -1)
        lines[:, : plane.width] = np.rint(values)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        options = {"x265-params": "lossless=1:log-level=none"}
        stream = container.add_stream("libx265", rate=12, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        stream.codec_context.colorspace, stream.codec_context.color_range = 9, LIMITED
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    graph = av.filter.Graph()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        parts = [
            graph.add_buffer(template=stream, time_base=stream.time_base),
            graph.add("scale", "flags=bilinear"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*parts).configure()
        graph.push(next(container.decode(stream)))
        middle = graph.vpull().to_ndarray(format="rgb24")

    def error(image: np.ndarray) -> float:
        difference = image.astype(np.float64) - truth
        return float((difference - difference.mean(axis=(0, 1))).std())

    stated = read_frames(path, [0])[0].permute(1, 2, 0).numpy()
    assert error(stated) < 0.8 * error(middle)
