"""Count what the published recipes cost, and write the tables of docs/paper/recipes.md.

    python scripts/recipes_table.py

The GPU hours go into each header's line `Cost`; rows, commands, targets and hours into the page.
With `--check` nothing is written, and the exit code is 1 where something would change.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from stmnet.datasets.splits import dataset_named
from stmnet.profiling.complexity import measure
from stmnet.runs.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "paper" / "recipes.md"

SUSTAINED_FLOPS = 10e12
"""Assumed, not measured: what one GPU computes in a second, over a whole training run."""

OPERATIONS_PER_MAC = 2
# The forward pass, and backwards the gradients of the inputs and of the weights.
PASSES = 3


@dataclass(frozen=True)
class Published:
    """A recipe of the paper's rows. `lines` are those of its header, by their names."""

    path: Path
    text: str
    recipe: Recipe
    lines: dict[str, list[str]]

    @cached_property
    def gpu_hours(self) -> float:
        """What the training costs, by the rule."""
        return gpu_hours(self.recipe)

    @property
    def text_with_cost(self) -> str:
        """The file's text, with the hours that were counted now."""
        hours = format_hours(self.gpu_hours)
        cost = f"# Cost:   {hours} GPU hours by arithmetic (docs/paper/recipes.md)"
        return re.sub(r"^# Cost: .*$", cost, self.text, count=1, flags=re.MULTILINE)


def main(arguments: Sequence[str]) -> int:
    """Write or check headers and page."""
    only_check = "--check" in arguments
    published = [read(path) for path in sorted((ROOT / "recipes").glob("table*/*.yaml"))]
    wanted = {recipe.path: recipe.text_with_cost for recipe in published}
    wanted[PAGE] = page_with_tables(PAGE.read_text(encoding="utf-8"), published)
    stale = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        if only_check:
            print(f"{path}: not as `python scripts/recipes_table.py` writes it")
        else:
            path.write_text(wanted[path], encoding="utf-8")
            print(f"wrote {path}")
    return int(only_check and bool(stale))


def read(path: Path) -> Published:
    """Read a recipe with its header."""
    text = path.read_text(encoding="utf-8")
    lines = defaultdict(list)
    for name, value in re.findall(r"^# (\w+): +(.*)$", text, re.MULTILINE):
        lines[name].append(value)
    return Published(path, text, load_recipe(path), lines)


def gpu_hours(recipe: Recipe) -> float:
    """The arithmetic: every training clip, in every epoch, forwards and backwards."""
    num_clips = dataset_named(recipe.data.dataset).published["train"]
    assert num_clips is not None
    num_views = 2 if recipe.twins.enabled else 1
    model = asdict(replace(recipe.model, pretrained=None))
    num_passes = num_clips * recipe.optimizer.epochs * num_views
    operations = num_passes * PASSES * OPERATIONS_PER_MAC * macs_of(json.dumps(model))
    return operations / SUSTAINED_FLOPS / 3600


@cache
def macs_of(model: str) -> int:
    """The multiply-adds for one clip of 224x224. JSON, for options may be lists."""
    described = json.loads(model)
    del described["pretrained"]
    return measure(described.pop("name"), **described).macs


def format_hours(hours: float) -> str:
    """Hours with two digits or more."""
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}"


def page_with_tables(page: str, published: list[Published]) -> str:
    """The page's text, with what stands between the marks of each table made anew."""
    rows: dict[str, list[tuple[str, Published]]] = defaultdict(list)
    for recipe in published:
        for row in recipe.lines["Row"]:
            table, _, name = row.partition(", ")
            rows[table].append((name, recipe))
    for table, entries in rows.items():
        mark = table.lower()
        page, num_found = re.subn(
            rf"(<!-- {mark} -->\n).*?(<!-- {mark}: end -->\n)",
            lambda found, entries=entries: found[1] + "\n" + as_table(entries) + "\n" + found[2],
            page,
            flags=re.DOTALL,
        )
        if num_found != 1:
            raise SystemExit(f"{PAGE}: no marks for {table} there")
    return page


def as_table(entries: list[tuple[str, Published]]) -> str:
    """One line a row of the paper; the three splits of a row share one."""
    by_row: dict[str, list[Published]] = defaultdict(list)
    for name, recipe in entries:
        by_row[re.sub(r", split \d$", "", name)].append(recipe)
    lines = ["| row | command | target | GPU hours |", "|---|---|---|---|"]
    for name, recipes in sorted(by_row.items(), key=in_order):
        commands = "<br>".join(f"`{recipe.lines['Train'][0]}`" for recipe in recipes)
        hours = format_hours(sum(recipe.gpu_hours for recipe in recipes))
        lines.append(f"| {name} | {commands} | {recipes[0].lines['Target'][0]} | {hours} |")
    return "\n".join(lines) + "\n"


def in_order(entry: tuple[str, list[Published]]) -> tuple[str, int, str]:
    """By data set, frames and accuracy, as the paper's tables go."""
    _, (first, *_) = entry
    return first.recipe.data.dataset, first.recipe.model.num_frames, first.lines["Target"][0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
