"""The frames of a clip, from a file or a folder: chosen once it is known how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stmnet.data.preprocessing import Preprocessing
from stmnet.data.sampling import center_segment_indices, same_parts_of_time
from stmnet.datasets.clip_list import Clip
from stmnet.errors import TruncatedVideoError, VideoError
from stmnet.video.frame_folder import FrameFolder
from stmnet.video.frames import open_frames
from stmnet.video.reader import VideoFile


def read_clip(
    clip: Clip,
    choose_indices: Callable[[int], Sequence[int]],
    *,
    by_time: bool = False,
    remark: Callable[[str], None] = lambda line: None,
) -> Tensor:
    """Read the frames that `choose_indices` picks, given how many there are: (T, 3, H, W) uint8.

    Pixels are made square where the file states that they are not. With `by_time`, the numbers
    count equal parts of the clip's time instead of frames: the same where the rate is constant.
    Where fewer frames can be decoded than the packets promise (a cut file), it picks again from
    those. `remark` is called with one line on a file that is cut off, or a folder with gaps.

    Raises `VideoError`.
    """
    with open_frames(clip.video) as video:

        def choose(num_frames: int) -> list[int]:
            end = num_frames if clip.end_frame is None else min(clip.end_frame, num_frames)
            length = end - clip.start_frame
            if length < 1:
                raise VideoError(
                    f"{clip.video}: the clip starts at frame {clip.start_frame}, and the video "
                    f"has {num_frames}. Correct the list, or replace the video."
                )
            indices = choose_indices(length)
            if by_time:
                times = video.frame_times_seconds[clip.start_frame : end]
                indices = same_parts_of_time(indices, times)
            return [clip.start_frame + index for index in indices]

        num_there, is_cut = video.num_frames, video.is_truncated
        try:
            frames = video.read(choose(num_there), square_pixels=True)
        except TruncatedVideoError as error:
            if error.num_decoded == 0:
                raise
            num_there, is_cut = error.num_decoded, True
            frames = video.read(choose(num_there), square_pixels=True)
        if is_cut:
            remark(f"{clip.video}: {_what_is_missing(video, num_there)}; these are used.")
        return frames


def _what_is_missing(video: VideoFile | FrameFolder, num_there: int) -> str:
    if isinstance(video, FrameFolder):
        return f"has {num_there} frames, between which numbers are missing"
    return f"ends after {num_there} frames, before the length its header states (a cut file?)"


def read_clips(
    clip: Clip, choose_clips: Callable[[int], list[list[int]]], *, by_time: bool = False
) -> tuple[Tensor, Tensor]:
    """Read several clips of one video, which is opened once and each of its frames decoded once.

    `choose_clips` picks the frames of every clip, as `choose_indices` of `read_clip` those of one.
    Returns the frames that any clip has, (F, 3, H, W) uint8, and which of them make each clip:
    (clips, T) int64. Raises `VideoError`.
    """
    members = torch.empty(0, dtype=torch.int64)

    def choose_indices(num_frames: int) -> list[int]:
        nonlocal members
        indices, members = torch.tensor(choose_clips(num_frames)).unique(return_inverse=True)
        return indices.tolist()

    frames = read_clip(clip, choose_indices, by_time=by_time)
    return frames, members


def read_center(
    clip: Clip, preprocessing: Preprocessing, *, remark: Callable[[str], None] = lambda line: None
) -> Tensor:
    """Read the middle frames of T segments: (T, 3, H, W) uint8, as the video has them.

    `remark` is called as by `read_clip`, and for a clip of fewer than T frames.
    """

    def choose_indices(num_frames: int) -> list[int]:
        remark_if_short(clip, num_frames, preprocessing.num_frames, remark)
        return center_segment_indices(num_frames, preprocessing.num_frames)

    return read_clip(clip, choose_indices, by_time=preprocessing.by_time, remark=remark)


def remark_if_short(
    clip: Clip, num_frames: int, num_taken: int, remark: Callable[[str], None]
) -> None:
    """Remark that frames of a clip repeat, where more are taken than it has."""
    if num_frames < num_taken:
        remark(f"{clip.video}: the clip has {num_frames} of {num_taken} frames; they repeat.")
