"""One run at a time in a folder: who holds the lock, and until when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stmnet.errors import StmnetError
from stmnet.locks import LOCK, lock_folder, share_lock

IN_USE = StmnetError("in use")

# Prints the number of a process that lives on when this one is killed.
RUN = """
import os, subprocess, sys, time
from pathlib import Path
from stmnet.errors import StmnetError
from stmnet.locks import lock_folder
folder, workers = Path(sys.argv[1]), sys.argv[2] == "workers"
with lock_folder(folder, in_use=StmnetError("in use"), shared_with_workers=workers):
    if workers:
        command = [sys.executable, "-c", sys.argv[3], folder]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
    elif child := os.fork():
        print(child, flush=True)
    time.sleep(60)
"""
WORKER = """
import sys, time
from pathlib import Path
from stmnet.errors import StmnetError
from stmnet.locks import share_lock
with share_lock(Path(sys.argv[1]), in_use=StmnetError("in use")):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["forked", "workers"])
def test_a_worker_that_outlives_its_run_holds_the_lock_only_where_it_writes(
    tmp_path: Path, kind: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, tmp_path, kind, WORKER], stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        worker = int(run.stdout.readline())
        with pytest.raises(StmnetError, match="in use"), lock_folder(tmp_path, in_use=IN_USE):
            pass
        run.kill()
        run.wait()
        os.kill(worker, 0)  # it lives
        if kind == "workers":
            with pytest.raises(StmnetError, match="in use"), lock_folder(tmp_path, in_use=IN_USE):
                pass
        else:
            with lock_folder(tmp_path, in_use=IN_USE):
                pass
        os.kill(worker, signal.SIGKILL)


def test_workers_share_the_lock_of_their_run_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with lock_folder(folder, in_use=IN_USE, shared_with_workers=True):
        with share_lock(folder, in_use=IN_USE), share_lock(folder, in_use=IN_USE):
            pass
        with pytest.raises(StmnetError, match="in use"), lock_folder(folder, in_use=IN_USE):
            pass
    with (
        lock_folder(folder, in_use=IN_USE),
        pytest.raises(StmnetError, match="in use"),
        share_lock(folder, in_use=IN_USE),
    ):
        pass
    assert list(folder.iterdir()) == []


def test_the_file_of_a_run_that_is_at_work_is_never_removed(tmp_path: Path) -> None:
    with lock_folder(tmp_path, in_use=IN_USE):
        file = (tmp_path / LOCK).stat()
        with pytest.raises(StmnetError, match="in use"), lock_folder(tmp_path, in_use=IN_USE):
            pass
        assert os.path.samestat((tmp_path / LOCK).stat(), file)
    assert not (tmp_path / LOCK).exists()


def test_a_lock_on_a_file_that_was_just_removed_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run before ends between this one's opening of the file and its lock.
    flock, removed = sys.modules["fcntl"].flock, []

    def remove_first(descriptor: int, kind: int) -> None:
        if not removed:
            removed.append(True)
            (tmp_path / LOCK).unlink()
        flock(descriptor, kind)

    monkeypatch.setattr("stmnet.locks.fcntl.flock", remove_first)
    with lock_folder(tmp_path, in_use=IN_USE):
        assert (tmp_path / LOCK).exists()
        with pytest.raises(StmnetError, match="in use"), lock_folder(tmp_path, in_use=IN_USE):
            pass
