"""Freed memory: whether it is kept is seen from the pages that the system has to lend anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_a_process_keeps_what_it_frees() -> None:
    # 140 MiB are 35,840 pages of 4 KiB; 100 MiB alone, which malloc always maps, are 25,600.
    assert pages_lent_again("leave") > 25_000
    assert pages_lent_again("keep") < 1_000
