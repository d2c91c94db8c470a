"""Processes that die, hang or never start."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing import resource_tracker, util
from typing import Any

import pytest

from stmnet.curation.worker_processes import Lost, map_in_processes


def behave(item: str) -> str:
    match item:
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(60)
    return item.upper()


@pytest.mark.parametrize("processes", [1, 3])
def test_what_an_item_does_to_its_process_is_its_own_result(processes: int) -> None:
    items = ["a", "die", "b", "exit", "hang", "c"]
    results = dict(map_in_processes(behave, items, processes=processes, seconds=1.0))
    assert results == {
        "a": "A",
        "b": "B",
        "c": "C",
        "die": Lost("crash: it ended the process that read it (SIGSEGV)"),
        "exit": Lost("crash: it ended the process that read it (exit code 3)"),
        "hang": Lost("timeout: it took more than 1 s"),
    }


def test_nothing_to_do_starts_nothing() -> None:
    assert list(map_in_processes(behave, [], processes=2, seconds=1.0)) == []


class Unloadable:
    """Raises where a spawned process unpickles it."""

    def __call__(self, item: str) -> str:
        return item

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (7,)


def test_a_process_that_cannot_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"could not start \(exit code 7\)"):
        list(map_in_processes(Unloadable(), ["a"], processes=1, seconds=1.0))


def test_ctrl_c_while_a_process_starts_leaves_no_traceback_of_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another thread takes the signal once the process is there, before it is told its work."""
    spawn = util.spawnv_passfds

    def spawn_and_interrupt(*arguments: Any) -> int:
        process_id: int = spawn(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        return process_id

    enough = threading.Event()
    other = threading.Thread(target=enough.wait)
    other.start()
    resource_tracker.ensure_running()
    monkeypatch.setattr(util, "spawnv_passfds", spawn_and_interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(map_in_processes(behave, ["a"], processes=1, seconds=1.0))
    finally:
        enough.set()
        other.join()
    time.sleep(0.5)  # a process that lost its parent would speak up
    assert capfd.readouterr().err == ""
