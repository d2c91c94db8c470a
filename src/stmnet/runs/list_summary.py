"""Counts and digests by which a run recognizes its lists of clips."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stmnet.datasets.clip_list import ClipList
from stmnet.runs.run_files import RUN


@dataclass(frozen=True)
class ListSummary:
    """A list's number of clips and digest, the same wherever its folder stands."""

    clips: int
    digest: str

    @classmethod
    def of(cls, clip_list: ClipList) -> Self:
        """The summary of a list."""
        return cls(len(clip_list.clips), digest_of_clips(clip_list))

    def change_from(self, then: ListSummary, split: str) -> str:
        """The start of a message: this list is not the one that the run had."""
        return (
            f"the {split} list is not what the run was started with ({self.clips} clips, and "
            f"{then.clips} then)"
        )


def lists_of_run(run: Path) -> dict[str, ListSummary]:
    """The lists that the run was started with, by split; empty for one made elsewhere."""
    try:
        lists = json.loads((run / RUN).read_text(encoding="utf-8"))["data"]
        return {split: ListSummary(**plain) for split, plain in lists.items()}
    except (OSError, AttributeError, KeyError, TypeError, ValueError):  # there is none, or damage
        return {}


def digest_of_clips(clip_list: ClipList) -> str:
    """SHA-256 of the labels and of the clips in their order, wherever their folder stands."""
    rows = [
        [video, clip.label, clip.start_frame, clip.end_frame]
        for video, clip in zip(relative_names(clip_list), clip_list.clips, strict=True)
    ]
    return hashlib.sha256(json.dumps([clip_list.label_names, rows]).encode()).hexdigest()


def relative_names(clip_list: ClipList) -> list[str]:
    """The videos' paths from the folder that they have in common."""
    folder = os.path.commonpath([clip.video.parent.absolute() for clip in clip_list.clips])
    return [clip.video.absolute().relative_to(folder).as_posix() for clip in clip_list.clips]
