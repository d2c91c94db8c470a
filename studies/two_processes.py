"""Two processes against one: the same effective batch, the same data, three seeds each.

    python -m studies.two_processes [--only RUN ...] [--pages]

STM on the little data of `studies/motion.py`, by `torchrun` with two processes of 8 clips a step
and by one process of 16. The runs of one process are those of `studies.twins` with twice the
epochs, if these were made: after ten epochs the seeds are too far apart to compare anything by.
Batch norms see 8 clips in a process where they see 16 in one, as usual without SyncBN.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.pages import put_table

from studies.motion import (
    EPOCHS,
    SEEDS,
    correct_by_scheme,
    generate,
    motion_run,
    test_clips,
    test_on_motion,
)
from studies.runs import (
    ROOT,
    Outcome,
    Run,
    finish_all,
    record,
    recorded,
    study_parser,
    where_and_when,
)
from studies.tables import cell, each_seed, table

NAME = "two_processes"
COMMAND = "python -m studies.two_processes"


def planned_runs(work: Path) -> list[Run]:
    """One process and two for every seed."""
    return [
        run
        for seed in SEEDS
        for run in (
            motion_run("stm", "plain_twice", seed, work, epochs=2 * EPOCHS),
            motion_run("stm", "two_processes", seed, work, epochs=2 * EPOCHS, processes=2),
        )
    ]


def processes_table(clips: dict[str, list[Any]], outcomes: Sequence[Outcome]) -> str:
    """Both, each seed, and the difference."""
    correct = correct_by_scheme(outcomes, clips)
    one, two = correct["stm-plain_twice"], correct["stm-two_processes"]
    rows = [
        ["1 process", cell(one), each_seed(one)],
        ["2 processes", cell(two), each_seed(two)],
        ["*difference*", cell(two - one, signed=True), ""],
    ]
    return table(["STM", "top-1", "each seed"], rows)


def main() -> None:
    arguments = study_parser(__doc__).parse_args()
    work = arguments.work
    if not arguments.pages:
        generate(work)
        test = partial(test_on_motion, work=work)
        outcomes = finish_all(
            planned_runs(work), work, test, only=arguments.only, so_far=arguments.so_far
        )
        if arguments.only:
            return
        record(NAME, COMMAND, test_clips(work), outcomes)
    clips, outcomes = recorded(NAME)
    text = f"{processes_table(clips, outcomes)}\n{where_and_when(outcomes, planned_runs(work))}"
    put_table(ROOT / "docs" / "studies.md", "studies.two_processes", text)


if __name__ == "__main__":
    main()
