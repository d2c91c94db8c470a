"""Work in several processes that torch.distributed joins, and training as torchrun starts it."""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import distributed

SECONDS_TO_HANG = 90

# One process imports what all need; the others are its forks, and cost nearly nothing.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["lightning.pytorch", "stmnet.training.run"])


def run_apart(folder: Path, world_size: int, work: Callable[..., Any], *arguments: Any) -> None:
    """`work(rank, *arguments)` in each process, which writes its output into the folder.

    `work` is found by its module and name. A process that fails or hangs is an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processes = [
        CONTEXT.Process(target=_run, args=(folder, rank, work, arguments))
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(3 * SECONDS_TO_HANG)
        process.kill()
        process.join()
    failures = [path.read_text() for path in sorted(folder.glob("*.failure"))]
    assert not failures, "\n".join(failures)
    assert [process.exitcode for process in processes] == [0] * world_size


def _run(folder: Path, rank: int, work: Callable[..., Any], arguments: Any) -> None:
    torch.set_num_threads(1)
    with (folder / f"{rank}.out").open("w") as out:
        sys.stdout = out
        # Not the root's: Lightning logs by its own.
        logging.getLogger("stmnet").addHandler(logging.StreamHandler(out))
        logging.getLogger("stmnet").setLevel(logging.INFO)
        try:
            work(rank, *arguments)
        except BaseException:
            (folder / f"{rank}.failure").write_text(f"process {rank}: {traceback.format_exc()}")
            os._exit(1)


def run_in_processes(
    folder: Path, world_size: int, work: Callable[..., Any], *arguments: Any
) -> list[Any]:
    """What `work(rank, *arguments)` gives in each of processes that are joined by gloo."""
    run_apart(folder, world_size, _join_and_work, folder, world_size, work, arguments)
    return [torch.load(folder / f"{rank}.pt") for rank in range(world_size)]


def _join_and_work(
    rank: int, folder: Path, world_size: int, work: Callable[..., Any], arguments: Any
) -> None:
    distributed.init_process_group(
        "gloo",
        init_method=(folder / "rendezvous").as_uri(),
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=SECONDS_TO_HANG),
    )
    torch.save(work(rank, *arguments), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def as_torchrun_does(rank: int, world_size: int, port: int) -> None:
    """Tell Lightning who this process is."""
    if world_size > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "LOCAL_WORLD_SIZE": str(world_size),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_RUN_ID": "test",
        }


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
