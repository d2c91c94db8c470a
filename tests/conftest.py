"""What many tests need: real video files, made on the spot, and the shared data's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from fractions import Fraction
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

import av
import numpy as np
import pytest
from PIL import Image

from stmnet.cli.main import main

SHARED = Path(__file__).parents[2] / "shared"
STMNET = Path(sys.executable).with_name("stmnet")

# A shell starts what it puts in the background deaf to Ctrl-C, and so all that this starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run_stmnet(*words: object) -> subprocess.CompletedProcess[str]:
    """What `stmnet WORDS` does and prints, in this process: starting one costs an import of torch.

    stdout and stderr are files that take UTF-8 and nothing else, and warnings are shown as Python
    shows them; working folder, handlers of signals and the like are as before afterwards.
    """
    out, err = (TextIOWrapper(BytesIO(), "utf-8", newline="") for _ in range(2))
    with _state_kept(), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    printed = []
    for stream in (out, err):
        stream.flush()
        printed.append(stream.buffer.getvalue().decode())
    return subprocess.CompletedProcess(words, code, *printed)


@contextmanager
def _state_kept() -> Iterator[None]:
    """What a process of its own would take with it when it ends."""
    folder, environment = Path.cwd(), dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    import torch  # what only makes videos does not wait for it

    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # As an interpreter starts: not as errors, and not kept for pytest's summary.
        warnings.resetwarnings()
        for ignored in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", ignored)
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.showwarning = _show_warning
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) is not handler:
                    signal.signal(number, handler)
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    shown = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(shown)


def printed_as_utf8(*words: str | Path) -> str:
    """What `stmnet WORDS` prints where stdout takes UTF-8 and nothing else; it ends well."""
    ended = run_stmnet(*words)
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


def write_gif(path: Path, *, num_frames: int = 24, width: int = 96, height: int = 72) -> Path:
    """Write an animated GIF of moving bars, 12.5 frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = map(Image.fromarray, moving_bars(num_frames, width, height))
    first.save(path, save_all=True, append_images=others, duration=80)
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
