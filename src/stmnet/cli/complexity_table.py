"""What `stmnet complexity` shows on a terminal, and its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stmnet.errors import UnknownModelError
from stmnet.models.zoo import list_models
from stmnet.profiling.complexity import MACS_RULE, MEMORY_RULE, Complexity, measure
from stmnet.profiling.paper_costs import UNITS, Compared, ComparedCost, compare


@dataclass(frozen=True)
class Told:
    """An answer, for people and for programs."""

    table: RenderableType
    json: dict[str, Any]


def count_in_words(
    name: str | None,
    *,
    num_classes: int | None = None,
    num_frames: int | None = None,
    size: int | None = None,
    options: Sequence[str] | None = None,
    depth: int | None = None,
) -> Told:
    """The cost of the network `name`; None is the default. `options` are words NAME=VALUE.

    `depth`: the parts are told, too, down to it; 1 is the stages, 2 the blocks.
    """
    if name is None:
        raise UnknownModelError(
            f"complexity of what? Name a network or give --table 4 or 10. Known: "
            f"{', '.join(list_models())}."
        )
    asked: dict[str, Any] = {
        "num_classes": 174 if num_classes is None else num_classes,
        "num_frames": 8 if num_frames is None else num_frames,
        "size": 224 if size is None else size,
        "options": parse_options(options or ()),
    }
    cost = measure(name, **asked)
    return Told(
        cost_as_table(cost, depth=depth or 0),
        cost_as_json(cost, depth=depth or 0, model=name, **asked),
    )


def paper_in_words(table: int, *, given: Sequence[str] = ()) -> Told:
    """The paper's table beside our counts. `given`: options that mean nothing to it, an error."""
    if given:
        raise UnknownModelError(
            f"--table {table} counts the paper's own networks and clips. "
            f"Leave out {', '.join(name.replace('_', '-') for name in given)}."
        )
    rows = compare(table)
    plain = {"table": table, "rows": [row.to_json() for row in rows], "macs_rule": MACS_RULE}
    return Told(comparison_as_table(rows), plain)


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """From `--option` words, as `modules=cstm` or `stages=[2,3]`, to a network's options."""
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UnknownModelError(f"--option {word}: no value. Write NAME=VALUE.")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as e:
            raise UnknownModelError(f"--option {word}: the value cannot be read.") from e
    return options


def cost_as_table(cost: Complexity, *, depth: int) -> RenderableType:
    """The three numbers, their rules and, with a `depth`, the parts down to it."""
    numbers = Table.grid(padding=(0, 2))
    numbers.add_row("parameters", f"{cost.parameters:,}")
    numbers.add_row("MACs", f"{cost.macs:,}", f"{cost.macs / UNITS['G']:.2f} G")
    peak = cost.peak_activation_bytes
    numbers.add_row("peak memory", f"{peak:,}", f"{peak / 2**20:.1f} MiB")
    free = ", ".join(name.removeprefix("aten.") for name in cost.free_operators)
    rules = [Text(line) for line in (MACS_RULE, f"counted zero: {free}", MEMORY_RULE)]
    parts: list[RenderableType] = [parts_as_table(cost, depth), Text()] if depth else []
    return Group(*parts, numbers, Text(), *rules)


def parts_as_table(cost: Complexity, depth: int) -> Table:
    """A row a part of the network with parameters or MACs."""
    table = _table("part", "kind", right=("parameters", "MACs", "of all"))
    for part in cost.modules:
        level = part.name.count(".")
        if level < depth and (part.parameters or part.macs):
            share = part.macs / cost.macs if cost.macs else 0
            row = ("  " * level + part.name, part.kind, f"{part.parameters:,}", f"{part.macs:,}")
            table.add_row(*row, f"{share:.1%}")
    return table


def comparison_as_table(rows: Sequence[ComparedCost]) -> RenderableType:
    """The paper's table: paper | ours | difference; red where the printed digits are missed."""
    headings = ("FLOPs: paper", "ours", "difference", "parameters: paper", "ours", "difference")
    table = _table("row", right=headings)
    table.add_column("remark")
    for row in rows:
        figures = [*_compared(row.macs), *(_compared(row.parameters) if row.parameters else "---")]
        table.add_row(row.cost.row, *figures, row.cost.remark)
    return Group(table, Text(), Text(MACS_RULE))


def cost_as_json(cost: Complexity, *, depth: int, **asked: Any) -> dict[str, Any]:
    """What was asked for and what it costs; the parts where a `depth` is given."""
    plain = asdict(cost)
    modules = [part for part in plain.pop("modules") if part["name"].count(".") < depth]
    rules = {"macs_rule": MACS_RULE, "memory_rule": MEMORY_RULE}
    return asked | plain | rules | ({"modules": modules} if depth else {})


def _compared(figure: Compared) -> tuple[Text, Text, Text]:
    paper = figure.paper
    style = "" if paper.agrees_with(figure.ours) else "red"
    return (
        Text(paper.printed),
        Text(f"{figure.ours / UNITS[paper.unit]:.2f}{paper.unit}", style=style),
        Text(f"{paper.difference(figure.ours):+.2%}", style=style),
    )


def _table(*left: str, right: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table
