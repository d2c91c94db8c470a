"""From entries to clips: which of the videos that a list names are there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.datasets.lists import Entry
from stmnet.video.video_paths import VIDEO_SUFFIXES

NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


class VideoFolder:
    """The videos under a folder, found by listing each folder once.

    A look at the disk for every clip takes minutes on the network drives such sets lie on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listings: dict[str, dict[str, str]] = {}
        self._files: dict[str, str] = {}

    def find(self, *videos: str) -> Path | None:
        """The first of `videos` that is there: "folder/name", the name with or without a suffix.

        A folder of frames goes by its own name, a file by its name or by what precedes its suffix.
        """
        for video in videos:
            folder, _, name = video.rpartition("/")
            found = self._listing(folder).get(name)
            if found is not None:
                return self.path / folder / found
        return None

    def file_of(self, video: str) -> str:
        """The file itself, or the folder of frames: the same for all ways to name it."""
        if video not in self._files:
            self._files[video] = os.path.realpath(self.find(video) or self.path / video)
        return self._files[video]

    def _listing(self, folder: str) -> dict[str, str]:
        """From each way to name a video in `folder` to the name it has there."""
        if folder not in self._listings:
            self._listings[folder] = _names_of(list_folder(self.path / folder))
        return self._listings[folder]


def list_folder(path: Path) -> list[str]:
    """Names in a folder, sorted; hidden ones and unfinished files are left out."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as e:
        if e.errno not in NOT_THERE:
            raise
        return []


def is_video(name: str) -> bool:
    """Whether a file's name ends as a video's does."""
    return _stem_and_suffix(name)[1] in VIDEO_SUFFIXES


def _names_of(found: list[str]) -> dict[str, str]:
    names = {name: name for name in found}
    for name in found:
        stem, suffix = _stem_and_suffix(name)
        if suffix in VIDEO_SUFFIXES:
            names.setdefault(stem, name)
    return names


def _stem_and_suffix(name: str) -> tuple[str, str]:
    # As Path has it, which is slower; sets have 200,000 names.
    stem, dot, suffix = name.rpartition(".")
    return stem, f"{dot}{suffix}".lower()


def first_folder(root: Path, folders: Iterable[str]) -> VideoFolder:
    """The first of `folders` that `root` has; "" stands for `root` itself."""
    return VideoFolder(next((root / f for f in folders if (root / f).is_dir()), root))


def as_named(video: str) -> Sequence[str]:
    """The one place where most sets keep a video: where the list says."""
    return (video,)


def place(
    entries: Iterable[Entry],
    videos: VideoFolder,
    label_names: tuple[str, ...],
    *,
    suffix: str = "",
    mirrored: dict[str, str] | None = None,
    candidates: Callable[[str], Sequence[str]] = as_named,
) -> ClipList:
    """Make clips of the entries whose video is there, and list the others as missing.

    `candidates` gives the names that an entry's video may have on the disk; `suffix` is what it
    was published with, for naming a missing one.
    """
    clips = []
    missing = []
    for entry in entries:
        video = videos.find(*candidates(entry.video))
        if video is None:
            missing.append(videos.path / f"{entry.video}{suffix}")
        else:
            clips.append(Clip(video, entry.label, entry.start_frame, entry.end_frame))
    return ClipList(tuple(clips), label_names, mirrored or {}, tuple(missing))
