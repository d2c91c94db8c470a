"""What each operator costs that STM-50 has and TSN-50 has not: where the ratio of speeds goes.

    python benchmarks/operators.py [--rounds 25] [--threads 2] [--docs docs]

Every operator runs alone, in turn with the others, on random features of each STM block's shape
(one clip of 8 frames, 224 pixels, channels last); shown are medians, summed over the network's
sixteen blocks. Beside them stands the 3x3 convolution that both networks have. An operator's output
is allocated every time, as in the network.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from pages import put_table, save_json
from torch import Tensor, nn

from stmnet.memory import keep_freed_memory
from stmnet.models.stm import CMM, ChannelwiseTemporalConv
from stmnet.profiling.bench import measure_in_turn, num_threads
from stmnet.profiling.machine import describe_machine

COMMAND = "python benchmarks/operators.py"
NUM_FRAMES = 8
# Channels, size, stride and number of STM-50's blocks.
BLOCKS = (
    (64, 56, 1, 3),
    (128, 56, 2, 1),
    (128, 28, 1, 3),
    (256, 28, 2, 1),
    (256, 14, 1, 5),
    (512, 14, 2, 1),
    (512, 7, 1, 2),
)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", type=Path, help="write the JSON and the table of its page here")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `stmnet` does

    with num_threads(arguments.threads), torch.inference_mode():
        facts = asdict(describe_machine("cpu")) | {"rounds": arguments.rounds}
        milliseconds = {name: measure(dtype, arguments.rounds) for name, dtype in DTYPES.items()}
    operators = list(milliseconds["float32"])
    lines = ["| ms in all sixteen blocks | " + " | ".join(DTYPES) + " |", "|---|---|---|"]
    for operator in operators:
        figures = (f"{milliseconds[dtype][operator]:.1f}" for dtype in DTYPES)
        lines.append(f"| {operator} | {' | '.join(figures)} |")
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if arguments.docs:
        content = facts | {"milliseconds": milliseconds}
        save_json(arguments.docs / "figures" / "operators.json", COMMAND, content)
        put_table(arguments.docs / "benchmarks" / "operators.md", "operators.py", table)


def measure(dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Milliseconds of every operator, summed over the blocks."""
    total: dict[str, float] = {}
    for channels, size, stride, num_blocks in BLOCKS:
        operators = operators_of(channels, size, stride, dtype)
        seconds = measure_in_turn(list(operators.values()), rounds=rounds, wait=lambda: None)
        for name, times in zip(operators, seconds, strict=True):
            spent = 1000 * num_blocks * statistics.median(times)
            total[name] = total.get(name, 0.0) + spent
    return total


def operators_of(
    channels: int, size: int, stride: int, dtype: torch.dtype
) -> dict[str, Callable[[], Tensor]]:
    """The operators of one block, ready to run."""
    temporal = ChannelwiseTemporalConv(channels, num_frames=NUM_FRAMES).to(dtype)
    cmm = CMM(channels, num_frames=NUM_FRAMES, stride=stride).eval().to(dtype)
    cmm.to(memory_format=torch.channels_last)
    spatial = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
    spatial.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    features = laid(torch.randn(NUM_FRAMES, channels, size, size), dtype)
    reduced = cmm.reduce(features)
    ended = laid(torch.randn(NUM_FRAMES, channels, size // stride, size // stride), dtype)

    def difference() -> Tensor:
        motion = torch.zeros_like(reduced)
        motion[:-1] = reduced[:-1] - reduced[1:]
        return motion

    operators: dict[str, Callable[[], Tensor]] = {
        "*both networks: the 3x3 convolution*": lambda: spatial(features),
        "CSTM: temporal convolution": lambda: temporal(features),
        "CMM: 1x1 that reduces": lambda: cmm.reduce(features),
        "CMM: batch norm": lambda: cmm.bn(reduced),
        "CMM: transform K": lambda: cmm.transform(reduced),
        "CMM: difference": difference,
        "CMM: 1x1 that restores": lambda: cmm.restore(reduced),
        "CMM: max-pool of stride 2": lambda: F.max_pool2d(features, 2) if stride > 1 else features,
        "sum of CSTM and CMM": lambda: ended + ended,
    }
    return operators


def laid(features: Tensor, dtype: torch.dtype) -> Tensor:
    return features.to(dtype).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
