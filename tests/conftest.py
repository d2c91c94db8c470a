"""What many tests need: real video files, made on the spot, and the shared data's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SHARED = Path(__file__).parents[2] / "shared"
STMNET = Path(sys.executable).with_name("stmnet")

# A shell starts what it puts in the background deaf to Ctrl-C, and so all that this starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def printed_as_utf8(*words: str | Path) -> str:
    """What `stmnet WORDS` prints where stdout takes UTF-8 and nothing else; it ends well."""
    ended = subprocess.run(
        [STMNET, *words],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published lists and real clips, which stands beside the project for some."""
    if not (SHARED / "videos").is_dir():
        pytest.skip(f"no {SHARED}: the real clips and lists are not part of the project")
    return SHARED


def moving_bars(num_frames: int, width: int, height: int) -> np.ndarray:
    """Frames that all differ: a bright bar walks over a gradient. (T, H, W, 3) uint8."""
    columns = np.linspace(0, 120, width, dtype=np.uint8)
    frames = np.repeat(columns[None, None, :, None], num_frames, axis=0)
    frames = np.repeat(np.repeat(frames, height, axis=1), 3, axis=3).copy()
    for t in range(num_frames):
        left = t * (width - 8) // max(1, num_frames - 1)
        frames[t, :, left : left + 8] = (250, 40 + 5 * (t % 40), 250 - 6 * (t % 40))
    return frames


def write_video(
    path: Path,
    *,
    num_frames: int = 24,
    width: int = 96,
    height: int = 72,
    codec: str = "libx264",
    fps: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode `moving_bars` with PyAV."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        for image in moving_bars(num_frames, width, height):
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_audio(path: Path) -> Path:
    """Half a second of silence, and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        frame.time_base = Fraction(1, 16000)
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path


def decode_all(path: Path) -> np.ndarray:
    """Every frame by PyAV's plain loop: (T, H, W, 3) uint8."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


VideoWriter = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> VideoWriter:
    """Write a video in the test's own folder: `make_video("a.mp4", num_frames=9)`."""

    def make(name: str, **options: object) -> Path:
        return write_video(tmp_path / name, **options)

    return make
