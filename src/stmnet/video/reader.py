"""Frames of a video file by their number in presentation order, decoded with PyAV (FFmpeg).

One decoding thread a call: loaders read many files side by side in worker processes instead.
A file is open only during the call, and only the frames asked for are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from torch import Tensor

from stmnet.errors import TruncatedVideoError, VideoError

VIDEO_SUFFIXES = frozenset({".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True)
class VideoInfo:
    """What a file's packets and header tell without decoding.

    `num_frames` counts the packets that are there; `is_truncated` says that they end before the
    duration that the header promises. `width` and `height` are before rotation, in pixels.
    """

    num_frames: int
    fps: float
    duration_seconds: float
    width: int
    height: int
    is_truncated: bool


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given; of a folder, the videos in it and below it, sorted by name.

    Raises `VideoError` for a folder without any.
    """
    videos: list[Path] = []
    for path in paths:
        if not path.is_dir():
            videos.append(path)
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        if not found:
            raise VideoError(
                f"{path}: no video in this folder ({', '.join(sorted(VIDEO_SUFFIXES))}). "
                "Give another folder, or the files themselves."
            )
        videos += found
    return videos


def probe(path: str | Path) -> VideoInfo:
    """Read the packets of a video file, without decoding. Raises `VideoError`."""
    path = Path(path)
    with _open_video(path) as (container, stream):
        num_frames = 0
        end_seconds = 0.0
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end = (packet.pts + (packet.duration or 0)) * float(packet.time_base)
                end_seconds = max(end_seconds, end)
            if packet.stream is stream and packet.size > 0:
                num_frames += 1
        if num_frames == 0:
            raise VideoError(f"{path}: the video stream has no frames. Remove the file.")
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        return VideoInfo(
            num_frames=num_frames,
            fps=fps,
            duration_seconds=num_frames / fps if fps else end_seconds,
            width=stream.width,
            height=stream.height,
            is_truncated=(
                _falls_short(end_seconds, (container.duration or 0) / av.time_base)
                or _falls_short(num_frames, stream.frames)
            ),
        )


def read_frames(path: str | Path, indices: Sequence[int]) -> Tensor:
    """Read the frames with these numbers, counted from 0 in presentation order.

    Returns a uint8 RGB tensor (len(indices), 3, H, W), upright where the file states a rotation.
    Indices may repeat and come in any order.

    Raises `VideoError` for a file without a readable video stream and for a negative index, and
    `TruncatedVideoError`, which carries how many frames there are, for one past the last frame.
    """
    path = Path(path)
    if not indices:
        raise ValueError("no frame indices given")
    if min(indices) < 0:
        raise VideoError(f"{path}: frame {min(indices)} was asked for; they count from 0.")
    wanted = set(indices)
    last = max(wanted)
    images: dict[int, np.ndarray] = {}
    num_decoded = 0
    # One converter for all frames: each frame's own would set up its tables anew every time.
    converter = VideoReformatter()
    with _open_video(path) as (container, stream):
        for frame in _decode(container, stream):
            if num_decoded in wanted:
                images[num_decoded] = _upright_rgb(frame, converter)
            num_decoded += 1
            if num_decoded > last:
                break
    if num_decoded <= last:
        raise TruncatedVideoError(
            f"{path}: frame {last} was asked for, but only {num_decoded} can be decoded. "
            "Replace the file if it should be longer.",
            num_decoded=num_decoded,
        )
    # (len, H, W, 3) -> (len, 3, H, W)
    return torch.from_numpy(np.stack([images[index] for index in indices])).permute(0, 3, 1, 2)


@contextmanager
def _open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "no such file"
        raise VideoError(f"{path}: {kind}. Give the path of a video file.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty. Download or copy it again.")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as e:
        raise VideoError(
            f"{path}: {_why_unreadable(path, e)}. Download it again, or remove it."
        ) from e
    with container:
        yield container, _video_stream(path, container)


def _why_unreadable(path: Path, error: av.error.FFmpegError | OSError) -> str:
    with path.open("rb") as file:
        is_mp4 = file.read(12)[4:8] == b"ftyp"
    if is_mp4:
        # An mp4 keeps the table of its frames at the end unless it was written for streaming.
        return "not a readable video (an mp4 whose frame table is cut off or damaged)"
    return f"not a readable video ({error.strerror})"


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    # A cover picture of a song is a video stream too, with a mark.
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        found = "audio only" if container.streams.audio else "no stream FFmpeg knows"
        raise VideoError(f"{path}: no video stream ({found}). Remove it from the list of videos.")
    stream = streams[0]
    stream.codec_context.thread_count = 1
    return stream


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode on past damaged packets, as every player does: what can be seen is returned."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            return
        except av.error.FFmpegError:
            continue
        for frame in frames:
            if isinstance(frame, VideoFrame):
                yield frame


def _falls_short(found: float, promised: float) -> bool:
    # Headers round, and last frames have no length of their own: a few per cent are no damage.
    return found < 0.95 * promised


def _upright_rgb(frame: VideoFrame, converter: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8, turned by the quarter turns that the file states."""
    # One thread, and the plane as it lies: starting threads and PyAV's own copy into an array
    # each cost more than converting a small frame.
    rgb = converter.reformat(frame, format="rgb24", threads=1)
    plane = rgb.planes[0]
    rows = np.asarray(memoryview(plane), np.uint8).reshape(rgb.height, plane.line_size)
    image = rows[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
    return np.rot90(image, k=round(frame.rotation / 90) % 4)
