"""Which files and folders are videos, by their names. Without torch: errors come at once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from stmnet.errors import VideoError, escaped
from stmnet.files import is_folder

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".gif"}
)
"""What a video's name ends in. An animated GIF is one, but for a preview beside frames."""
NUMBERED_IMAGE = re.compile(r"(?!\.).*?(\d+)\D*\.(?:jpe?g|png)", re.IGNORECASE)
"""The name of an image in a folder of frames; the group is its number."""


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given; of a folder, the videos in it and below it, sorted by name.

    A folder of frames is a video. Raises `VideoError` for a folder without any.
    """
    videos: list[Path] = []
    for path in paths:
        found = _videos_below(path) if is_folder(path) else [path]
        if not found:
            raise VideoError(
                f"{path}: no video in this folder ({', '.join(sorted(VIDEO_SUFFIXES))}), and no "
                "folder of frames (00001.jpg, ...). Give another folder, or the files themselves."
            )
        videos += found
    return videos


def missing_videos(videos: Sequence[Path]) -> dict[str, str]:
    """The videos that are not there, each with a message of one line."""
    missing = {}
    for video in videos:
        try:
            video.stat()
        except FileNotFoundError:
            missing[str(video)] = escaped(f"{video}: no such file. Give the path of a video file.")
        except (OSError, ValueError):
            pass  # Opening it says what is wrong.
    return missing


def _videos_below(path: Path) -> list[Path]:
    files: list[Path] = []
    frame_folders: list[Path] = []
    for folder, folders_in_it, names in os.walk(path):
        folders_in_it[:] = [name for name in folders_in_it if not name.startswith(".")]
        videos = [Path(folder, name) for name in names if _is_video_name(name)]
        num_images = sum(NUMBERED_IMAGE.fullmatch(name) is not None for name in names)
        if len(videos) < num_images and all(video.suffix.lower() == ".gif" for video in videos):
            videos = []  # previews of the folder's frames
        files += videos
        if not (videos or folders_in_it) and is_frame_folder(Path(folder)):
            frame_folders.append(Path(folder))
    if not files and is_frame_folder(path):
        return [path]
    return sorted(files + frame_folders)


def _is_video_name(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def is_frame_folder(path: Path) -> bool:
    """Whether a folder holds numbered images."""
    try:
        return any(NUMBERED_IMAGE.fullmatch(entry.name) for entry in path.iterdir())
    except OSError:
        return False
