"""Whether a data set is whole: its lists against the published counts, its videos against both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stmnet.curation.worker_processes import Lost, map_in_processes
from stmnet.datasets.clip_list import UNLABELED, Clip, ClipList
from stmnet.datasets.exclusions import (
    is_whole,
    printable,
    relative_to_root,
    write_exclusions,
)
from stmnet.datasets.splits import Dataset, dataset_named, validate_split
from stmnet.errors import DatasetError, TruncatedVideoError, VideoError
from stmnet.video.frames import probe, read_frames

Kind = Literal["missing", "unreadable", "truncated", "short"]
KINDS: tuple[Kind, ...] = ("missing", "unreadable", "truncated", "short")
"""What can be wrong with a clip; of several, the first is reported."""

SECONDS_A_VIDEO = {False: 60.0, True: 600.0}
"""How long a video may take, without and with decoding, before it counts as unreadable."""

DECODED_BYTES = 64 * 2**20
"""The frames that are held at a time when everything is decoded."""

SMALLEST_FRAME = 320 * 240


class Finding(NamedTuple):
    """What is wrong with a clip."""

    kind: Kind
    clip: Clip
    reason: str


class Examined(NamedTuple):
    """A video's length in frames, and its damage if it has any."""

    num_frames: int
    kind: Kind | None = None
    reason: str = ""


@dataclass
class SplitReport:
    """A split's counts in clips. `published` is None where no count is published.

    `wrong_lines` are the list's, each with file and line.
    """

    split: str
    published: int | None
    num_listed: int
    num_present: int
    counts_agree: bool
    wrong_lines: list[str]
    findings: list[Finding] = field(default_factory=list)

    def count(self, kind: Kind) -> int:
        """How many clips have this."""
        return sum(finding.kind == kind for finding in self.findings)

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.counts_agree and not self.wrong_lines and not self.findings


@dataclass(frozen=True)
class CheckReport:
    """What `check` found. `folder` is what the names of videos are relative to."""

    dataset: str
    folder: Path
    published: int | None
    splits: list[SplitReport]

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(split.is_ok for split in self.splits)

    def findings(self) -> list[Finding]:
        """Those of all splits; a clip that is in two of them once."""
        return list(dict.fromkeys(f for split in self.splits for f in split.findings))

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "dataset": self.dataset,
            "ok": self.is_ok,
            "published": self.published,
            "splits": {split.split: self._split_to_json(split) for split in self.splits},
        }

    def _split_to_json(self, split: SplitReport) -> dict[str, Any]:
        return {
            "ok": split.is_ok,
            "published": split.published,
            "listed": split.num_listed,
            "present": split.num_present,
            "counts_agree": split.counts_agree,
            "wrong_lines": [printable(line) for line in split.wrong_lines],
        } | {kind: [self.describe(f) for f in split.findings if f.kind == kind] for kind in KINDS}

    def describe(self, finding: Finding) -> dict[str, Any]:
        """A finding as JSON has it."""
        clip = finding.clip
        video = relative_to_root(clip.video, self.folder)
        found = {"video": printable(video), "reason": printable(finding.reason)}
        if is_whole(clip):
            return found
        return found | {"start_frame": clip.start_frame, "end_frame": clip.end_frame}

    def write_exclusions(self, path: Path) -> int:
        """Write every clip with a finding to a list that training accepts; returns how many."""
        findings = self.findings()
        write_exclusions(path, self.folder, ((f.clip, f"{f.kind}: {f.reason}") for f in findings))
        return len(findings)


