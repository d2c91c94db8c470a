"""Imports run one way: a room may use only the rooms listed beside it (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "stmnet"

# A room is a folder or a file directly under stmnet/.
ALLOWED = {
    "__init__": {"models", "recognizer", "video"},
    "errors": set(),
    "files": set(),
    "memory": set(),
    "printing": set(),
    "shipped": set(),
    "video": {"errors", "files"},
    "data": {"errors", "files", "memory", "video"},
    "models": {"errors", "files"},
    "bench": {"__init__", "errors", "models"},
    "recognizer": {"data", "errors", "files", "models", "shipped", "video"},
    "evaluation": {"__init__", "data", "errors", "files", "models", "recognizer", "video"},
    "training": {"data", "errors", "evaluation", "files", "models", "recognizer"},
    "demo": {"data", "errors", "evaluation", "recognizer", "shipped", "training"},
    "__main__": {"cli"},
    "cli": {
        "__init__", "bench", "data", "demo", "errors", "evaluation", "memory", "models",
        "printing", "recognizer", "shipped", "training", "video",
    },
}  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            # `from stmnet import x` names a room, or something of stmnet/__init__.py
            rooms_or_names = [alias.name for alias in node.names]
            if module == "stmnet":
                modules = [
                    f"stmnet.{name}" if name in ALLOWED else "stmnet.__init__"
                    for name in rooms_or_names
                ]
            else:
                modules = [module]
        rooms |= {module.split(".")[1] for module in modules if module.startswith("stmnet.")}
    return rooms - {room_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    assert imported_rooms(path) <= ALLOWED[room_of(path)]


def test_the_table_itself_has_no_circle() -> None:
    # The package's own __init__ only names things lazily; its edges are not run on import.
    left = {room: set(uses) - {"__init__"} for room, uses in ALLOWED.items() if room != "__init__"}
    while left:
        free = {room for room, uses in left.items() if not uses & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {room: uses for room, uses in left.items() if room not in free}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_grows_into_a_house(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450, "look for the second room inside it"


@pytest.mark.parametrize("module", ["stmnet", "stmnet.cli", "stmnet.training.recipe"])
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_models_know_no_video_and_nothing_knows_the_command_line() -> None:
    assert "video" not in ALLOWED["models"]
    assert [room for room, uses in ALLOWED.items() if "cli" in uses] == ["__main__"]
