"""Two processes against one: the same effective batch, the same data, three seeds each.

    python -m studies.two_processes [--only RUN ...] [--pages]

STM by the demo's recipe, on the demo's data: by `torchrun` with two processes of 8 clips a step,
and by one process of 16. Batch norms see 8 clips in a process where they see 16 in one, as usual
without SyncBN.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.pages import put_table

from stmnet.cli.generate import generate_with_progress
from stmnet.datasets.splits import read_split
from stmnet.motion.generate import SplitSizes
from stmnet.recognizer import Recognizer
from studies.motion import SEEDS, correct_by_scheme
from studies.runs import (
    ROOT,
    Answers,
    Outcome,
    Run,
    answers_to,
    finish_all,
    record,
    recorded,
    study_parser,
    where_and_when,
)
from studies.so_far import first_seeds
from studies.tables import cell, difference, each_seed, table

NAME = "two_processes"
COMMAND = "python -m studies.two_processes"


def data_root(work: Path) -> Path:
    """Where the demo's clips lie, made once more."""
    return work / "motion_of_the_demo"


def planned_runs(work: Path) -> list[Run]:
    """One process and two for every seed."""
    return [
        Run(
            f"stm-processes_{processes}-seed{seed}",
            "recipes/motion_stm.yaml",
            ("--data.root", str(data_root(work))),
            seed,
            processes,
        )
        for seed in SEEDS
        for processes in (1, 2)
    ]


def test_on_demo(run: Run, recognizer: Recognizer, work: Path) -> Answers:
    """The answers on the demo's test clips."""
    return {"ordered": answers_to(recognizer, read_split("motion", data_root(work), "test"))}


def test_clips(work: Path) -> dict[str, list[Any]]:
    """The columns of the test list."""
    return {"label": [clip.label for clip in read_split("motion", data_root(work), "test").clips]}


def processes_table(clips: dict[str, list[Any]], outcomes: Sequence[Outcome]) -> str:
    """Both, each seed, and the difference."""
    correct = correct_by_scheme(outcomes, clips)
    one, two = correct["stm-processes_1"], correct["stm-processes_2"]
    rows = [
        ["1 process", cell(one), each_seed(one)],
        ["2 processes", cell(two), each_seed(two)],
        ["*difference*", cell(difference(two, one), signed=True), ""],
    ]
    return table(["STM", "top-1", "each seed"], rows)


def main() -> None:
    arguments = study_parser(__doc__).parse_args()
    work = arguments.work
    planned = planned_runs(work)
    if arguments.pages:
        clips, outcomes = recorded(NAME)
    else:
        generate_with_progress(data_root(work), seed=0, clips_per_class=SplitSizes())
        test = partial(test_on_demo, work=work)
        outcomes = finish_all(planned, work, test, only=arguments.only, so_far=arguments.so_far)
        if arguments.only:
            return
        clips = test_clips(work)
    shown = first_seeds(outcomes, planned)
    text = f"{processes_table(clips, shown)}\n{where_and_when(shown, planned)}"
    if not arguments.pages:
        record(NAME, COMMAND, clips, outcomes)
    put_table(ROOT / "docs" / "studies" / "two_processes.md", "studies.two_processes", text)


if __name__ == "__main__":
    main()
