"""What the documentation points at is there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from stmnet.models.stm_options import STMOptions
from stmnet.runs.resuming import MAY_CHANGE
from tests.test_imports import LEVELS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
METHOD = ROOT / "docs" / "paper" / "method.md"
REFERENCE = re.compile(r"`(src/\S+\.py):(\d+)` `([\w.]+)`")


def test_the_method_page_names_the_lines_where_things_stand() -> None:
    references = REFERENCE.findall(METHOD.read_text())
    assert len(references) >= 60
    for file, line, name in references:
        stated = (ROOT / file).read_text().splitlines()[int(line) - 1]
        own_name = name.rpartition(".")[2]
        assert re.match(rf"\s*(class |def )?{own_name}\b", stated), (
            f"{file}:{line} is not {name}: python scripts/method_lines.py"
        )


def test_the_method_page_names_every_option_of_stm() -> None:
    text = METHOD.read_text()
    for option in fields(STMOptions):
        assert f"`{option.name}: " in text, option.name
        for value in get_args(get_type_hints(STMOptions)[option.name]):
            if isinstance(value, str):
                assert value in text, f"{option.name}: {value}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:src|docs|tests|recipes|samples|scripts)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path


NAMES_WITH_NUMBERS = re.compile(
    r"(?:Eq\.|Tables?|[Ss]ections?|Fig\.|[Ss]tages?|[Ss]plits?|top-|[A-Z]\w*-|H\.)\s?\d+(?:[.-]\d+)*"
    r"(?:(?:,| and| to) \d+(?:\.\d+)*)*"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_paragraph_has_at_most_five_numbers_and_no_date(page: Path) -> None:
    text = page.read_text()
    # Tables, code and what benchmarks and studies write (their captions have dates) do not count.
    text = re.sub(
        r"^```.*?^```$|<!-- (.+?): table -->.*?<!-- \1: end -->", "", text, flags=re.M | re.S
    )
    text = re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)
    for paragraph in re.split(r"\n\s*\n|\n(?=- )", NAMES_WITH_NUMBERS.sub("", text)):
        if not re.match(r"\s*\||    ", paragraph):
            numbers = re.findall(r"(?<![\w.-])\d[\d,.]*", paragraph)
            assert len(numbers) <= 5, paragraph


def test_the_guide_names_the_keys_that_may_differ_when_a_run_resumes() -> None:
    page = (ROOT / "docs" / "guides" / "train.md").read_text()
    sentence = page.partition("Only what does not change the result may differ")[2].partition(")")[
        0
    ]
    assert re.findall(r"`([\w.]+)`", sentence) == list(MAY_CHANGE)


@pytest.mark.parametrize("folder", ["src", "recipes", "scripts", "benchmarks", "studies"])
def test_pages_that_the_code_points_at_are_there(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml")]
    assert files
    for path in files:
        for page in re.findall(r"\bdocs/[\w/]+\.(?:md|png)", path.read_text()):
            assert (ROOT / page).exists(), f"{path}: {page}"


def test_the_architecture_page_has_the_levels_of_the_packages() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("| packages |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    levels = [set(re.findall(r"`(\w+)`", row)) for row in reversed(rows)]
    assert levels == [level for level in LEVELS if level != {"__main__"}]