def check(
    dataset: str,
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    decode: bool = False,
    num_frames: int = 8,
    processes: int | None = None,
    on_video: Callable[[int, int], None] = lambda done, total: None,
) -> CheckReport:
    """Check a data set's lists and videos, by default of every published split.

    Clips of fewer than `num_frames` frames are short. Videos are probed, or with `decode` decoded
    from end to end, in `processes` (default: one for each CPU); `on_video(done, total)` is called
    after each.

    Raises `DatasetError` for an unknown name, and where not one of the lists can be read.
    """
    known = dataset_named(dataset)
    lists: dict[str, ClipList] = {}
    reports = []
    unread = []
    for split in splits or known.published:
        validate_split(split)
        wrong_lines: list[str] = []
        try:
            clip_list = known.read(root, split, wrong_lines.append)
        except DatasetError as error:
            unread.append(error)
            clip_list = ClipList((), ())
            wrong_lines = [str(error)]
        if splits is None and clip_list.clips and clip_list in lists.values():
            # A set without a list of its own for this split.
            continue
        lists[split] = clip_list
        reports.append(_count(known, split, clip_list, wrong_lines))
    if len(unread) == len(reports):
        raise unread[0]

    videos = sorted({clip.video for clip_list in lists.values() for clip in clip_list.clips})
    examined = examine_videos(videos, decode=decode, processes=processes, on_video=on_video)
    for report in reports:
        clip_list = lists[report.split]
        for video in clip_list.missing:
            report.findings.append(Finding("missing", Clip(video, UNLABELED), "not there"))
        for clip in clip_list.clips:
            finding = _judge(clip, examined[clip.video], num_frames)
            report.findings += [finding] if finding else []
    folder = root.parent if root.is_file() else root
    return CheckReport(dataset, folder, known.total, reports)


def examine_videos(
    videos: Sequence[Path],
    *,
    decode: bool,
    processes: int | None,
    on_video: Callable[[int, int], None],
    examine: Callable[[Path], Examined] | None = None,
) -> dict[Path, Examined]:
    """Examine videos in processes of their own; one that ends its process is unreadable."""
    examined = {}
    results = map_in_processes(
        examine or partial(examine_video, decode=decode),
        videos,
        processes=max(1, processes or os.cpu_count() or 1),
        seconds=SECONDS_A_VIDEO[decode],
    )
    for done, (video, result) in enumerate(results, start=1):
        if isinstance(result, Lost):
            result = Examined(0, "unreadable", f"{video}: {result.why}. Remove it.")
        examined[video] = result
        on_video(done, len(videos))
    return examined


def examine_video(video: Path, decode: bool) -> Examined:
    """Probe a video, and decode every frame of it if `decode`. Raises nothing."""
    try:
        info = probe(video)
        if decode:
            # A damaged header's size may be far from that of the frames, or nothing.
            num_bytes = 3 * max(info.width * info.height, SMALLEST_FRAME)
            at_a_time = max(1, DECODED_BYTES // num_bytes)
            for start in range(0, info.num_frames, at_a_time):
                read_frames(video, range(start, min(start + at_a_time, info.num_frames)))
    except TruncatedVideoError as error:
        kind: Kind = "truncated" if error.num_decoded else "unreadable"
        return Examined(error.num_decoded, kind, str(error))
    except VideoError as error:
        return Examined(0, "unreadable", str(error))
    except Exception as error:
        # The disk's errors and the decoder's own belong to this video, not to the whole check.
        return Examined(0, "unreadable", f"{video}: {type(error).__name__}: {error}")
    if info.is_truncated:
        number = "1 frame" if info.num_frames == 1 else f"{info.num_frames} frames"
        reason = f"{video}: cut off: only {number} can be read; its header promises more."
        return Examined(info.num_frames, "truncated", reason)
    return Examined(info.num_frames)


def _count(known: Dataset, split: str, clip_list: ClipList, wrong_lines: list[str]) -> SplitReport:
    published = known.published.get(split)
    num_present = len(clip_list.clips)
    num_listed = num_present + len(clip_list.missing)
    if published is None:
        agree = num_listed > 0
    elif known.of_a_copy:
        agree = num_present >= published
    else:
        agree = num_listed == published
    return SplitReport(split, published, num_listed, num_present, agree, wrong_lines)


def _judge(clip: Clip, examined: Examined, num_frames: int) -> Finding | None:
    if examined.kind == "unreadable":
        return Finding("unreadable", clip, examined.reason)
    end = examined.num_frames if clip.end_frame is None else clip.end_frame
    if clip.start_frame >= examined.num_frames:
        start, there = clip.start_frame, examined.num_frames
        reason = f"{clip.video}: the clip starts at frame {start}, and the video has {there}."
        return Finding("truncated", clip, reason)
    if end > examined.num_frames:
        reason = f"{clip.video}: {examined.num_frames} frames, fewer than the list's {end}."
        return Finding("truncated", clip, reason)
    # A part that lies before the cut is whole.
    if examined.kind == "truncated" and clip.end_frame is None:
        return Finding("truncated", clip, examined.reason)
    length = end - clip.start_frame
    if length < num_frames:
        return Finding("short", clip, f"{clip.video}: {length} frames, fewer than {num_frames}.")
    return None
