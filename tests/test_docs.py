"""What the documentation points at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = re.compile(r"`(src/\S+\.py)` `(\w+)`")


def test_the_method_page_names_lines_that_exist() -> None:
    references = REFERENCE.findall((ROOT / "docs" / "method.md").read_text())
    assert len(references) >= 12
    for file, name in references:
        source = (ROOT / file).read_text()
        assert re.search(rf"^(class|def) {name}\b", source, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:src|docs|tests|recipes|samples|scripts)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path
