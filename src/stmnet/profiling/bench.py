"""`stmnet bench`: how fast networks are beside each other, on one machine in one run."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from stmnet import __version__
from stmnet.errors import StmnetError
from stmnet.models.optimize import FrozenNetwork, optimize
from stmnet.models.zoo import build_model

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
class Shape:
    """What networks are given: `batch` clips of pictures with `size` x `size` pixels."""

    batch: int = 1
    size: int = 224
    num_classes: int = 174


@dataclass(frozen=True)
class Entry:
    """A network in the run, by its name in the zoo, with its own number of frames."""

    model: str
    frames: int = 8


@dataclass(frozen=True)
class Speed:
    """What was measured of one network; `ratio` is its speed over the first one's.

    `latency_ms` is the median time of a batch, `ratio` the median of the rounds' own ratios: what
    slows the machine for a while slows both of a round.
    """

    model: str
    frames: int
    latency_ms: float
    videos_per_second: float
    ratio: float


def bench(
    entries: Sequence[Entry], mode: Mode, shape: Shape, *, rounds: int = 10
) -> tuple[Speed, ...]:
    """Measure networks in turn in every round, on random clips.

    Raises `UnknownModelError` for a name that does not exist and `StmnetError` for numbers below
    one or a device that is not there.
    """
    check(entries, mode, shape, rounds)
    # What was compiled for another run counts against the number that torch will compile.
    torch.compiler.reset()
    with torch.inference_mode():
        runs = [prepare(entry, mode, shape) for entry in entries]
        seconds = measure_in_turn(runs, rounds=rounds, wait=waiting(mode.device))
    return tuple(
        Speed(
            entry.model,
            entry.frames,
            latency_ms=1000 * statistics.median(times),
            videos_per_second=shape.batch / statistics.median(times),
            ratio=statistics.median(a / b for a, b in zip(seconds[0], times, strict=True)),
        )
        for entry, times in zip(entries, seconds, strict=True)
    )


def check(entries: Sequence[Entry], mode: Mode, shape: Shape, rounds: int) -> None:
    """Raise `StmnetError` where this cannot be measured."""
    if mode.device == "cuda" and not torch.cuda.is_available():
        raise StmnetError("no CUDA device is here. Measure on the CPU: --device cpu.")
    numbers = {"rounds": rounds, **asdict(shape)}
    numbers["frames"] = min(entry.frames for entry in entries)
    for name, number in numbers.items():
        if number < 1:
            raise StmnetError(f"{name.replace('_', ' ')} is {number}. Give at least 1.")


def prepare(entry: Entry, mode: Mode, shape: Shape) -> Callable[[], Tensor]:
    """A network on its device with a batch before it, ready to run."""
    dtype: torch.dtype = getattr(torch, mode.dtype)
    # Built outside of inference mode, in which a network cannot be compiled or changed.
    with torch.inference_mode(False):
        network: nn.Module = build_model(
            entry.model, num_classes=shape.num_classes, num_frames=entry.frames
        )
        network = network.eval().requires_grad_(False).to(mode.device)
        if mode.optimized:
            network = optimize(network, dtype=dtype, compile=mode.compiled)
        else:
            network = network.to(dtype)
            if mode.compiled:
                network = FrozenNetwork(network)
        clips = torch.randn(
            (shape.batch, entry.frames, 3, shape.size, shape.size),
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


def machine(device: str) -> dict[str, Any]:
    """What figures are from: device, threads and versions."""
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = str(torch.cpu.get_capabilities().get("cpu_name") or platform.machine())
    return {
        "device_name": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {
            "stmnet": __version__,
            "torch": torch.__version__,
            "cuda": torch.version.cuda if device == "cuda" else None,
            "python": platform.python_version(),
        },
    }


def bench_in_words(
    models: Sequence[str],
    mode: Mode,
    shape: Shape,
    *,
    frames: int,
    rounds: int,
    threads: int | None,
) -> tuple[RenderableType, dict[str, Any]]:
    """`stmnet bench`: the table for people and the object for programs."""
    with num_threads(threads):
        speeds = bench([Entry(model, frames) for model in models], mode, shape, rounds=rounds)
        measured_on = machine(mode.device)
    settings = asdict(mode) | asdict(shape) | {"frames": frames, "rounds": rounds}
    plain = settings | measured_on | {"models": [asdict(speed) for speed in speeds]}
    return as_table(speeds, plain), plain


def as_table(speeds: Sequence[Speed], facts: Mapping[str, Any]) -> RenderableType:
    """A row a network, under two lines that say on what and how."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("model", no_wrap=True)
    for heading in ("videos/s", "latency, ms", f"speed over {speeds[0].model}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for speed in speeds:
        figures = (speed.videos_per_second, speed.latency_ms)
        table.add_row(speed.model, *(f"{f:.1f}" for f in figures), f"{speed.ratio:.3f}")
    versions = ", ".join(f"{name} {v}" for name, v in facts["versions"].items() if v)
    how = [
        facts["dtype"],
        "compiled" if facts["compiled"] else "eager",
        *(["optimized"] if facts["optimized"] else []),
        f"{facts['batch']} x {facts['frames']} x {facts['size']} x {facts['size']}",
        f"medians of {facts['rounds']} rounds",
    ]
    threads = f"{facts['threads']} of {facts['cores']} cores"
    return Group(
        Text(f"{facts['device']}: {facts['device_name']}, {threads}; {versions}"),
        Text(", ".join(how)),
        Text(),
        table,
    )
