"""Pictures that a file states to be turned or mirrored, and pixels that it states not to be square.

What is at (x, y) of the stored picture is shown at (a x + c y, b x + d y), y downwards, of the
matrix in an MP4's track header (ISO/IEC 14496-12, 8.3.2; 6.2.2 says how it is applied).
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stmnet.cli.main import main
from stmnet.errors import VideoError
from stmnet.video.frames import probe, read_frames
from stmnet.video.transcode import Shape, transcode
from tests.conftest import VideoWriter, decode_all, moving_bars

# (a, b, c, d) of the eight ways to lay down a rectangle, and the turn (counterclockwise) and
# mirroring that they are told as.
MATRICES = {
    (1, 0, 0, 1): (0, False),
    (0, -1, 1, 0): (90, False),
    (-1, 0, 0, -1): (180, False),
    (0, 1, -1, 0): (270, False),
    (-1, 0, 0, 1): (0, True),
    (0, -1, -1, 0): (90, True),
    (1, 0, 0, -1): (180, True),
    (0, 1, 1, 0): (270, True),
}
Matrix = tuple[int, int, int, int]


def state_matrix(path: Path, matrix: Matrix) -> None:
    """Write it into the track header, as 16.16 fixed-point numbers."""
    a, b, c, d = matrix
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    numbers = [0x10000 * number for number in (a, b, 0, c, d, 0, 0, 0)]
    content[at : at + 36] = struct.pack(">9i", *numbers, 0x40000000)
    path.write_bytes(content)


def shown(image: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Pixel by pixel where the matrix has it, moved to where the picture begins."""
    a, b, c, d = matrix
    height, width, _ = image.shape
    pixels = {
        (a * x + c * y, b * x + d * y): image[y, x] for y in range(height) for x in range(width)
    }
    left, top = min(x for x, _ in pixels), min(y for _, y in pixels)
    right, bottom = max(x for x, _ in pixels), max(y for _, y in pixels)
    return np.array(
        [[pixels[x, y] for x in range(left, right + 1)] for y in range(top, bottom + 1)]
    )


@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_turned_and_mirrored_as_stated(make_video: VideoWriter, matrix: Matrix) -> None:
    path = make_video("a.mp4", num_frames=5)
    expected = shown(decode_all(path)[3], matrix)
    state_matrix(path, matrix)
    np.testing.assert_array_equal(read_frames(path, [3])[0].permute(1, 2, 0).numpy(), expected)
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    assert (info.rotation_degrees, info.is_mirrored) == MATRICES[matrix]

    out = path.with_name("prepared.mp4")
    assert transcode(path, out, Shape()).damage is None
    assert (probe(out).rotation_degrees, probe(out).is_mirrored) == (0, False)
    prepared = read_frames(out, [3])[0].permute(1, 2, 0).numpy().astype(float)
    assert np.mean(np.square(prepared - expected)) < 40  # a PSNR of 32 dB


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (0, 1, 0, 0)])
def test_a_matrix_that_shows_nothing_is_none(make_video: VideoWriter, matrix: Matrix) -> None:
    path = make_video("a.mp4", num_frames=3)
    expected = decode_all(path)[2]
    state_matrix(path, matrix)
    np.testing.assert_array_equal(read_frames(path, [2])[0].permute(1, 2, 0).numpy(), expected)


def test_a_turn_by_exif_is_applied(tmp_path: Path) -> None:
    # PyAV has no name for the EXIF that FFmpeg gives with each frame, beside the matrix.
    path = tmp_path / "a.avi"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    images = [*moving_bars(3, 96, 64)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number, image in enumerate(images):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", exif=exif, quality=95)
            packet = av.Packet(file.getvalue())
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 12), True
            packet.pts = packet.dts = number
            container.mux(packet)
    frame = read_frames(path, [2])[0].permute(1, 2, 0).numpy().astype(float)
    assert np.abs(frame - np.rot90(images[2], -1)).mean() < 4
    assert probe(path).rotation_degrees == 270


@pytest.mark.parametrize("aspect", [(1, 200), (2_000_000, 1), (9, 1)])
def test_pixels_of_an_impossible_shape_are_damage(
    make_video: VideoWriter,
    aspect: tuple[int, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for label in "ab":
        (tmp_path / "set" / label).mkdir(parents=True)
    whole = make_video("set/b/whole.mp4")
    make_video("set/a/whole.mp4")
    path = tmp_path / "set" / "a" / "damaged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for image in moving_bars(4, 96, 72):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    at = content.index(b"pasp") + 4
    content[at : at + 8] = struct.pack(">2I", *aspect)
    path.write_bytes(content)

    expected = decode_all(path)[[1]]
    np.testing.assert_array_equal(read_frames(path, [1]).permute(0, 2, 3, 1).numpy(), expected)
    message = (
        r"damaged\.mp4: states pixels that are .* times as wide as high\. Its header is damaged"
    )
    with pytest.raises(VideoError, match=message):
        read_frames(path, [1], square_pixels=True)
    with pytest.raises(VideoError, match=message):
        probe(path)
    with pytest.raises(VideoError, match=message):
        transcode(path, path.with_name("out.mp4"), Shape())

    assert main(["check", "folder", "--root", str(tmp_path / "set")]) == 1
    assert "damaged.mp4: states pixels" in capsys.readouterr().out
    assert main(["predict", str(path), str(whole)]) == 2
    captured = capsys.readouterr()
    assert "damaged.mp4: states pixels" in captured.err
    assert "whole.mp4" in captured.out
