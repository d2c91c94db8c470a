"""A checkpoint is whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from stmnet.errors import CheckpointError
from stmnet.training.checkpoint import AtomicCheckpointIO


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.arange(5.0), "epoch": 3}, path)
    content = torch.load(path, weights_only=True)
    assert content["epoch"] == 3
    assert torch.equal(content["weights"], torch.arange(5.0))
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def write_half(checkpoint: object, file: object) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(
        CheckpointError,
        match=r"No space left on device\); the checkpoint before it is whole.*resume=True",
    ):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_at_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_short(checkpoint: object, file: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 28 vs 23")

    monkeypatch.setattr(torch, "save", write_short)
    message = r"cannot be written \(disk full\?\); make room and start again with another output\."
    with pytest.raises(CheckpointError, match=message):
        AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


def test_killed_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def die_before_renaming(source: Path, target: Path) -> None:
        os._exit(9)

    monkeypatch.setattr(Path, "replace", die_before_renaming)
    child = os.fork()
    if child == 0:
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert torch.load(path, weights_only=True) == {"epoch": 1}
