"""What the recipe in a run's folder says of its data is read as strictly as any recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from stmnet.errors import DatasetError
from stmnet.runs.recipe import Recipe
from stmnet.runs.run_files import RECIPE, data_of_run


def test_the_data_of_a_run_are_its_recipe_s(tmp_path: Path) -> None:
    assert data_of_run(tmp_path) == {}
    (tmp_path / RECIPE).write_text(Recipe().to_yaml())
    assert data_of_run(tmp_path)["root"] == "data/something-v2"


@pytest.mark.parametrize(
    "text",
    ["", "[", "data: 3", "seed: 3", "data: &d {root: a}\nmodel: *d", "#" * 1_000_001],
)
def test_what_is_no_recipe_of_a_run_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / RECIPE).write_text(text)
    with pytest.raises(DatasetError, match=r"recipe\.yaml: not the recipe of a run"):
        data_of_run(tmp_path)
