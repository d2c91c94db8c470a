"""What `stmnet.optimize` makes of STM-50's speed, beside the network as public code runs it.

    python benchmarks/optimize.py [--rounds 15] [--threads 2] [--docs docs]

Measured in turn in every round, on one clip of 8 frames: the network in NCHW, its temporal
convolutions a `Conv1d` over a permuted copy; as it is built, which is channels last; and optimized,
in float32 and in what the machine is good at, eager and compiled. Shown are medians of the time
and of the rounds' speeds over the first, and the largest difference of a logit from the first's in
parts of the largest logit. Batch norms are given the statistics of random clips, so that features
keep their size on the way, as they do in a trained network.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from pages import put_table, save_json
from torch import Tensor, nn

import stmnet
from stmnet.memory import keep_freed_memory
from stmnet.models import resnet
from stmnet.models.stm import CSTM, ChannelwiseTemporalConv
from stmnet.profiling.bench import measure_in_turn, num_threads
from stmnet.profiling.machine import describe_machine

COMMAND = "python benchmarks/optimize.py"
NUM_FRAMES, SIZE = 8, 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", type=Path, help="write the JSON here, into figures/")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `stmnet` does

    network = calibrated_network()
    clips = random_clips(1)
    runs: dict[str, Callable[[], Tensor]] = {
        "NCHW, permuted copies": bind(InNCHW(network), clips),
        "as built": bind(network, clips),
        "optimized": bind(stmnet.optimize(network), clips),
        "optimized, compiled": bind(stmnet.optimize(network, compile=True), clips),
        "optimized, fast": bind(stmnet.optimize(network, dtype="fast"), clips),
        "optimized, fast, compiled": bind(
            stmnet.optimize(network, dtype="fast", compile=True), clips
        ),
    }
    with num_threads(arguments.threads), torch.inference_mode():
        facts = asdict(describe_machine("cpu")) | {"rounds": arguments.rounds}
        logits = {name: run() for name, run in runs.items()}
        seconds = measure_in_turn(list(runs.values()), rounds=arguments.rounds, wait=lambda: None)
    first = next(iter(logits.values()))
    rows = []
    lines = ["| | ms | speed over the first | difference |", "|---|---|---|---|"]
    for name, times in zip(runs, seconds, strict=True):
        speed = statistics.median(a / b for a, b in zip(seconds[0], times, strict=True))
        difference = ((logits[name] - first).abs().max() / first.abs().max()).item()
        milliseconds = 1000 * statistics.median(times)
        lines.append(f"| {name} | {milliseconds:.0f} | {speed:.2f} | {difference:.0e} |")
        rows.append(
            {
                "run": name,
                "milliseconds": milliseconds,
                "speed_over_the_first": speed,
                "difference": difference,
            }
        )
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if arguments.docs:
        save_json(arguments.docs / "figures" / "optimize.json", COMMAND, facts | {"rows": rows})
        put_table(arguments.docs / "benchmarks" / "optimize.md", "optimize.py", table)


def calibrated_network() -> nn.Module:
    """STM-50 whose batch norms know the statistics of random clips."""
    torch.manual_seed(0)
    network = stmnet.build_model("stm_resnet50", num_classes=174, num_frames=NUM_FRAMES)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        network.train()(random_clips(2))
    return network.eval().requires_grad_(False)


def random_clips(num_clips: int) -> Tensor:
    generator = torch.Generator().manual_seed(num_clips)
    return torch.randn((num_clips, NUM_FRAMES, 3, SIZE, SIZE), generator=generator)


def bind(network: nn.Module, clips: Tensor) -> Callable[[], Tensor]:
    return lambda: network(clips)


class InNCHW(nn.Module):
    """A copy of an STM network whose features lie in NCHW, with every copy that this takes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        for module in self.network.modules():
            if isinstance(module, CSTM):
                assert isinstance(module.temporal, ChannelwiseTemporalConv)
                module.temporal = PermutedTemporalConv(module.temporal)

    def forward(self, clips: Tensor) -> Tensor:
        with patch.object(resnet, "frames_of_clips", lambda clips, _: clips.flatten(0, 1)):
            logits: Tensor = self.network(clips)
        return logits


class PermutedTemporalConv(nn.Module):
    """Eq. 1 as a `Conv1d` over time: (N*T, C, H, W) -> the same shape, by two copies."""

    def __init__(self, channelwise: ChannelwiseTemporalConv) -> None:
        super().__init__()
        self.num_frames = channelwise.num_frames
        self.weight = nn.Parameter(channelwise.weight[..., 0], requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        _, channels, height, width = frames.shape
        # (N*T, C, H, W) -> (N, T, C, H, W) -> (N*H*W, C, T), and back
        clips = frames.unflatten(0, (-1, self.num_frames)).permute(0, 3, 4, 2, 1)
        lines = clips.reshape(-1, channels, self.num_frames)
        lines = F.conv1d(lines, self.weight, padding=1, groups=channels)
        clips = lines.unflatten(0, (-1, height, width)).permute(0, 4, 3, 1, 2)
        return clips.reshape(-1, channels, height, width)


if __name__ == "__main__":
    main()
