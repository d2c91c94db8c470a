"""How large a picture may be: a few bytes of a header must not make a decoder take gigabytes.

Imports no torch.
"""

from __future__ import annotations

import io
from pathlib import Path
from struct import unpack_from

from stmnet.errors import VideoError

MAX_SIDE = 16_384
"""In pixels, twice an 8K picture's. Level 6.2, the highest of H.264 and HEVC, ends at 16,880."""
MAX_PIXELS = 2**26
"""Twice an 8K picture (7680 x 4320), which takes 192 MiB as RGB."""
DECODER_MAX_PIXELS = MAX_PIXELS + 128 * MAX_SIDE
"""What decoders are told: they count the lines' padding, of up to 128 pixels, as picture."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"


def require_size(path: Path, width: int, height: int) -> None:
    """Raise `VideoError` for a picture that is larger than any that is read."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise VideoError(
            f"{path}: its header says {width} x {height} pixels; the limit is {MAX_SIDE} a side "
            f"and {MAX_PIXELS} in all. Make it smaller, or remove it if its header is damaged."
        )


def too_large(path: Path) -> VideoError:
    """The error for a stream whose decoder refuses a picture's size without telling it."""
    return VideoError(
        f"{path}: a picture of its video stream is larger than the limit of {MAX_PIXELS} pixels, "
        "or of an impossible size. Convert it to a smaller size, or remove it if it is damaged."
    )


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header of a JPEG or PNG file; nothing is decoded.

    Raises `ValueError` for any other file, and what Pillow raises for a damaged header.
    """
    if data.startswith(PNG_SIGNATURE):
        if len(data) < 24:
            raise ValueError("the file ends in its header")
        # The first chunk begins with both (PNG specification, 11.2.1).
        width, height = unpack_from(">II", data, 16)
        return width, height
    if data.startswith(JPEG_SIGNATURE):
        from PIL.JpegImagePlugin import JpegImageFile

        # Not by `Image.open`, which warns of a size from its own, larger limit on.
        with JpegImageFile(io.BytesIO(data)) as image:
            return image.size
    raise ValueError("neither a JPEG nor a PNG by its first bytes")
