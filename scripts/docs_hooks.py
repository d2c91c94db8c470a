"""What mkdocs fills into pages while it builds them, so that no page can be stale.

A line `<!-- generated: ... -->` becomes every verb's `--help`, an entry for each public name, or a
table of the modules. In the tables of a recipe's keys, type and default come from the dataclasses.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

import stmnet
from stmnet import errors
from stmnet.cli.main import make_parser
from stmnet.runs.recipe import Recipe

ROOT = Path(__file__).parents[1]
COMMANDS = "<!-- generated: commands -->"
MODULES = "<!-- generated: modules -->"
PUBLIC_NAMES = "<!-- generated: public names -->"
ERRORS = "<!-- generated: errors -->"
KEY_ROW = re.compile(r"^\| `([\w.]+)` \| (.*) \|$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Mkdocs calls this with the text of every page."""
    if page.file.src_uri == "reference/cli.md":
        return markdown.replace(COMMANDS, commands())
    if page.file.src_uri == "reference/recipe_keys.md":
        return with_types(markdown)
    for mark, text in ((MODULES, modules), (PUBLIC_NAMES, public_names), (ERRORS, error_names)):
        if mark in markdown:
            markdown = markdown.replace(mark, text())
    return markdown


def public_names() -> str:
    """What mkdocstrings reads: an entry for each name of `stmnet.__all__`."""
    paths = [f"{getattr(stmnet, name).__module__}.{name}" for name in stmnet.__all__]
    return "\n\n".join(f"::: {path}" for path in paths)


def error_names() -> str:
    """The same for every error that a user can mend."""
    names = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.StmnetError)
    ]
    options = "    options:\n      heading_level: 3"
    return "\n\n".join(f"::: stmnet.errors.{name}\n{options}" for name in names)


def modules() -> str:
    """A row a file: the first sentence of its docstring."""
    rows = ["| file | |", "|---|---|"]
    source = ROOT / "src" / "stmnet"
    for path in sorted(source.rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if text:
            first = " ".join(text.partition("\n\n")[0].split())
            rows.append(f"| `{path.relative_to(source)}` | {first.replace('|', '&#124;')} |")
    return "\n".join(rows)


def commands() -> str:
    """A section a verb: its help, word by word, as in a terminal of 78 columns."""
    os.environ["COLUMNS"] = "78"
    sections = [
        f"## {name}\n\n```text\n{parser.format_help().rstrip()}\n```"
        for name, parser in verbs().items()
    ]
    return "\n\n".join(sections)


def verbs() -> dict[str, argparse.ArgumentParser]:
    """The parsers of all verbs, in the order of `stmnet --help`."""
    (action,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(action.choices)


def with_types(markdown: str) -> str:
    """Tables `key | meaning` become `key | default | type | meaning`."""
    known = dict(keys(Recipe))

    def completed(row: re.Match[str]) -> str:
        type_, default = known[row[1]]
        return f"| `{row[1]}` | `{default}` | {type_} | {row[2]} |"

    markdown = markdown.replace(
        "| key | meaning |\n|---|---|", "| key | default | type | meaning |\n|---|---|---|---|"
    )
    return KEY_ROW.sub(completed, markdown)


def keys(section: type, prefix: str = "") -> list[tuple[str, tuple[str, str]]]:
    """Every key with its type and default as they are written in YAML."""
    found = []
    hints = get_type_hints(section)
    for field in fields(section):
        name, hint = f"{prefix}{field.name}", hints[field.name]
        if is_dataclass(hint):
            found += keys(hint, f"{name}.")  # type: ignore[arg-type]
        else:
            made = field.default_factory
            default = field.default if made is MISSING else made()
            found.append((name, (format_type(hint), in_yaml(default))))
    return found


def format_type(hint: Any) -> str:
    """`Literal["a", "b"]` -> "`a`, `b`"; `int | None` -> "int or null"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if type(None) in arguments:
        others = [format_type(each) for each in arguments if each is not type(None)]
        return f"{', '.join(others)}; or null"
    if origin is Literal:
        return ", ".join(f"`{in_yaml(choice)}`" for choice in arguments)
    if arguments:
        inner = ", ".join(map(format_type, arguments))
        return inner if origin in (Union, UnionType) else f"{origin.__name__} of {inner}"
    for base in (bool, int, float, str):
        if issubclass(hint, base):
            return base.__name__ + range_of(hint)
    raise TypeError(f"{hint}: say here what to call it")


def range_of(number: type) -> str:
    """The range of a type of numbers, which it says where it is given -1, after a comma."""
    try:
        number(-1)
    except ValueError as error:
        allowed = str(error).partition("; it must be ")[2].rstrip(".")
        return f", {allowed}" if allowed else ""
    return ""


def in_yaml(value: object) -> str:
    """One line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=200)
    return text.removesuffix("...\n").strip()
