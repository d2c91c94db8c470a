"""`stmnet complexity`: parameters, MACs and memory of networks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING, Any

from stmnet.cli.arguments import Verbs, add_verb, positive_int
from stmnet.cli.printing import print_json, print_table
from stmnet.errors import StmnetError, UnknownModelError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from stmnet.profiling.complexity import Complexity
    from stmnet.profiling.paper_costs import Compared, ComparedCost

MAX_WIDTH = 100
"""Of a table with its notes: a page's, and most terminals'."""


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "complexity",
        run,
        "Count parameters, MACs and memory of a network.",
        examples=(
            "stmnet complexity stm_resnet50",
            "stmnet complexity stm_resnet50 --modules 1 --frames 16   # by stage",
            "stmnet complexity stm_resnet50 --option modules=cstm --json",
            "stmnet complexity --table 4   # the paper's figures and what is counted",
        ),
    )
    verb.add_argument("model", nargs="?", metavar="MODEL", help="a name, as stm_resnet50")
    verb.add_argument(
        "--table",
        type=int,
        choices=(4, 10),
        help="a table of the paper, beside what is counted here",
    )
    verb.add_argument(
        "--num-classes", type=positive_int, metavar="K", help="number of classes (default 174)"
    )
    verb.add_argument(
        "--frames", type=positive_int, metavar="T", help="frames of a clip (default 8)"
    )
    verb.add_argument(
        "--size",
        type=positive_int,
        metavar="PIXELS",
        help="height and width of a frame (default 224)",
    )
    verb.add_argument(
        "--option",
        action="append",
        metavar="NAME=VALUE",
        help="option of the network, as modules=cstm",
    )
    verb.add_argument(
        "--modules",
        type=positive_int,
        nargs="?",
        const=2,
        metavar="DEPTH",
        help="cost of its parts down to DEPTH: 1 is the stages, 2 the blocks (default 2)",
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """`stmnet complexity MODEL`, or `--table N`: a table, or one JSON object."""
    plain, table = compare_with_paper(arguments) if arguments.table else cost_of_network(arguments)
    if arguments.json:
        print_json(plain)
    else:
        print_table(table)
    return 0


def cost_of_network(arguments: argparse.Namespace) -> tuple[dict[str, Any], RenderableType]:
    """The cost of one network, for programs and for people."""
    if arguments.model is None:
        from stmnet.models.zoo import list_models

        raise StmnetError(
            f"MODEL is not given. Name a network or give --table 4 or 10. Known: "
            f"{', '.join(list_models())}."
        )
    options = parse_options(arguments.option or ())

    from stmnet.profiling.complexity import NUM_CLASSES, NUM_FRAMES, SIZE, measure

    asked: dict[str, Any] = {
        "num_classes": arguments.num_classes or NUM_CLASSES,
        "num_frames": arguments.frames or NUM_FRAMES,
        "size": arguments.size or SIZE,
        "options": options,
    }
    cost = measure(arguments.model, **asked)
    depth = arguments.modules or 0
    plain = cost_as_json(cost, depth=depth, model=arguments.model, **asked)
    return plain, render_cost(cost, depth=depth)


def compare_with_paper(arguments: argparse.Namespace) -> tuple[dict[str, Any], RenderableType]:
    """One of the paper's tables beside what is counted here, for programs and for people."""
    names = ("model", "num_classes", "frames", "size", "option", "modules")
    if given := [name for name in names if getattr(arguments, name) is not None]:
        raise StmnetError(
            f"--table {arguments.table} counts the paper's own networks and clips. "
            f"Leave out {', '.join(name.replace('_', '-') for name in given)}."
        )

    from stmnet.profiling.paper_costs import compare

    rows = compare(arguments.table)
    return comparison_as_json(arguments.table, rows), render_comparison(rows)


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """From `--option` words, as `modules=cstm` or `stages=[2,3]`, to a network's options."""
    import yaml

    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UnknownModelError(f"--option {word}: no value. Write NAME=VALUE.")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as e:
            raise UnknownModelError(
                f"--option {word}: the value is not YAML. Quote it, as in NAME='[2, 3]'."
            ) from e
    return options


