"""`stmnet bench`: the speeds of networks, compared."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stmnet.cli.arguments import Verbs, add_verb, positive_int
from stmnet.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stmnet.profiling.bench import BenchResult

VERSIONS_SHOWN = ("stmnet", "torch", "cuda", "python")


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "bench",
        run,
        "Compare the speed of networks.",
        examples=(
            "stmnet bench stm_resnet18 tsn_resnet18 --size 112 --rounds 3",
            "stmnet bench tsn_resnet18 --rounds 3 --optimized --threads 1 --json",
        ),
        notes="Every network runs once a round; a ratio is the median of the rounds' own\n"
        "ratios, with the 10th and the 90th percentile.",
    )
    verb.add_argument(
        "models", nargs="+", metavar="MODEL", help="names of networks; ratios are to the first"
    )
    verb.add_argument(
        "--batch", type=positive_int, default=1, metavar="N", help="clips in a batch (default 1)"
    )
    verb.add_argument(
        "--frames", type=positive_int, default=8, metavar="T", help="frames of a clip (default 8)"
    )
    verb.add_argument(
        "--size",
        type=positive_int,
        default=224,
        metavar="PIXELS",
        help="height and width of a frame (default 224)",
    )
    verb.add_argument(
        "--num-classes",
        type=positive_int,
        default=174,
        metavar="K",
        help="number of classes (default 174)",
    )
    verb.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    verb.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of weights and clips (default float32)",
    )
    verb.add_argument(
        "--compiled", action="store_true", help="use torch.compile (up to a minute each)"
    )
    verb.add_argument("--optimized", action="store_true", help="use stmnet.optimize")
    verb.add_argument(
        "--rounds", type=positive_int, default=10, metavar="N", help="rounds (default 10)"
    )
    verb.add_argument(
        "--threads", type=positive_int, metavar="N", help="CPU threads (default: torch's own)"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet bench MODEL...`: a table, or one JSON object."""
    from stmnet.profiling.bench import BenchedModel, Mode, Workload, bench

    result = bench(
        [BenchedModel(name, arguments.frames) for name in arguments.models],
        Mode(arguments.device, arguments.dtype, arguments.compiled, arguments.optimized),
        Workload(arguments.batch, arguments.size, arguments.num_classes),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    if arguments.json:
        print_json(as_json(result))
    else:
        print_table(render_speeds(result))
    return 0


def as_json(result: BenchResult) -> dict[str, Any]:
    """One object: how it was measured, on what, and every network's speed."""
    how = asdict(result.mode) | asdict(result.workload)
    how |= {"frames": result.speeds[0].frames, "rounds": result.rounds}
    return how | asdict(result.machine) | {"models": [asdict(speed) for speed in result.speeds]}


def render_speeds(result: BenchResult) -> RenderableType:
    """A row a network, under two lines that say on what and how."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("model", no_wrap=True)
    first = result.speeds[0].model
    for heading in ("videos/s", "latency, ms", "p10-p90", f"speed over {first}", "p10-p90"):
        table.add_column(heading, justify="right", no_wrap=True)
    for speed in result.speeds:
        table.add_row(
            speed.model,
            f"{speed.videos_per_second:.1f}",
            f"{speed.latency_ms:.1f}",
            f"{speed.latency_ms_p10:.1f}-{speed.latency_ms_p90:.1f}",
            f"{speed.ratio:.3f}",
            f"{speed.ratio_p10:.3f}-{speed.ratio_p90:.3f}",
        )
    return Group(Text(_machine_line(result)), Text(_settings_line(result)), Text(), table)


def _machine_line(result: BenchResult) -> str:
    machine = result.machine
    versions = ((name, machine.versions[name]) for name in VERSIONS_SHOWN)
    shown = ", ".join(f"{name} {version}" for name, version in versions if version)
    threads = f"{machine.threads} of {machine.cores} cores"
    return f"{machine.device}: {machine.device_name}, {threads}; {shown}"


def _settings_line(result: BenchResult) -> str:
    mode, workload = result.mode, result.workload
    return ", ".join(
        [
            mode.dtype,
            "compiled" if mode.compiled else "eager",
            *(["optimized"] if mode.optimized else []),
            f"{workload.batch} x {result.speeds[0].frames} x {workload.size} x {workload.size}",
            f"medians of {result.rounds} rounds",
        ]
    )
