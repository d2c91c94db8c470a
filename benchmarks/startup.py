"""How long `stmnet predict` takes on one sample, over `python -c "import torch"`.

    python benchmarks/startup.py [--rounds 7] [--docs docs]

Each round starts both, one after the other, in processes of their own, and waits for them to end;
the first round warms up the system's file cache and does not count. Shown are medians of the wall
time, of the CPU time (user and system), and of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pages import put_table, save_json

from stmnet.files import packaged_file

COMMAND = "python benchmarks/startup.py"
AIM = 1.6
"""At most so many times the wall time of importing torch."""

IMPORT_TORCH = (sys.executable, "-c", "import torch")
PREDICT = (
    *(sys.executable, "-m", "stmnet", "predict"),
    str(packaged_file("samples/closing_something.mp4")),
)


class Seconds(NamedTuple):
    """Of one process, from its start to its end."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--docs", type=Path, help="write the JSON and the table here")
    arguments = parser.parse_args()

    content = measure({"import torch": IMPORT_TORCH, "stmnet predict": PREDICT}, arguments.rounds)
    table = as_table(content)
    print(table)
    if arguments.docs:
        save_json(arguments.docs / "figures" / "startup.json", COMMAND, content)
        put_table(arguments.docs / "benchmarks" / "startup.md", "startup.py", table)
    else:
        print(json.dumps(content))


def measure(commands: dict[str, Sequence[str]], rounds: int) -> dict[str, Any]:
    """Medians of two commands, and of the second one's ratios to the first."""
    spent: dict[str, list[Seconds]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            seconds = run(command)
            if number > 0:
                spent[name].append(seconds)
    first, second = spent.values()
    return {
        "rounds": rounds,
        "aim": AIM,
        "wall_ratio": statistics.median(
            b.wall / a.wall for a, b in zip(first, second, strict=True)
        ),
        "cpu_ratio": statistics.median(b.cpu / a.cpu for a, b in zip(first, second, strict=True)),
        "seconds": {
            name: {
                "wall": statistics.median(seconds.wall for seconds in each),
                "cpu": statistics.median(seconds.cpu for seconds in each),
            }
            for name, each in spent.items()
        },
    }


def run(command: Sequence[str]) -> Seconds:
    """Start a process and wait for its end. Raises `CalledProcessError` where it fails."""
    start, before = time.perf_counter(), children_cpu_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Seconds(time.perf_counter() - start, children_cpu_seconds() - before)


def children_cpu_seconds() -> float:
    """User and system time of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def as_table(content: dict[str, Any]) -> str:
    """A row for each command, and one for the ratio, with the aim beside it."""
    lines = ["| | wall time | CPU time |", "|---|---|---|"]
    for name, seconds in content["seconds"].items():
        lines.append(f"| `{name}` | {seconds['wall']:.2f} s | {seconds['cpu']:.2f} s |")
    lines.append(
        f"| ratio (aim: at most {AIM}) | {content['wall_ratio']:.2f} | {content['cpu_ratio']:.2f} |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