def render_cost(cost: Complexity, *, depth: int) -> RenderableType:
    """The three numbers, their rules and, with a `depth`, the parts down to it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from stmnet.profiling.complexity import MACS_RULE, MEMORY_RULE
    from stmnet.profiling.paper_costs import UNITS

    numbers = Table.grid(padding=(0, 2))
    numbers.add_row("parameters", f"{cost.parameters:,}")
    numbers.add_row("MACs", f"{cost.macs:,}", f"{cost.macs / UNITS['G']:.2f} G")
    peak = cost.peak_activation_bytes
    numbers.add_row("peak memory", f"{peak:,}", f"{peak / 2**20:.1f} MiB")
    free = ", ".join(name.removeprefix("aten.") for name in cost.free_operators)
    rules = _wrapped(MACS_RULE, f"counted zero: {free}", MEMORY_RULE)
    parts: list[RenderableType] = [render_parts(cost, depth), Text()] if depth else []
    return Group(*parts, numbers, Text(), rules)


def render_parts(cost: Complexity, depth: int) -> Table:
    """A row a part of the network with parameters or MACs."""
    table = _table("part", "kind", right=("parameters", "MACs", "of all"))
    for part in cost.modules:
        level = part.name.count(".")
        if level < depth and (part.parameters or part.macs):
            share = part.macs / cost.macs if cost.macs else 0
            row = ("  " * level + part.name, part.kind, f"{part.parameters:,}", f"{part.macs:,}")
            table.add_row(*row, f"{share:.1%}")
    return table


def render_comparison(rows: Sequence[ComparedCost]) -> RenderableType:
    """The paper's table: paper | ours | difference; red where the printed digits are missed.

    What a row's remark says stands below, under the number that the row has.
    """
    from rich.console import Group
    from rich.text import Text

    from stmnet.profiling.complexity import MACS_RULE

    remarks = list(dict.fromkeys(row.cost.remark for row in rows if row.cost.remark))
    headings = ("FLOPs: paper", "ours", "difference", "params: paper", "ours", "difference")
    table = _table("row", right=headings)
    table.add_column("note", no_wrap=True)
    for row in rows:
        figures = [*_compared(row.macs), *(_compared(row.parameters) if row.parameters else "---")]
        remark = row.cost.remark
        note = f"({remarks.index(remark) + 1})" if remark else ""
        table.add_row(row.cost.row, *figures, note)
    notes = (f"({number}) {remark}" for number, remark in enumerate(remarks, start=1))
    return Group(table, Text(), _wrapped(*notes, MACS_RULE))


def comparison_as_json(table: int, rows: Sequence[ComparedCost]) -> dict[str, Any]:
    """The paper's table with what is counted here, row by row."""
    from stmnet.profiling.complexity import MACS_RULE

    return {"table": table, "rows": [row.to_json() for row in rows], "macs_rule": MACS_RULE}


def cost_as_json(cost: Complexity, *, depth: int, **asked: Any) -> dict[str, Any]:
    """What was asked for and what it costs; the parts where a `depth` is given."""
    from stmnet.profiling.complexity import MACS_RULE, MEMORY_RULE

    plain = asdict(cost)
    modules = [part for part in plain.pop("modules") if part["name"].count(".") < depth]
    rules = {"macs_rule": MACS_RULE, "memory_rule": MEMORY_RULE}
    return asked | plain | rules | ({"modules": modules} if depth else {})


def _compared(figure: Compared) -> tuple[Text, Text, Text]:
    from rich.text import Text

    from stmnet.profiling.paper_costs import UNITS

    paper = figure.paper
    style = "" if paper.agrees_with(figure.ours) else "red"
    return (
        Text(paper.printed),
        Text(f"{figure.ours / UNITS[paper.unit]:.2f}{paper.unit}", style=style),
        Text(f"{paper.difference(figure.ours):+.2%}", style=style),
    )


def _wrapped(*lines: str) -> RenderableType:
    """Sentences of any length, no wider than a page."""
    from rich.text import Text

    return Text("\n".join(fill(line, MAX_WIDTH) for line in lines))


def _table(*left: str, right: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table
