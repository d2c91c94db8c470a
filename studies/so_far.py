"""What tables can be made of while some of a study's runs are still to be done."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from studies.runs import Outcome, Run


def first_seeds(
    outcomes: Sequence[Outcome], planned: Sequence[Run], *, optional: Collection[str] = ()
) -> list[Outcome]:
    """Of each row's outcomes those of its first seeds, as far as they were done without a gap.

    So seeds of two rows can be compared by their place (`difference`). A row is all runs whose
    names differ in seed and fold alone ("room-stm", of "room-stm-fold0-seed1"); a seed is done when
    each of its folds is. Raises `SystemExit` where a row has no seed, unless it is `optional`.
    """
    done = {outcome.run.name for outcome in outcomes}
    rows: dict[str, dict[int, list[str]]] = {}
    for run in planned:
        row = re.sub(r"-(fold|seed)\d+", "", run.name)
        rows.setdefault(row, {}).setdefault(run.seed, []).append(run.name)
    counted: set[str] = set()
    missing: list[str] = []
    for row, by_seed in rows.items():
        for place, seed in enumerate(sorted(by_seed)):
            to_do = [name for name in by_seed[seed] if name not in done]
            if to_do:
                missing += to_do if place == 0 and row not in optional else []
                break
            counted.update(by_seed[seed])
    if missing:
        raise SystemExit(
            "too few runs: the tables want one seed of every row, and these are still to be "
            f"trained: {', '.join(missing)}."
        )
    return [outcome for outcome in outcomes if outcome.run.name in counted]
