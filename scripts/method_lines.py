"""Write into docs/paper/method.md at which lines the names stand that it points at.

    python scripts/method_lines.py

A reference is a file and a name, `src/stmnet/models/stm.py:27` `ChannelwiseTemporalConv`, or a
class's attribute, `STMOptions.fusion`; the number is what this script writes. With `--check`
nothing is written, and the exit code is 1 where a number is missing or not right.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "paper" / "method.md"
REFERENCE = re.compile(r"`(?P<file>src/[^`:]+\.py)(?P<line>:\d+)?` `(?P<name>[\w.]+)`")


def with_lines(text: str) -> str:
    """The page with the number of every reference as the sources have it now."""
    return REFERENCE.sub(_with_line, text)


def _with_line(reference: re.Match[str]) -> str:
    file, name = reference["file"], reference["name"]
    return f"`{file}:{line_of(ROOT / file, name)}` `{name}`"


def line_of(path: Path, name: str) -> int:
    """Where a name of a module, or of a class in it, is defined: counted from 1.

    Raises `SystemExit` where it is not.
    """
    scope: Iterable[ast.AST] = _parsed(path).body
    line = 0
    for part in name.split("."):
        found = [node for node in scope if part in _defined_by(node)]
        if not found:
            raise SystemExit(f"{PAGE}: {path.relative_to(ROOT)} has no {name}.")
        line = found[0].lineno
        scope = getattr(found[0], "body", [])
    return line


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _defined_by(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    new = with_lines(text)
    if "--check" in sys.argv[1:]:
        sys.exit(int(new != text))
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
