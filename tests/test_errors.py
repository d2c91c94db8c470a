"""Messages are one line, whatever a file is called."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest

from stmnet.errors import StmnetError, TruncatedVideoError, VideoError, escaped
from stmnet.video.frames import open_frames, probe, read_frames
from stmnet.video.video_paths import missing_videos

NAMES = ["a\nb.mp4", "a\r\x1b[31mb.mp4", "a\u2028b.mp4", "a\u202eb.mp4", os.fsdecode(b"a\xff.mp4")]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_does_not_break_the_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no video")
    folder = tmp_path / f"folder {name}"
    folder.mkdir()
    for read in (
        lambda: probe(tmp_path / name),
        lambda: read_frames(tmp_path / name, [0]),
        lambda: read_frames(tmp_path / "missing" / name, [0]),
        lambda: open_frames(folder),
    ):
        with pytest.raises(VideoError) as error:
            read()
        message = str(error.value)
        assert message.isprintable()
        message.encode()  # as a terminal gets it
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip 1 (größer, 映像).mp4", "clip 1 (größer, 映像).mp4"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
    ],
)
def test_only_what_cannot_be_printed_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected
    assert str(StmnetError(text)) == expected


def test_an_error_survives_a_copy() -> None:
    error = TruncatedVideoError("a\\nb: ends early", num_decoded=3)
    assert str(copy.copy(StmnetError("a\nb"))) == r"a\nb"
    assert error.num_decoded == 3


def test_a_missing_video_is_told_in_one_line() -> None:
    messages = missing_videos([Path("no\nsuch.mp4")])
    assert messages == {
        "no\nsuch.mp4": r"no\nsuch.mp4: no such file. Give the path of a video file."
    }
