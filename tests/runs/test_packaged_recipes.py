"""Recipes that come with stmnet are found by name; an existing path wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from stmnet.errors import RecipeError
from stmnet.files import packaged_file
from stmnet.runs.packaged_recipes import find_recipe, list_recipes
from stmnet.runs.recipe import load_recipe


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_names_are_of_recipes_that_load() -> None:
    names = list_recipes()
    assert {"own_folder", "motion_stm", "table1/stm_8f_something_v1"} <= set(names)
    by_name = load_recipe("table1/stm_8f_something_v1")
    assert by_name == load_recipe(packaged_file("recipes/table1/stm_8f_something_v1.yaml"))
    # Its base lies in the package, too.
    assert by_name.data.dataset == "something_v1"


def test_an_existing_path_wins() -> None:
    Path("own_folder").write_text("seed: 7")
    assert find_recipe("own_folder") == Path("own_folder")
    assert load_recipe("own_folder").seed == 7


def test_a_folder_of_this_name_is_no_recipe() -> None:
    Path("own_folder").mkdir()
    assert load_recipe("own_folder").data.dataset == "folder"
    Path("mine").mkdir()
    with pytest.raises(RecipeError, match="^mine: is a folder"):
        load_recipe("mine")


def test_a_base_is_a_path_or_a_name() -> None:
    Path("mine.yaml").write_text("base: own_folder\nseed: 5\n")
    packaged = load_recipe("own_folder")
    mine = load_recipe("mine.yaml")
    assert mine.seed == 5
    assert (mine.model, mine.optimizer) == (packaged.model, packaged.optimizer)
    Path("own_folder").write_text("output: runs/other")
    assert load_recipe("mine.yaml").output == "runs/other"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_foldr", "own_foldr: no such file, and .* Did you mean own_folder?"),
        ("recipes/own_folder.yaml", "Did you mean own_folder?"),
        ("stm_8f_something_v1", "Did you mean table1/stm_8f_something_v1?"),
        ("/own_folder", "^/own_folder: no such file"),
        ("../recipes/own_folder", r"^\.\./recipes/own_folder: no such file"),
        ("x" * 300, "File name too long"),
        ("a\0b", "no such file, and no recipe"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        load_recipe(name)
