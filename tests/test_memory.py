"""Freed memory: whether it is kept is seen from the pages that the system has to lend again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from stmnet.cli import main as cli
from stmnet.cli.printing import USER_ERROR
from stmnet.data import loaders

TOLD_BEFORE = ("MALLOC_", "GLIBC_TUNABLES")
PROGRAM = """
import resource, sys
import torch
from stmnet.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()

def pages_lent():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for mebibytes in (40, 100):
        torch.ones(mebibytes << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(9):  # until small things have found their places
    pages_lent()
print(pages_lent())
"""


def pages_lent_again(how: str) -> int:
    """Pages that a process is lent for tensors of 140 MiB, the tenth time that it makes them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(TOLD_BEFORE)}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, env=own
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_a_process_keeps_what_it_frees() -> None:
    # 140 MiB are 35,840 pages of 4 KiB, 70 of 2 MiB.
    left = pages_lent_again("leave")
    assert left >= 50
    assert pages_lent_again("keep") < left / 10


def test_commands_keep_what_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: calls.append("kept"))
    assert cli.main(["predict", "no such file.mp4"]) == USER_ERROR
    assert calls == ["kept"]


def test_workers_hand_back_what_is_freed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(loaders, "hand_back_freed_memory", lambda: calls.append("handed back"))
    for is_worker, expected in ((False, 0), (True, 3)):
        monkeypatch.setattr(loaders, "get_worker_info", lambda found=is_worker: found or None)
        collate = loaders.TrimmingCollate(loaders.collate)
        for _ in range(3 * loaders.BATCHES_PER_TRIM):
            collate([])
        assert len(calls) == expected
