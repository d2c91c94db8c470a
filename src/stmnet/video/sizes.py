"""How large a picture may be: a few bytes of a header must not make a decoder take gigabytes.

Imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from struct import unpack_from

from stmnet.errors import VideoError

MAX_SIDE = 16_384
"""In pixels, twice an 8K picture's. Level 6.2, the highest of H.264 and HEVC, ends at 16,880."""
MAX_PIXELS = 2**26
"""Twice an 8K picture (7680 x 4320), which takes 192 MiB as RGB."""
DECODER_MAX_PIXELS = MAX_PIXELS + 128 * MAX_SIDE
"""The limit for decoders, which count the lines' padding, of up to 128 pixels, as picture."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# 0xC4, 0xC8 and 0xCC among them are tables and reserved.
JPEG_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_SCAN = 0xDA


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

    By hand, for Pillow reads an image's EXIF too, and warns on stderr where that is damaged. Raises
    `ValueError` for any other file and for a header without a size.
    """
    if data.startswith(PNG_SIGNATURE) and len(data) >= 24:
        # The first chunk begins with both (PNG specification, 11.2.1).
        width, height = unpack_from(">II", data, 16)
        return width, height
    if data.startswith(JPEG_SIGNATURE):
        return _jpeg_size(data)
    raise ValueError("neither a JPEG nor a PNG by its first bytes")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """From the frame header, which follows the segments before it (ITU-T T.81, annex B)."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 9 <= len(data):
        marker = data[place + 1]
        if marker in JPEG_FRAME_HEADERS:
            height, width = unpack_from(">HH", data, place + 5)
            return width, height
        if marker == JPEG_SCAN:
            break
        if marker == 0xFF:  # any number of these may fill up
            place += 1
        elif marker <= 1 or 0xD0 <= marker <= 0xD9:  # these have no segment
            place += 2
        else:
            place += 2 + int(unpack_from(">H", data, place + 2)[0])
    raise ValueError("a JPEG without a frame header")
