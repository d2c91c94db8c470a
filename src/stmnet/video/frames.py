"""Video files and folders of frames, opened and read by the same calls."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

from stmnet.files import is_folder
from stmnet.video.frame_folder import FrameFolder
from stmnet.video.reader import VideoFile
from stmnet.video.video_info import VideoInfo

if TYPE_CHECKING:
    from torch import Tensor


def open_frames(path: str | Path) -> VideoFile | FrameFolder:
    """Open a video file or a folder of frames; close it with `with`. Raises `VideoError`."""
    path = Path(path)
    return FrameFolder(path) if is_folder(path) else VideoFile(path)


def probe(path: str | Path) -> VideoInfo:
    """What a video's packets and header, or a folder's file names, tell. Raises `VideoError`."""
    with open_frames(path) as video:
        return video.info


def read_frames(
    path: str | Path, indices: Iterable[SupportsIndex], *, square_pixels: bool = False
) -> Tensor:
    """Read the frames with these numbers, counted from 0 in presentation order.

    `path` is a video file or a folder of numbered images. Returns a uint8 RGB tensor
    (len(indices), 3, H, W), turned and mirrored as the file states, with the bytes of a full
    decode, by the color matrix and range that the stream states; a stream that changes its size
    keeps that of the first frame returned. Of several video streams the one that the container
    marks as its default is read, else the largest. Indices, such as a list, an array or a tensor of
    whole numbers, may repeat and come in any order. With `square_pixels`, the width is resized
    where the file states that its pixels are not square, as everything that stmnet's networks see
    is; without, the bytes are those that are stored.

    >>> import stmnet
    >>> frames = stmnet.read_frames("samples/opening_something.mp4", [0, 5, 5, 2])
    >>> frames.shape, frames.dtype
    (torch.Size([4, 3, 72, 96]), torch.uint8)

    Raises `VideoError` for a file without a readable video stream, for one that names other files
    (a playlist), for pictures over 16,384 pixels a side or 2**26 in all and for a negative index;
    `TruncatedVideoError`, which carries how many frames there are, for one past the last frame;
    `TypeError` for an index that is not a whole number, as true and false are not, and `ValueError`
    for none at all.
    """
    numbers = [_frame_number(index) for index in indices]
    with open_frames(path) as video:
        return video.read(numbers, square_pixels=square_pixels)


def _frame_number(index: SupportsIndex) -> int:
    if isinstance(index, bool) or str(getattr(index, "dtype", "")) == "torch.bool":
        raise TypeError("an index is true or false. Give the numbers of frames.")
    return operator.index(index)
