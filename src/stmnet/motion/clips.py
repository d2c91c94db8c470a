"""One clip of the motion set: drawn, and written so that no frame tells of its neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from stmnet.errors import DatasetError
from stmnet.files import atomic_write
from stmnet.motion.classes import PAIRS
from stmnet.motion.rendering import RenderedClip, render

FPS = 12
QUANTIZER = 24


def draw_clip(label: int, *, seed: int | Sequence[int]) -> RenderedClip:
    """Draw one clip of the class `label`, with the names of what plays in it."""
    pair, is_backwards = PAIRS[label // 2], label % 2 == 1
    clip = render(pair.action, np.random.default_rng(seed))
    if not is_backwards:
        return clip
    # "Uncovering something" names the thing alone, not the cloth.
    num_named = pair.backwards.lower().count("something")
    return RenderedClip(clip.frames[::-1], clip.placeholders[:num_named])


def render_clip(label: int, *, seed: int | Sequence[int]) -> npt.NDArray[np.uint8]:
    """Draw the frames of one clip: uint8 RGB of shape (16, 72, 96, 3)."""
    return draw_clip(label, seed=seed).frames


def write_video(path: Path, frames: npt.NDArray[np.uint8], *, fps: int) -> None:
    """Write RGB frames (T, H, W, 3) as H.264 in MP4; `path` appears only once the file is whole.

    Every frame is a key frame of the same quantizer, and x264 runs in one thread without
    lookahead, so no frame's coding depends on another's: the reversed frames, encoded and decoded,
    are exactly the decoded frames reversed. With predicted frames or rate control, a frame's blur
    would tell what came before it, and single frames would give the label away. The index comes
    first in the file (faststart), so that a file that was cut off still opens.

    Raises `DatasetError` if the file cannot be written.
    """
    try:
        with atomic_write(path) as unfinished:
            _encode(unfinished, frames, fps)
    except (OSError, av.FFmpegError) as e:
        raise cannot_write(path, e) from e


def _encode(path: Path, frames: npt.NDArray[np.uint8], fps: int) -> None:
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 1
        stream.codec_context.thread_count = 1
        # At a constant quantizer x264 turns adaptive quantization and mbtree off, and "ultrafast"
        # turns off scene cuts and lookahead: all that would look beyond the frame.
        stream.options = {"preset": "ultrafast", "qp": str(QUANTIZER)}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def cannot_write(path: Path, error: OSError | av.FFmpegError) -> DatasetError:
    return DatasetError(
        f"{path}: cannot be written ({error.strerror}). Make room there or choose another folder."
    )
