"""Imports run one way: a package may use only those of lower levels (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "stmnet"

# A package is a folder or a file directly under stmnet/. Each imports only from levels below its
# own; of two packages on one level neither imports the other.
LEVELS = (
    {"errors", "files", "locks", "memory"},
    {"models", "video"},
    {"datasets", "motion"},
    {"data", "curation"},
    {"recognizer", "runs"},
    {"evaluation", "profiling"},
    {"analysis", "training"},
    {"report"},
    {"cli"},
    {"__main__"},
)
PACKAGES = set().union(*LEVELS)
NAMES = "__init__"  # the package's own names, which it imports only when they are first used


def allowed(package: str) -> set[str]:
    """What `package` may import."""
    if package == NAMES:
        return PACKAGES - {"cli", "__main__"}
    number = next(number for number, level in enumerate(LEVELS) if package in level)
    return {NAMES}.union(*LEVELS[:number])


FILES = sorted(SOURCE.rglob("*.py"))

MAX_LINES_PER_FILE = 350
MAX_LINES_PER_FUNCTION = 50


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            # `from stmnet import x` names a package, or something of stmnet/__init__.py
            names = [alias.name for alias in node.names]
            if module == "stmnet":
                modules = [
                    f"stmnet.{name}" if name in PACKAGES else "stmnet.__init__" for name in names
                ]
            else:
                modules = [module]
        packages |= {module.split(".")[1] for module in modules if module.startswith("stmnet.")}
    return packages - {package_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    assert imported_packages(path) <= allowed(package_of(path))


def test_every_package_has_a_level() -> None:
    assert {package_of(path) for path in FILES} == PACKAGES | {NAMES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES_PER_FILE, "look for the second thing in it"
    for node in ast.walk(ast.parse(text)):
        # A verb's arguments are one list, however long.
        if isinstance(node, ast.FunctionDef) and node.name != "add_parser":
            assert body_lines(node) <= MAX_LINES_PER_FUNCTION, f"{node.name}, line {node.lineno}"


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_no_two_files_have_one_name() -> None:
    # A verb's module is named as the verb is, and what it calls may be, too.
    names = [path.name for path in FILES if "cli" not in path.parts and path.name != "__init__.py"]
    assert sorted(names) == sorted(set(names))


def test_no_two_public_classes_have_one_name() -> None:
    classes = [
        node.name
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(classes) == sorted(set(classes))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_command_line_renders(path: Path) -> None:
    if package_of(path) == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(module.split(".")[0] == "rich" for module in modules)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"


@pytest.mark.parametrize("module", ["stmnet", "stmnet.cli.main", "stmnet.runs.recipe"])
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_extra_is_one_that_code_asks_for() -> None:
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    files = [*FILES, *(SOURCE.parents[1] / "benchmarks").glob("*.py")]
    code = "".join(path.read_text() for path in files)
    for extra in project["optional-dependencies"].keys() - {"dev", "docs"}:
        assert f'pip install "stmnet[{extra}]"' in code, f"no code says that it needs {extra}"


def test_models_know_no_video_and_nothing_knows_the_command_line() -> None:
    assert "video" not in allowed("models")
    assert [package for package in PACKAGES if "cli" in allowed(package)] == ["__main__"]
