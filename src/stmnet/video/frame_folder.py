"""Folders of frames, as Something-Something v1 and Jester are published: 00001.jpg, 00002.jpg, ...

JPEGs are decoded with torchvision (libjpeg-turbo), PNGs too; both come as RGB, 8 bits a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stmnet.errors import TruncatedVideoError, VideoError, in_one_line
from stmnet.files import is_file
from stmnet.video.sizes import image_size, require_size
from stmnet.video.video_info import VideoInfo
from stmnet.video.video_paths import NUMBERED_IMAGE, VIDEO_SUFFIXES

if TYPE_CHECKING:
    from torch import Tensor

# Neither data set states its rate in its files; both were published at 12 frames per second.
FOLDER_FPS = 12.0


class FrameFolder:
    """A folder of numbered images in numeric order, read by the same calls as `VideoFile`.

    The folder is listed once and remembered as long as it does not change. Raises `VideoError` for
    a folder without such images, or with two of one number.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._names = _frame_names(str(self.path), self.path.stat().st_mtime_ns)
        if not self._names:
            holds_videos = any(
                file.suffix.lower() in VIDEO_SUFFIXES for file in self.path.iterdir()
            )
            raise VideoError(
                f"{self.path}: no frames in this folder (00001.jpg, 00002.jpg, ..., or png)."
                + (" It holds videos: move them up, beside it." if holds_videos else "")
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open."""

    @property
    def num_frames(self) -> int:
        """How many images there are."""
        return len(self._names)

    @property
    def is_truncated(self) -> bool:
        """Whether numbers are missing between the first image's and the last one's."""
        return _number(self._names[-1]) - _number(self._names[0]) + 1 > self.num_frames

    @cached_property
    def info(self) -> VideoInfo:
        height, width = self._decode(0).shape[-2:]
        return VideoInfo(
            num_frames=self.num_frames,
            fps=FOLDER_FPS,
            duration_seconds=self.num_frames / FOLDER_FPS,
            width=width,
            height=height,
            is_truncated=self.is_truncated,
        )

    @cached_property
    def frame_times_seconds(self) -> list[float]:
        """When each frame is shown, at 12 frames per second."""
        return [number / FOLDER_FPS for number in range(self.num_frames)]

    def read(self, indices: Sequence[int], *, square_pixels: bool = False) -> Tensor:
        """As `stmnet.read_frames`: uint8 (len(indices), 3, H, W); images have square pixels."""
        if not indices:
            raise ValueError("no frame indices given")
        if min(indices) < 0:
            raise VideoError(f"{self.path}: frame {min(indices)} was asked for; they count from 0.")
        if max(indices) >= self.num_frames:
            raise TruncatedVideoError(
                f"{self.path}: frame {max(indices)} was asked for, but the folder has "
                f"{self.num_frames}.",
                num_decoded=self.num_frames,
            )
        import torch

        images = {index: self._decode(index) for index in sorted(set(indices))}
        sizes = {tuple(image.shape) for image in images.values()}
        if len(sizes) > 1:
            raise VideoError(f"{self.path}: the images differ in size. Write them in one size.")
        return torch.stack([images[index] for index in indices])

    def _decode(self, index: int) -> Tensor:
        path = self.path / self._names[index]
        data = _read_image(path)
        # Here, for they take long to import, and video files need none of torchvision. That its
        # decoding will leave it is announced; until then it is as fast as any, and there.
        import torch
        from torchvision.io import ImageReadMode, decode_image

        try:
            image = decode_image(
                torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB
            )
        except (RuntimeError, ValueError) as e:
            raise _unreadable(path, e) from e
        if image.dtype == torch.uint16:  # a PNG with 16 bits a channel
            return (image.to(torch.float32) / 257).round().to(torch.uint8)
        return image


def _read_image(path: Path) -> bytes:
    """A file's bytes, if they are those of an image that is not too large. Raises `VideoError`."""
    if not is_file(path):  # a pipe would be waited for, a device read without an end
        raise VideoError(f"{path}: not a regular file. Extract its folder again.")
    try:
        data = path.read_bytes()
        width, height = image_size(data)
    except (OSError, ValueError) as e:
        raise _unreadable(path, e) from e
    require_size(path, width, height)
    return data


def _unreadable(path: Path, error: Exception) -> VideoError:
    return VideoError(f"{path}: not a readable image ({in_one_line(error)}). Copy it again.")


@lru_cache(maxsize=4096)
def _frame_names(folder: str, modified_ns: int) -> tuple[str, ...]:
    """The images of a folder by their numbers; `modified_ns` makes a changed folder a new one.

    Raises `VideoError` where two have one number: either could be the frame.
    """
    names = [path.name for path in Path(folder).iterdir()]
    frames = [name for name in names if NUMBERED_IMAGE.fullmatch(name)]
    frames.sort(key=lambda name: (_number(name), name))
    for name, following in pairwise(frames):
        if _number(name) == _number(following):
            raise VideoError(
                f"{folder}: {name} and {following} have the same number. Keep one image a frame."
            )
    return tuple(frames)


def _number(name: str) -> int:
    found = NUMBERED_IMAGE.fullmatch(name)
    assert found is not None
    return int(found.group(1))
