"""The log of a run's epochs: whole after a full disk, and a line that is not a record is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stmnet.errors import StmnetError
from stmnet.runs.history import EpochRecord, append_history, read_history

RECORD = EpochRecord(1, 2.5, 0.25, 2.25, 0.5, 60.0, 0.01, 8.0)


def test_a_repeated_epoch_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for _ in range(2):
        append_history(path, RECORD)
    assert read_history(path) == (RECORD,)
    assert len(path.read_text().splitlines()) == 2


def test_a_log_that_cannot_be_written_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.jsonl"
    append_history(path, RECORD)
    whole = path.read_bytes()

    def half_a_line(unfinished: Path, text: str, encoding: str, errors: str) -> None:
        unfinished.write_bytes(text.encode(encoding)[:-20])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_text", half_a_line)
    with pytest.raises(StmnetError, match=r"history\.jsonl: .*\(No space left .*resume=True"):
        append_history(path, RECORD)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"epoch": 1}', b"no JSON", b"\xff no UTF-8"])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "history.jsonl"
    append_history(path, RECORD)
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(StmnetError, match=r"history\.jsonl: line 2 is not a record of an epoch"):
        read_history(path)
