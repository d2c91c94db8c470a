"""The speeds of networks, compared on one machine in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from stmnet.errors import StmnetError
from stmnet.models.optimize import FrozenNetwork, optimize
from stmnet.models.zoo import build_model
from stmnet.profiling.machine import Machine, describe_machine

# The first compiles and fills caches; the others let the clock speeds settle.
WARM_UP_ROUNDS = 3
# With some ten thousand, the memory of their stacks ends the process.
MAX_THREADS = 1024


@dataclass(frozen=True)
class Mode:
    """How networks are run. `dtype` is that of weights and clips.

    `compiled`: torch.compile with frozen weights. `optimized`: by `stmnet.optimize`, else as they
    are built, which is channels last with their batch norms.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    compiled: bool = False
    optimized: bool = False


@dataclass(frozen=True)
class Workload:
    """What every network is given: `batch` clips of frames with `size` x `size` pixels."""

    batch: int = 1
    size: int = 224
    num_classes: int = 174


@dataclass(frozen=True)
class BenchedModel:
    """A network in the run, by its name in the zoo, with its own number of frames."""

    name: str
    frames: int = 8


@dataclass(frozen=True)
class Speed:
    """What was measured of one network; `ratio` is its speed over the first one's.

    `latency_ms` is the median time of a batch, `ratio` the median of the rounds' own ratios: what
    slows the machine for a while slows both of a round. `_p10` and `_p90` are the 10th and 90th
    percentiles of the rounds.
    """

    model: str
    frames: int
    latency_ms: float
    latency_ms_p10: float
    latency_ms_p90: float
    videos_per_second: float
    ratio: float
    ratio_p10: float
    ratio_p90: float


@dataclass(frozen=True)
class BenchResult:
    """The speeds in the order in which the networks were given, and what they are of."""

    mode: Mode
    workload: Workload
    rounds: int
    machine: Machine
    speeds: tuple[Speed, ...]


def bench(
    models: Sequence[BenchedModel],
    mode: Mode,
    workload: Workload,
    *,
    rounds: int = 10,
    threads: int | None = None,
) -> BenchResult:
    """Measure networks in turn in every round, on random clips, by default with torch's threads.

    Raises `UnknownModelError` for a name that does not exist and `StmnetError` for numbers below
    one or a device that is not there.
    """
    validate(models, mode, workload, rounds)
    # What was compiled for another run counts against the number that torch will compile.
    torch.compiler.reset()
    with num_threads(threads), torch.inference_mode():
        runs = [build_run(model, mode, workload) for model in models]
        seconds = measure_in_turn(runs, rounds=rounds, wait=waiting(mode.device))
        machine = describe_machine(mode.device)
    speeds = (
        speed_of(model, times, seconds[0], batch=workload.batch)
        for model, times in zip(models, seconds, strict=True)
    )
    return BenchResult(mode, workload, rounds, machine, tuple(speeds))


def speed_of(
    model: BenchedModel, seconds: Sequence[float], first: Sequence[float], *, batch: int
) -> Speed:
    """The figures of a network whose batches took `seconds` in rounds in which the first's did."""
    low, latency, high = np.percentile(seconds, (10, 50, 90)).tolist()
    ratio_low, ratio, ratio_high = np.percentile(np.divide(first, seconds), (10, 50, 90)).tolist()
    return Speed(
        model=model.name,
        frames=model.frames,
        latency_ms=1000 * latency,
        latency_ms_p10=1000 * low,
        latency_ms_p90=1000 * high,
        videos_per_second=batch / latency,
        ratio=ratio,
        ratio_p10=ratio_low,
        ratio_p90=ratio_high,
    )


def validate(models: Sequence[BenchedModel], mode: Mode, workload: Workload, rounds: int) -> None:
    """Raise `StmnetError` where this cannot be measured."""
    if mode.device == "cuda" and not torch.cuda.is_available():
        raise StmnetError("device cuda: CUDA is not available on this machine. Give cpu.")
    numbers = {"rounds": rounds, **asdict(workload)}
    numbers["frames"] = min(model.frames for model in models)
    for name, number in numbers.items():
        if number < 1:
            raise StmnetError(f"{name} is {number}. Give at least 1.")


def build_run(model: BenchedModel, mode: Mode, workload: Workload) -> Callable[[], Tensor]:
    """A network on its device with a batch before it, ready to run."""
    dtype: torch.dtype = getattr(torch, mode.dtype)
    # Built outside of inference mode, in which a network cannot be compiled or changed.
    with torch.inference_mode(False):
        network: nn.Module = build_model(
            model.name, num_classes=workload.num_classes, num_frames=model.frames
        )
        network = network.eval().requires_grad_(False).to(mode.device)
        if mode.optimized:
            network = optimize(network, dtype=dtype, compile=mode.compiled)
        else:
            network = network.to(dtype)
            if mode.compiled:
                network = FrozenNetwork(network)
        clips = torch.randn(
            (workload.batch, model.frames, 3, workload.size, workload.size),
            generator=torch.Generator().manual_seed(0),
        ).to(mode.device, dtype)
    return lambda: network(clips)


def measure_in_turn(
    runs: Sequence[Callable[[], object]], *, rounds: int, wait: Callable[[], None]
) -> list[list[float]]:
    """Seconds of every run in every round. Every second round goes backwards through the runs.

    So neither what a run leaves in the caches nor a machine that grows hot favors one of them.
    """
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(WARM_UP_ROUNDS + rounds):
        order = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        for index in order:
            wait()
            start = time.perf_counter()
            runs[index]()
            wait()
            if number >= WARM_UP_ROUNDS:
                seconds[index].append(time.perf_counter() - start)
    return seconds


def waiting(device: str) -> Callable[[], None]:
    """What waits until the device has done all that it was given; a CPU always has."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


@contextmanager
def num_threads(threads: int | None) -> Iterator[None]:
    """Compute with that many threads on the CPU, and afterwards as before; None: no change."""
    if threads is not None and threads < 1:
        raise StmnetError(f"threads is {threads}. Give at least 1.")
    if threads is not None and threads > MAX_THREADS:
        raise StmnetError(f"threads is {threads}. Give at most {MAX_THREADS}.")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
