"""Twins Training on little data: STM, TSM and TSN, plain and with it, over three seeds.

    python -m studies.twins [--only RUN ...] [--pages]

The data are 40 clips a class of the motion set, the test is on 50 a class (center view, weights of
the last epoch). Beside Twins Training stand plain training of as many epochs, and of twice as many:
as many forward passes. Of lambda there is a small sweep for STM; lambda 0 is two views a clip
without the correlation loss. Everything is fixed beforehand in `studies/motion.py`: the learning
rate and the epochs were chosen for plain STM on clips of another seed, for what two cores can do.
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
from studies.so_far import first_seeds
from studies.tables import cell, difference, each_seed, table

NAME = "twins"
COMMAND = "python -m studies.twins"
NETWORKS = ("stm", "tsm", "tsn")
TWINS = ("--twins.enabled", "true")
# The paper's are 0.01 (in the rows called "twins") and, for beta, 0.0039: both are the defaults.
OTHER_LAMBDAS = ("0", "0.1")


def planned_runs(work: Path) -> list[Run]:
    """All runs; those of the first seed first, so that a study that is cut short has all rows."""
    runs = []
    for seed in SEEDS:
        for network in NETWORKS:
            make = partial(motion_run, network, seed=seed, work=work)
            runs += [
                make("plain"),
                make("plain_twice", epochs=2 * EPOCHS),
                make("twins", more=TWINS),
            ]
        runs += [
            motion_run(
                *("stm", f"lambda_{weight}", seed, work),
                more=(*TWINS, "--twins.correlation_weight", weight),
            )
            for weight in OTHER_LAMBDAS
        ]
    return runs


def schemes_table(clips: dict[str, list[Any]], outcomes: Sequence[Outcome]) -> str:
    """Plain, twice the epochs and Twins for every network, and what Twins changes."""
    correct = correct_by_scheme(outcomes, clips)
    rows = []
    for network in NETWORKS:
        plain, twice, twins = (
            correct[f"{network}-{scheme}"] for scheme in ("plain", "plain_twice", "twins")
        )
        rows += [
            [network.upper(), f"plain, {EPOCHS} epochs", cell(plain), each_seed(plain), ""],
            ["", f"plain, {2 * EPOCHS} epochs", cell(twice), each_seed(twice), ""],
            ["", f"Twins, {EPOCHS} epochs", cell(twins), each_seed(twins), ""],
            [
                "",
                "*Twins − plain, equal epochs*",
                "",
                "",
                cell(difference(twins, plain), signed=True),
            ],
            [
                "",
                "*Twins − plain, equal passes*",
                "",
                "",
                cell(difference(twins, twice), signed=True),
            ],
        ]
    return table(["", "", "top-1", "each seed", "difference"], rows)


def lambda_table(clips: dict[str, list[Any]], outcomes: Sequence[Outcome]) -> str:
    """STM by lambda, with what each value that was run changes over lambda 0."""
    correct = correct_by_scheme(outcomes, clips)
    found = {weight: correct.get(f"stm-lambda_{weight}") for weight in OTHER_LAMBDAS}
    found["0.01 (the paper's)"] = correct["stm-twins"]
    two_views = found["0"]
    rows = []
    for weight, right in sorted(found.items()):
        if right is None:
            rows.append([weight, "not run", "", ""])
            continue
        change = ""
        if weight != "0" and two_views is not None:
            change = cell(difference(right, two_views), signed=True)
        rows.append([weight, cell(right), each_seed(right), change])
    return table(["lambda", "top-1", "each seed", "difference to lambda 0"], rows)


def main() -> None:
    arguments = study_parser(__doc__).parse_args()
    work = arguments.work
    planned = planned_runs(work)
    if arguments.pages:
        clips, outcomes = recorded(NAME)
    else:
        generate(work)
        test = partial(test_on_motion, work=work)
        outcomes = finish_all(planned, work, test, only=arguments.only, so_far=arguments.so_far)
        if arguments.only:
            return
        clips = test_clips(work)
    shown = first_seeds(
        outcomes, planned, optional=[f"stm-lambda_{weight}" for weight in OTHER_LAMBDAS]
    )
    schemes = f"{schemes_table(clips, shown)}\n{where_and_when(shown, planned)}"
    lambdas = lambda_table(clips, shown)
    if not arguments.pages:
        record(NAME, COMMAND, clips, outcomes)
    page = ROOT / "docs" / "studies" / "twins.md"
    put_table(page, "studies.twins", schemes)
    put_table(page, "studies.twins lambda", lambdas)


if __name__ == "__main__":
    main()
