"""What the documentation points at is there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from stmnet.models.stm_options import STMOptions

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = re.compile(r"`(src/\S+\.py)` `(\w+)`")


def test_the_method_page_names_lines_that_exist() -> None:
    references = REFERENCE.findall((ROOT / "docs" / "method.md").read_text())
    assert len(references) >= 12
    for file, name in references:
        source = (ROOT / file).read_text()
        assert re.search(rf"^(class|def) {name}\b", source, re.MULTILINE), f"{file} has no {name}"


def test_the_method_page_names_every_option_of_stm() -> None:
    text = (ROOT / "docs" / "method.md").read_text()
    for option in fields(STMOptions):
        assert f"`{option.name}: " in text, option.name
        for value in get_args(get_type_hints(STMOptions)[option.name]):
            if isinstance(value, str):
                assert value in text, f"{option.name}: {value}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:src|docs|tests|recipes|samples|scripts)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path
