"""Make a folder of frames (00001.jpg, ...) small: the same names, a shorter short side."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from stmnet.errors import VideoError
from stmnet.files import unfinished_beside
from stmnet.video.sizes import image_size, require_size
from stmnet.video.transcode import Transcoded, ignore_damage

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
JPEG_QUALITY = 92


def shrink_folder(
    source: Path,
    target: Path,
    short_side: int,
    on_damage: Callable[[str], None] = ignore_damage,
) -> Transcoded:
    """Write the files of the folder `source` again as `target`, which appears once it is whole.

    Images whose short side is longer than `short_side` are resized, in gray or RGB, 8 bits; JPEGs
    get `JPEG_QUALITY`. All other files are copied byte by byte, damaged images too: readers count
    frames by their files. `on_damage` is called with how many before `target` appears, and the
    result has the same line.

    Raises `VideoError` if no image can be read or one file not even be opened, and `OSError` if
    `target` cannot be written.
    """
    num_frames = 0
    damaged: list[str] = []
    with atomic_folder(target) as unfinished:
        for path in sorted(p for p in source.iterdir() if not p.name.startswith(".")):
            if not (path.is_file() and os.access(path, os.R_OK)):
                raise VideoError(
                    f"{path}: cannot be opened, or is not a regular file. Extract its folder again."
                )
            copy = unfinished / path.name
            smaller = None
            if path.suffix.lower() in IMAGE_SUFFIXES:
                num_frames += 1
                try:
                    smaller = _smaller(path, short_side)
                except (VideoError, OSError, SyntaxError, ValueError):  # each kind of damage
                    damaged.append(path.name)
            if smaller is None:
                shutil.copyfile(path, copy)
            else:
                copy.write_bytes(smaller)
        if len(damaged) == num_frames:
            raise VideoError(
                f"{source}: none of its {num_frames} frames can be decoded. "
                "Extract it again, or remove it."
            )
        if damaged:
            damage = f"damaged frames: {len(damaged)}, the first {damaged[0]}"
            on_damage(damage)
            return Transcoded(num_frames, damage)
    return Transcoded(num_frames)


def _smaller(path: Path, short_side: int) -> bytes | None:
    """The image with the short side asked for, as a file; None where it is small enough as it is.

    Whatever is wrong with the image is raised here; writing the bytes can only fail for want of
    room.
    """
    data = path.read_bytes()
    require_size(path, *image_size(data))
    with Image.open(io.BytesIO(data)) as image:
        scale = short_side / min(image.size)
        if scale >= 1:
            return None
        size = (round(image.width * scale), round(image.height * scale))
        resized = _with_8_bits(image).resize(size, Image.Resampling.BICUBIC)
    smaller = io.BytesIO()
    is_png = path.suffix.lower() == ".png"
    resized.save(smaller, format="PNG" if is_png else "JPEG", quality=JPEG_QUALITY)
    return smaller.getvalue()


def _with_8_bits(image: Image.Image) -> Image.Image:
    """Gray or RGB without transparency, as frames are read: what both JPEG and PNG can hold."""
    if image.mode.startswith("I"):
        # 16 bits: of their values Pillow's own conversion makes all but the darkest white.
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    return image if image.mode == "L" else image.convert("RGB")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a hidden folder beside `path` to fill; it becomes `path` if the block ends well."""
    unfinished = unfinished_beside(path)
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
