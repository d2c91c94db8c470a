"""Work in processes that may die or hang: one bad file then costs itself and nothing else.

An executor of the standard library cannot tell which item broke it, nor end a process that hangs.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isinf
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READY = "ready"


@dataclass(frozen=True)
class Lost:
    """In place of a result: `why` the process gave none, for a sentence that begins with it."""

    why: str


def map_in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    seconds: float,
) -> Iterator[tuple[Item, Result | Lost]]:
    """Each item with its result, as they are done, from spawned processes.

    A process that dies, or takes more than `seconds` for an item, is replaced, and that item's
    result is `Lost`. `function` is picklable and raises nothing. Raises `RuntimeError` if a
    process cannot start.
    """
    todo = deque(items)
    workers: list[_Worker[Item, Result]] = []
    try:
        for _ in range(min(processes, len(items))):
            workers.append(_Worker(function, seconds))
        while workers:
            patience = max(0.0, min(worker.deadline for worker in workers) - time.monotonic())
            # Without a deadline `wait` gets None: it does not take infinity.
            answered = wait(
                [worker.connection for worker in workers], None if isinf(patience) else patience
            )
            for place, worker in reversed(list(enumerate(workers))):
                if worker.connection in answered:
                    answer = worker.receive()
                elif time.monotonic() >= worker.deadline:
                    answer = Lost(f"timeout: it took more than {seconds:.0f} s")
                else:
                    continue
                if worker.has_item:
                    yield worker.item, answer
                if todo and not isinstance(answer, Lost):
                    worker.give(todo.popleft())
                    continue
                worker.end()
                if todo:
                    workers[place] = _Worker(function, seconds)
                else:
                    del workers[place]
    finally:
        for worker in workers:
            worker.end()


@contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Start a process whole: Ctrl-C would end one that is still starting with a traceback."""
    interrupts: list[int] = []
    handler = None
    # A block is this thread's alone: another may take the signal, and this one the exception.
    if threading.current_thread() is threading.main_thread():
        handler = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    # The process inherits the block, which multiprocessing's own helper lifts when it starts; so
    # that one comes first.
    resource_tracker.ensure_running()
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        if interrupts:
            signal.raise_signal(signal.SIGINT)


class _Worker(Generic[Item, Result]):
    """A process, and the item it has at the moment."""

    item: Item

    def __init__(self, function: Callable[[Item], Result], seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        try:
            with _interrupted_afterwards():
                self.process.start()
        except KeyboardInterrupt:
            self.end()
            raise
        theirs.close()
        self.seconds = seconds
        self.has_item = False
        # Not before the process is ready: importing torch may take long.
        self.deadline = float("inf")

    def give(self, item: Item) -> None:
        self.item = item
        self.has_item = True
        self.deadline = time.monotonic() + self.seconds
        # A process that has died meanwhile is found out by the answer that does not come.
        with suppress(OSError):
            self.connection.send(item)

    def receive(self) -> Result | Lost:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            if not self.has_item:
                raise RuntimeError(f"a worker process could not start ({how})") from None
            return Lost(f"crash: it ended the process that read it ({how})")

    def end(self) -> None:
        if self.process.pid is not None:  # Ctrl-C can come before it is started
            self.process.kill()
            self.process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Item], object]) -> None:
    # Ctrl-C reaches every process of a terminal, and the first one alone decides how to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):  # the process that gave the work has ended
        connection.send(READY)
        while True:
            item = connection.recv()
            connection.send(function(item))
