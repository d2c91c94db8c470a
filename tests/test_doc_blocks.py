"""Every command of the tutorials and guides runs, in order, in an empty folder a page.

A block whose title begins with "Needs" wants data or machines that are not here: it is shown with
that title and not run. A YAML block is written to the file that its title names. A line that ends
in `# exit code N` ends so.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stmnet.cli.main import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted((DOCS / "tutorials").glob("*.md")),
    *sorted((DOCS / "guides").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)(?: title=\"(.*?)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = ("sh", "python", "yaml", "text")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str
    line: int

    @property
    def is_run(self) -> bool:
        return self.language in ("sh", "python") and not self.title.startswith("Needs ")


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(match[1], match[2] or "", match[3], text[: match.start()].count("\n") + 1)
        for match in BLOCK.finditer(text)
    ]
    assert text.count("\n```") == 2 * len(found), f"{page}: a fence that is not understood"
    return found


def commands_of(block: Block) -> Iterator[tuple[str, int]]:
    """Its lines, those that end in a backslash joined; with the exit code that each promises."""
    for line in block.text.replace("\\\n", " ").splitlines():
        command, _, comment = line.partition("  #")
        code = re.fullmatch(r"\s*exit code (\d+)", comment)
        if command.strip() and not command.startswith("#"):
            yield command.strip(), int(code[1]) if code else 0


def run_command(command: str) -> int:
    """The exit code; stmnet runs in this process, for most of its time is importing torch."""
    words = shlex.split(command)
    if words[0] == "stmnet" and not set(command) & set("|<>$;&"):
        try:
            return main(words[1:])
        except SystemExit as stop:
            return int(stop.code or 0)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    return subprocess.run(["bash", "-c", command], check=False, env=environment).returncode


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert block.language in LANGUAGES, where
        if block.language == "yaml":
            Path(block.title).write_text(block.text, encoding="utf-8")
        if not block.is_run:
            continue
        if block.language == "python":
            exec(compile(block.text, where, "exec"), names)
            continue
        for command, code in commands_of(block):
            assert run_command(command) == code, f"{where}: {command}"


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks_of(ROOT / "README.md"):
        if block.language == "python":
            exec(compile(block.text, f"README.md:{block.line}", "exec"), names)
    assert names["prediction"].label == "Opening something"
    assert names["clips"].shape == (1, 8, 3, 224, 224)
    assert names["logits"].shape == (1, 10)


def test_there_are_blocks_to_run() -> None:
    # The test above has nothing to fail by where no block is found.
    count = {page.stem: sum(block.is_run for block in blocks_of(page)) for page in PAGES}
    at_least = {"own_clips": 8, "python": 8, "train": 2, "test": 3, "explain": 2}
    for stem, least in at_least.items():
        assert count[stem] >= least, stem
