"""One face for video files and folders of frames: what the rest of the house reads with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stmnet.errors import VideoError
from stmnet.video.folder import FrameFolder
from stmnet.video.info import VIDEO_SUFFIXES, VideoInfo
from stmnet.video.reader import VideoFile


def open_frames(path: str | Path) -> VideoFile | FrameFolder:
    """Open a video file or a folder of frames; close it with `with`. Raises `VideoError`."""
    path = Path(path)
    return FrameFolder(path) if path.is_dir() else VideoFile(path)


def probe(path: str | Path) -> VideoInfo:
    """What a video's packets and header, or a folder's file names, tell. Raises `VideoError`."""
    with open_frames(path) as video:
        return video.info


def read_frames(path: str | Path, indices: Sequence[int], *, square_pixels: bool = False) -> Tensor:
    """Read the frames with these numbers, counted from 0 in presentation order.

    `path` is a video file or a folder of numbered images. Returns a uint8 RGB tensor
    (len(indices), 3, H, W), upright where the file states a rotation, with the bytes of a full
    decode. Indices may repeat and come in any order. With `square_pixels`, the width is resized
    where the file states that its pixels are not square, as everything that stmnet's networks see
    is; without, the bytes are those that are stored.

    Raises `VideoError` for a file without a readable video stream and for a negative index, and
    `TruncatedVideoError`, which carries how many frames there are, for one past the last frame.
    """
    with open_frames(path) as video:
        return video.read(indices, square_pixels=square_pixels)


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given; of a folder, the videos in it and below it, sorted by name.

    A folder of frames is a video. Raises `VideoError` for a folder without any.
    """
    videos: list[Path] = []
    for path in paths:
        if not path.is_dir():
            videos.append(path)
            continue
        found = sorted(
            entry
            for entry in path.rglob("*")
            if entry.suffix.lower() in VIDEO_SUFFIXES and not entry.name.startswith(".")
        )
        if found:
            videos += found
        elif is_frame_folder(path):
            videos.append(path)
        else:
            raise VideoError(
                f"{path}: no video in this folder ({', '.join(sorted(VIDEO_SUFFIXES))}). "
                "Give another folder, or the files themselves."
            )
    return videos


def is_frame_folder(path: Path) -> bool:
    """Whether a folder holds numbered images."""
    try:
        FrameFolder(path)
    except (VideoError, OSError):
        return False
    return True
