"""What a training step of STM-50 costs beside one of TSN-50: time and peak memory.

    python benchmarks/training_step.py [--rounds 15] [--threads 2] [--device cpu] [--docs docs]

A step is forward, backward and SGD with momentum, in bfloat16 autocast, on random clips of 8
frames of 224 x 224 with random labels. For every batch size, both networks take a step in every
round, the one or the other first; shown are the medians of the rounds' times and of their ratios.

Peak memory is measured in a fresh process for each network, for what a process has freed it may
keep: on the CPU the most that was resident in three steps, less what was before the first one. It
counts what the libraries use as work space, too, and the momentum; not Python, torch and the
weights, which would only bring the ratio nearer to one. Freed memory goes back to the system at
once there (MALLOC_MMAP_THRESHOLD_). On a GPU it is what torch's allocator had given out at most,
counted in the same way. With --docs, JSON goes to figures/ and the table into its page.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from decode import median_ratio
from pages import put_table, save_json

from stmnet.memory import keep_freed_memory
from stmnet.models.zoo import build_model
from stmnet.profiling.bench import measure_in_turn, num_threads, waiting
from stmnet.profiling.machine import describe_machine

COMMAND = "python benchmarks/training_step.py"
MODELS = ("tsn_resnet50", "stm_resnet50")
NUM_FRAMES = 8
SIZE = 224
NUM_CLASSES = 174
TARGET = 1.15
STEPS_FOR_MEMORY = 3
MEBIBYTE = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", type=Path, help="write the JSON here, into figures/")
    parser.add_argument("--memory-of", choices=MODELS, help="print one network's peak, in bytes")
    arguments = parser.parse_args()

    with num_threads(arguments.threads):
        if arguments.memory_of:
            print(peak_memory(arguments.memory_of, arguments.batch[0], arguments.device))
            return
        keep_freed_memory()  # as `stmnet` does
        facts = asdict(describe_machine(arguments.device)) | {
            "frames": NUM_FRAMES,
            "size": SIZE,
            "rounds": arguments.rounds,
        }
        rows = [
            compare(batch, arguments.device, rounds=arguments.rounds) for batch in arguments.batch
        ]
    print(in_lines(rows))
    if arguments.docs:
        path = arguments.docs / "figures" / f"training_step_{arguments.device}.json"
        save_json(path, COMMAND, facts | {"target": TARGET, "rows": rows})
        put_table(
            arguments.docs / "benchmarks" / "training_step.md",
            f"training_step.py {arguments.device}",
            in_lines(rows),
        )


def compare(batch: int, device: str, *, rounds: int) -> dict[str, Any]:
    """Both networks at one batch size: milliseconds, MiB, and STM-50's over TSN-50's."""
    memory = [memory_in_a_process(model, batch, device) for model in MODELS]
    steps = [training_step(model, batch, device) for model in MODELS]
    tsn, stm = measure_in_turn(steps, rounds=rounds, wait=waiting(device))
    return {
        "batch": batch,
        "tsn_ms": 1000 * statistics.median(tsn),
        "stm_ms": 1000 * statistics.median(stm),
        "time_ratio": median_ratio(stm, tsn),
        "tsn_mib": memory[0] / MEBIBYTE,
        "stm_mib": memory[1] / MEBIBYTE,
        "memory_ratio": memory[1] / memory[0],
    }


def training_step(model: str, batch: int, device: str) -> Callable[[], None]:
    """A network in training with a batch before it, ready to take a step."""
    torch.manual_seed(0)
    network = build_model(model, num_classes=NUM_CLASSES, num_frames=NUM_FRAMES).to(device).train()
    # Learning rate zero: the same arithmetic, and the loss stays one. The one batch would soon be
    # learned by heart, and with gradients that are denormal numbers a CPU counts much more slowly.
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4)
    # (N, T, 3, H, W), channels last in memory as the loader's batches
    clips = torch.randn(batch, NUM_FRAMES, SIZE, SIZE, 3).movedim(-1, -3).to(device)
    labels = torch.randint(NUM_CLASSES, (batch,)).to(device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = F.cross_entropy(network(clips), labels)
        loss.backward()
        optimizer.step()

    return step


def memory_in_a_process(model: str, batch: int, device: str) -> int:
    """`peak_memory`, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", model, "--batch", str(batch)]
    command += ["--device", device, "--threads", str(torch.get_num_threads())]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout))


def peak_memory(model: str, batch: int, device: str) -> int:
    """Bytes that steps take at most, beside what lies there before the first one."""
    step = training_step(model, batch, device)
    before = torch.cuda.memory_allocated() if device == "cuda" else resident("VmRSS")
    for _ in range(STEPS_FOR_MEMORY):
        step()
    after = torch.cuda.max_memory_allocated() if device == "cuda" else resident("VmHWM")
    return after - before


def resident(field: str) -> int:
    """Bytes of this process that are in memory now (VmRSS), or were at most (VmHWM).

    Not getrusage's maxrss: a process begins with that of the one which started it.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def in_lines(rows: list[dict[str, Any]]) -> str:
    """The table for pages; * where a target is missed."""
    lines = [
        f"| batch | TSN-50, ms | STM-50, ms | ratio (<= {TARGET}) "
        f"| TSN-50, MiB | STM-50, MiB | ratio (<= {TARGET}) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratios = [
            f"{row[f'{what}_ratio']:.3f}{' *' if row[f'{what}_ratio'] > TARGET else ''}"
            for what in ("time", "memory")
        ]
        lines.append(
            f"| {row['batch']} | {row['tsn_ms']:.0f} | {row['stm_ms']:.0f} | {ratios[0]} "
            f"| {row['tsn_mib']:.0f} | {row['stm_mib']:.0f} | {ratios[1]} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
