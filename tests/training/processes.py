"""Work in several processes that torch.distributed joins, as DDP's are."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import distributed

SECONDS_TO_HANG = 60

# One process imports what all need; the others are its forks, and cost nearly nothing.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["lightning.pytorch", "stmnet.training.run"])


def run_in_processes(
    folder: Path, num_processes: int, work: Callable[..., Any], *arguments: Any
) -> list[Any]:
    """What `work(rank, *arguments)` gives in each process; tensors and plain values.

    `work` is found by its module and name. A process that fails or hangs is an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processes = [
        CONTEXT.Process(target=_run, args=(folder, rank, num_processes, work, arguments))
        for rank in range(num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(2 * SECONDS_TO_HANG)
        process.kill()
    failures = [path.read_text() for path in sorted(folder.glob("*.failure"))]
    assert not failures, "\n".join(failures)
    return [torch.load(folder / f"{rank}.pt") for rank in range(num_processes)]


def _run(
    folder: Path, rank: int, num_processes: int, work: Callable[..., Any], arguments: Any
) -> None:
    torch.set_num_threads(1)
    try:
        distributed.init_process_group(
            "gloo",
            init_method=(folder / "rendezvous").as_uri(),
            rank=rank,
            world_size=num_processes,
            timeout=timedelta(seconds=SECONDS_TO_HANG),
        )
        torch.save(work(rank, *arguments), folder / f"{rank}.pt")
        distributed.destroy_process_group()
    except BaseException:
        (folder / f"{rank}.failure").write_text(f"process {rank}: {traceback.format_exc()}")
        os._exit(1)
