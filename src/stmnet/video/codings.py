"""How `transcode` writes each container: its codec, the encoder's options, the key frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Coding:
    """How a container family is written, in the codec that every tool expects there.

    `options` are the encoder's. Where `counts` is true, the container has a fixed rate and no times
    of its own: a frame's number is its time.
    """

    container: str
    codec: str
    options: dict[str, str]
    counts: bool = False


_H264 = {
    "preset": "fast",
    "crf": "20",
    # CAVLC takes three quarters of CABAC's time to decode, for an eighth more bytes. B-frames that
    # no other refers to are left out by a reader when nobody asked for them.
    "coder": "vlc",
    "b-pyramid": "none",
    "weightp": "none",
    # Not the same bits every time: one file in thirty differed from its twin. With key frames this
    # close it has next to nothing to look ahead to anyway.
    "mbtree": "0",
    "sc_threshold": "0",
    "flags": "+cgop",
}
_VP9 = {
    # A quarter of the time that "good" takes, for an eighth more bytes.
    "deadline": "realtime",
    "cpu-used": "5",
    "crf": "34",
    "b": "0",
    # The encoder would hold frames back to make hidden ones that every reader decodes for nothing.
    "auto-alt-ref": "0",
    "lag-in-frames": "0",
}
# B-frames would be out of order in AVI, which has no times to sort them by. Scene cuts may not move
# key frames. A constant quantizer looks at no frame but its own.
_MPEG = {"qmin": "4", "qmax": "4", "bf": "0", "sc_threshold": "1000000000"}

CODINGS = {
    ".mp4": Coding("mp4", "libx264", _H264),
    ".m4v": Coding("mp4", "libx264", _H264),
    ".mov": Coding("mov", "libx264", _H264),
    ".mkv": Coding("matroska", "libx264", _H264),
    ".webm": Coding("webm", "libvpx-vp9", _VP9),
    ".avi": Coding("avi", "mpeg4", _MPEG, counts=True),
    ".mpg": Coding("vob", "mpeg2video", _MPEG, counts=True),
    ".mpeg": Coding("vob", "mpeg2video", _MPEG, counts=True),
}
SUFFIXES = frozenset(CODINGS)

# Where the gain in speed flattens (benchmarks/intervals.py). A key frame in VP9 takes many times
# the bytes of another frame, and as long to decode as several.
DEFAULT_INTERVALS = dict.fromkeys(SUFFIXES, 6) | {".webm": 16}

# No clock and no random number in the bytes.
REPEATABLE = {"fflags": "+bitexact"}
# The index first, so that a file that was cut off still opens.
CONTAINER_OPTIONS = {"mp4": {"movflags": "+faststart"}, "mov": {"movflags": "+faststart"}}
