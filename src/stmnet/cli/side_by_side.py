"""Several trainings at the same time, so that no core idles beside another's loader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from types import FrameType
from typing import IO

Process = subprocess.Popen[str]


def train_side_by_side(trainings: Mapping[str, Sequence[str]]) -> int:
    """Run `stmnet train WORDS` for every name at once, and print its lines behind the name.

    The cores are shared out evenly. Ctrl-C and SIGTERM are passed on, and every training saves
    where it is. Returns the first exit code that is not 0, or 0.
    """
    num_threads = max(1, (os.cpu_count() or 1) // max(1, len(trainings)))
    environment = {"OMP_NUM_THREADS": str(num_threads), **os.environ}
    processes: dict[str, Process] = {}
    with _signals_passed_on(processes):
        for name, words in trainings.items():
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "stmnet", "train", *words],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                # A terminal's Ctrl-C comes to this process alone, which passes it on once.
                start_new_session=True,
            )
        width = max(map(len, processes), default=0)
        readers = [
            Thread(target=_print_lines, args=(name.ljust(width), process.stdout))
            for name, process in processes.items()
        ]
        for reader in readers:
            reader.start()
        codes = [process.wait() for process in processes.values()]
        for reader in readers:
            reader.join()
    return next((code for code in codes if code), 0)


def _print_lines(name: str, lines: IO[str] | None) -> None:
    for line in lines or ():
        print(f"{name}  {line}", end="", flush=True)


@contextmanager
def _signals_passed_on(processes: Mapping[str, Process]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in processes.values():
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
