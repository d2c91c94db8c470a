"""Recipes: defaults in one place, overrides, and errors that name the nearest right key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stmnet.errors import RecipeError
from stmnet.training.recipe import Recipe, known_keys, load_recipe
from stmnet.training.run import check_recipe

RECIPES_FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(RECIPES_FOLDER.glob("*.yaml"))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_file_states_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: tsn_resnet18, options: {width: 16}}\nseed: 3\n")
    recipe = load_recipe(path)
    assert recipe.model.name == "tsn_resnet18"
    assert recipe.model.options == {"width": 16}
    assert isinstance(recipe.model.options["width"], int)
    assert recipe.seed == 3
    assert recipe.optimizer == Recipe().optimizer


def test_defaults_are_those_of_section_4_2() -> None:
    optimizer = Recipe().optimizer
    assert (optimizer.epochs, optimizer.learning_rate) == (70, 0.01)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 5e-4)
    assert optimizer.milestones == [30, 40, 60]
    assert Recipe().data.batch_size == 8 * 8
    assert Recipe().data.sampling == "segments"
    assert Recipe().augmentation.crop == "multi_scale"


@pytest.mark.parametrize("path", sorted(RECIPES_FOLDER.glob("motion_*.yaml")), ids=lambda p: p.name)
def test_the_motion_recipes_keep_the_draws_of_the_published_figures(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.data.sampling == "segments"
    augmentation = recipe.augmentation
    assert (augmentation.crop, augmentation.short_sides) == ("scale_jitter", [54])
    assert augmentation.brightness == augmentation.contrast == augmentation.saturation == 0
    assert augmentation.hue == augmentation.grayscale_probability == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--augmentation.scales=[1.0, 1.2]"], "scales .1.0, 1.2. must be above 0 and at most 1"),
        (["--augmentation.scales=[]"], "scales .. must be above 0"),
        (
            ["--augmentation.crop=scale_jitter", "--augmentation.short_sides=[256, 200]"],
            "short_sides .256, 200. must all be at least data.crop_size .224.",
        ),
        (
            ["--optimizer.epochs=3", "--optimizer.warmup_epochs=3"],
            "optimizer.warmup_epochs .3. must be less than optimizer.epochs .3.",
        ),
        (["--data.short_side=200"], "data.short_side .200. must be at least data.crop_size"),
    ],
)
def test_what_cannot_work_is_said_first(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_recipe(load_recipe(write(tmp_path, "seed: 0"), overrides))


def test_choices_are_made_by_name(tmp_path: Path) -> None:
    chosen = load_recipe(
        write(tmp_path, "data: {sampling: dense}"), ["--augmentation.num_crop_positions", "5"]
    )
    assert (chosen.data.sampling, chosen.augmentation.num_crop_positions) == ("dense", 5)
    with pytest.raises(RecipeError, match="segments_without_tail"):
        load_recipe(write(tmp_path, "data: {sampling: densely}"))


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 3\ndata: {batch_size: 4}\n")
    recipe = load_recipe(
        path, ["--seed", "5", "--data.root=/data/clips", "--model.options.width=8"]
    )
    assert (recipe.seed, recipe.data.root, recipe.data.batch_size) == (5, "/data/clips", 4)
    assert recipe.model.options == {"width": 8}


def test_written_out_and_read_again_is_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "optimizer: {milestones: [1, 2]}\n"))
    assert load_recipe(write(tmp_path, recipe.to_yaml())) == recipe


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (
            "data: {batch_siz: 3}",
            [],
            "unknown key 'data.batch_siz'. Did you mean 'data.batch_size'",
        ),
        ("optimiser: {epochs: 3}", [], "unknown key 'optimiser.epochs'. .* 'optimizer.epochs'"),
        ("seeds: 3", [], "unknown key 'seeds'. Did you mean 'seed'"),
        ("seed: 3", ["--sead", "4"], "command line: unknown key 'sead'. Did you mean 'seed'"),
        ("data: {batch_size: many}", [], "batch_size.*int.*many"),
        ("optimizer: {schedule: stepwise}", [], "schedule.*steps.*cosine"),
        ("seed: [", [], "not valid YAML"),
        ("just words", [], "a recipe is a mapping"),
        ("data: 3", [], "unknown key 'data'"),
    ],
)
def test_mistakes_are_named_in_one_line(
    tmp_path: Path, text: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        load_recipe(write(tmp_path, text), overrides)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: No such file"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_in_the_project_loads(path: Path) -> None:
    recipe = load_recipe(path)
    for key, value in yaml.safe_load(path.read_text())["optimizer"].items():
        assert getattr(recipe.optimizer, key) == value


def test_known_keys_are_all_there() -> None:
    keys = known_keys()
    assert {"seed", "model.name", "data.max_unreadable", "optimizer.milestones"} <= set(keys)
    assert "model" not in keys


def test_options_of_a_network_are_numbers_words_and_lists(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {options: {modules: cstm, stages: [2, 3], blocks: 1}}\n")
    options = {"modules": "cstm", "stages": [2, 3], "blocks": 1}
    assert load_recipe(path).model.options == options
    changed = load_recipe(path, ["--model.options.stages", "[5]"]).model.options
    assert changed == options | {"stages": [5]}
