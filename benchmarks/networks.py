"""How fast STM-50 is beside the networks of the paper's Table 4, in one run.

    python benchmarks/networks.py [--rounds 15] [--threads 2] [--device cpu] [--docs docs [--add]]

Measured in turn in every round, for every batch size and every mode (eager or compiled, in each
dtype): STM-50, TSN-50, TSM-50 and TEA-50 with 8 frames, ECO-Full with 16, I3D-50 with 32. Shown
are videos per second (medians) and STM-50's speed over each (medians of the rounds' ratios), with
the target where there is one and * where it is missed. With --docs, JSON goes to figures/ and the
table of its page is made from it; --add keeps what the JSON has of other modes, batch sizes and
networks (a ratio is always of one run).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pages import put_table, save_json

from stmnet.memory import keep_freed_memory
from stmnet.profiling.bench import BenchedModel, Mode, Speed, Workload, bench, num_threads
from stmnet.profiling.machine import describe_machine

COMMAND = "python benchmarks/networks.py"
STM = BenchedModel("stm_resnet50", 8)
OTHERS = (
    BenchedModel("tsn_resnet50", 8),
    BenchedModel("tsm_resnet50", 8),
    BenchedModel("tea_res2net50", 8),
    BenchedModel("eco_full", 16),
    BenchedModel("i3d_resnet50", 32),
)
# At least this is STM's speed over theirs to be; over TSN's it depends on the mode.
TARGETS = {"tsm_resnet50": 0.95, "tea_res2net50": 1.5, "eco_full": 1.3, "i3d_resnet50": 6.0}
TARGETS_OVER_TSN = {
    ("cpu", "float32", False): 0.92,
    ("cpu", "bfloat16", False): 0.92,
    ("cpu", "float32", True): 0.95,
    ("cpu", "bfloat16", True): 0.90,
    ("cuda", "bfloat16", True): 0.95,
    ("cuda", "float16", True): 0.95,
}


@dataclass(frozen=True)
class Row:
    """A network in one mode at one batch size. `stm_over_it`: STM-50's speed over its own."""

    batch: int
    mode: Mode
    speed: Speed
    stm_over_it: float

    @property
    def target(self) -> float | None:
        mode = self.mode
        if self.speed.model == "tsn_resnet50":
            return TARGETS_OVER_TSN.get((mode.device, mode.dtype, mode.compiled))
        return TARGETS.get(self.speed.model)

    def to_json(self) -> dict[str, Any]:
        measured = asdict(self.speed)
        for name in ("ratio", "ratio_p10", "ratio_p90"):  # stm_over_it, the other way round
            del measured[name]
        rest = {"stm_over_it": self.stm_over_it, "target": self.target}
        return {"batch": self.batch} | asdict(self.mode) | measured | rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--run", nargs="+", choices=("eager", "compiled"), default=None)
    parser.add_argument("--models", nargs="+", help="beside STM-50; default: all of them")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", type=Path, help="write the JSON here, into figures/")
    parser.add_argument("--add", action="store_true", help="to the rows that the JSON has")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `stmnet` does

    others = [e for e in OTHERS if arguments.models is None or e.name in arguments.models]
    rows: list[Row] = []
    with num_threads(arguments.threads):
        facts = asdict(describe_machine(arguments.device)) | {
            "size": arguments.size,
            "rounds": arguments.rounds,
        }
        for run in arguments.run or ("eager", "compiled"):
            for dtype in arguments.dtype:
                mode = Mode(arguments.device, dtype, compiled=run == "compiled")
                for batch in arguments.batch:
                    workload = Workload(batch, arguments.size)
                    measured = measure(others, mode, workload, rounds=arguments.rounds)
                    print(in_lines(measured), end="\n\n", flush=True)
                    rows += measured
    if arguments.docs:
        path = arguments.docs / "figures" / f"networks_{arguments.device}.json"
        measured = {key_of(row): row for row in (row.to_json() for row in rows)}
        if arguments.add:
            known = json.loads(path.read_text(encoding="utf-8"))["rows"]
            measured = {key_of(row): row for row in known} | measured
        save_json(path, COMMAND, facts | {"rows": list(measured.values())})
        page = arguments.docs / "benchmarks" / "networks.md"
        if arguments.device == "cpu":
            put_table(page, "networks.py", as_table(list(measured.values())))


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells rows apart: how a network was run, and which."""
    return row["compiled"], row["dtype"], row["batch"], row["model"]


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """STM-50's speed over each network's, a mode and batch size a row."""
    modes = sorted({key_of(row)[:3] for row in rows}, key=lambda key: (key[0], key[2], key[1]))
    found = {key_of(row): row for row in rows}
    others = [entry for entry in OTHERS if any((*mode, entry.name) in found for mode in modes)]
    heads = ["videos/s", *(f"over {entry.name}, {entry.frames} frames" for entry in others)]
    lines = ["| STM-50 | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for mode in modes:
        compiled, dtype, batch = mode
        name = f"{'compiled' if compiled else 'eager'} {dtype}, batch {batch}"
        cells = [f"{found[*mode, STM.name]['videos_per_second']:.2f}"]
        cells += [as_cell(found.get((*mode, entry.name))) for entry in others]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def as_cell(row: Mapping[str, Any] | None) -> str:
    """The ratio, with * where it is below its target."""
    if row is None:
        return ""
    missed = row["target"] is not None and row["stm_over_it"] < row["target"]
    return f"{row['stm_over_it']:.2f}{' *' if missed else ''}"


def measure(
    others: Sequence[BenchedModel], mode: Mode, workload: Workload, *, rounds: int
) -> list[Row]:
    """STM-50 beside the others; it runs first."""
    speeds = bench([STM, *others], mode, workload, rounds=rounds).speeds
    return [Row(workload.batch, mode, speed, 1 / speed.ratio) for speed in speeds]


def in_lines(rows: Sequence[Row]) -> str:
    """One mode and batch size as a table for pages."""
    mode = rows[0].mode
    how = f"{'compiled' if mode.compiled else 'eager'} {mode.dtype}, batch {rows[0].batch}"
    lines = [f"| {how} | frames | videos/s | STM-50 over it | target |", "|---|---|---|---|---|"]
    for row in rows:
        target = "" if row.target is None else f">= {row.target:.2f}"
        missed = " *" if row.target is not None and row.stm_over_it < row.target else ""
        speed = row.speed
        lines.append(
            f"| {speed.model} | {speed.frames} | {speed.videos_per_second:.2f} "
            f"| {row.stm_over_it:.3f}{missed} | {target} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
