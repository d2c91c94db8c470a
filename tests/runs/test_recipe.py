"""Recipes: defaults in one place, overrides, and errors that name the nearest right key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import yaml

from stmnet.errors import RecipeError
from stmnet.runs.recipe import (
    AugmentationRecipe,
    DataRecipe,
    ModelRecipe,
    OptimizerRecipe,
    Recipe,
    known_keys,
    load_recipe,
)
from stmnet.runs.recipe_yaml import MAX_BYTES
from stmnet.runs.validate_network import validate_network
from stmnet.runs.validate_recipe import micro_batch_size, validate_classes, validate_recipe

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
        (["--data.short_side=200"], "data.short_side .200. must be at least data.crop_size"),
        (["--optimizer.accumulate=6"], "batch_size 64 is not divisible by .*accumulate 6. Set a"),
        (["--optimizer.reference_batch_size=0"], "reference_batch_size is 0; .* at least 1"),
        (["--optimizer.clip_gradient_norm=0"], "clip_gradient_norm is 0.0; it must be above 0"),
        (["--twins.correlation_weight=-1"], "twins.correlation_weight is -1.0; .* at least 0"),
        (["--optimizer.class_weighted=true", "--data.class_balanced=true"], "both make up for"),
        (
            ["--model.name=tea_res2net50", "--model.options.width=1"],
            "tea_res2net50 cannot take 8 .* 224 x 224 pixels .*'width': 1",
        ),
    ],
)
def test_what_cannot_work_is_said_first(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        validate_network(validate_recipe(load_recipe(write(tmp_path, "seed: 0"), overrides)))


@pytest.mark.parametrize(
    ("override", "is_wrong"),
    [
        *[(f"{key}=-1", "at least 0") for key in (
            "data.num_workers", "data.max_unreadable",
            "augmentation.brightness", "augmentation.contrast", "augmentation.saturation",
            "twins.correlation_weight", "twins.off_diagonal_weight",
            "optimizer.weight_decay", "optimizer.warmup_epochs",
        )],
        *[(f"{key}=0", "above 0") for key in (
            "optimizer.learning_rate", "optimizer.clip_gradient_norm", "running.checkpoint_minutes",
        )],
        *[(f"{key}=0", "at least 1") for key in (
            "model.num_frames", "model.options.width",
            "data.short_side", "data.crop_size", "data.batch_size",
            "optimizer.epochs", "optimizer.reference_batch_size", "optimizer.accumulate",
            "running.devices", "running.nodes",
        )],
        ("optimizer.milestones=[3, 0]", "at least 1"),
        ("model.num_classes=1", "at least 2"),
        *[(f"augmentation.{name}_probability={value}", "from 0 to 1")
          for name in ("flip", "grayscale") for value in (-0.1, 1.1, 7)],
        ("augmentation.hue=-0.1", "from 0 to 0.5"),
        ("augmentation.hue=0.9", "from 0 to 0.5"),
        *[(f"{key}={value}", "from 0 up to, but not, 1")
          for key in ("optimizer.momentum", "model.options.dropout") for value in (-0.1, 1.0, 2.0)],
        ("seed=-1", "from 0 to 4294967295"),
        ("seed=4294967296", "from 0 to 4294967295"),
        ("optimizer.learning_rate=.nan", "a finite number"),
        ("optimizer.learning_rate=1e400", "a finite number"),
        ("augmentation.scales=[1.0, .nan]", "a finite number"),
        ("augmentation.brightness=.inf", "a finite number"),
        ("running.checkpoint_minutes=.inf", "a finite number"),
        ("model.options.dropout=.nan", "a finite number"),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_named_with_what_is_allowed(
    tmp_path: Path, override: str, is_wrong: str
) -> None:
    key = override.partition("=")[0]
    with pytest.raises(RecipeError) as error:
        validate_recipe(load_recipe(write(tmp_path, "seed: 0"), [f"--{override}"]))
    assert re.fullmatch(rf"{re.escape(key)} is \S+; it must be {is_wrong}\.", str(error.value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data: {root: a}\nseed: 1\ndata: {batch_size: 2}",
            r"recipe.yaml:3: duplicate key data",
        ),
        ("optimizer: {epochs: 2,\n  epochs: 3}", r"recipe.yaml:2: duplicate key epochs"),
        ("optimizer: {schedule: null}", "recipe.yaml: optimizer.schedule is null. Give a value"),
        ("output: null", "recipe.yaml: output is null. Give a value, or leave the key out"),
        ("model: {options: null}", "recipe.yaml: model.options is null"),
        ("data: clips", "recipe.yaml: data is a section. Set the keys in it, as data.dataset"),
    ],
)
def test_what_yaml_would_pass_over_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, text))


def test_a_recipe_of_over_a_megabyte_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    with path.open("r+b") as file:
        file.truncate(10**12)  # it has a hole: to read it would take hours, or all memory
    with pytest.raises(RecipeError, match=r"recipe\.yaml: over 1 MB"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="/dev/zero: over 1 MB"):
        load_recipe("/dev/zero")
    longest = "# " + "x" * (MAX_BYTES - 2)
    assert load_recipe(write(tmp_path, longest)) == Recipe()
    with pytest.raises(RecipeError, match="over 1 MB"):
        load_recipe(write(tmp_path, longest + "x"))


def test_aliases_are_refused_however_few(tmp_path: Path) -> None:
    # Of ten lines as these the values fill any memory.
    bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for name, before in pairwise("abcdefghij"):
        bomb.append(f"{before}: &{before} [{', '.join([f'*{name}'] * 9)}]")
    with pytest.raises(RecipeError, match=r"recipe\.yaml:2: \*a is a YAML alias") as error:
        load_recipe(write(tmp_path, "\n".join(bomb)))
    assert "\n" not in str(error.value)
    for text in ("data: &d {root: a}\nmodel: *d", "data: &d {root: a}\nmodel: {<<: *d}"):
        with pytest.raises(RecipeError, match=r"recipe\.yaml:2: \*d is a YAML alias"):
            load_recipe(write(tmp_path, text))
    assert load_recipe(write(tmp_path, "data: &d {root: a}")).data.root == "a"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_a_recipe_nested_without_end_is_one_line(tmp_path: Path, opening: str) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml: ") as error:
        load_recipe(write(tmp_path, opening * 100_000))
    assert "\n" not in str(error.value)


def test_a_section_that_states_nothing_is_none(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "optimizer:\n  # epochs: 3\nmodel: {num_classes: null}"))
    assert recipe == Recipe()


def test_a_run_may_be_called_by_a_date(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "output: 2026-11-26")).output == "2026-11-26"


def test_home_is_found_where_no_shell_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = load_recipe(write(tmp_path, "data: {root: ~/clips}"), ["--output=~/runs/a"])
    assert (recipe.data.root, recipe.output) == (f"{tmp_path}/clips", f"{tmp_path}/runs/a")


def test_numbers_beyond_counting_are_named(tmp_path: Path) -> None:
    recipe = Recipe(optimizer=OptimizerRecipe(epochs=99999999999999))
    message = "optimizer.epochs is 99999999999999; it must be below"
    with pytest.raises(RecipeError, match=message):
        validate_recipe(recipe)
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, recipe.to_yaml()))


@pytest.mark.parametrize("output", ["x" * 300, "loop/run", "a\0b"])
def test_an_output_that_no_path_can_be(
    tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(RecipeError, match="^output .* is not a valid path"):
        validate_recipe(Recipe(output=output))


@pytest.mark.parametrize("output", ["clips", "clips/run", "clips/../clips/a/run"])
def test_a_run_is_not_written_where_folders_are_classes(tmp_path: Path, output: str) -> None:
    (tmp_path / "clips").mkdir()
    overrides = ["--data.root", str(tmp_path / "clips"), "--output", str(tmp_path / output)]
    recipe = load_recipe(write(tmp_path, "data: {dataset: folder}"), overrides)
    with pytest.raises(RecipeError, match="lies in data.root, where folders are classes"):
        validate_recipe(recipe)


def test_a_run_is_not_written_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    recipe = load_recipe(write(tmp_path, ""), ["--output", str(tmp_path / "notes")])
    with pytest.raises(RecipeError, match="notes: is a file. Set output to a folder."):
        validate_recipe(recipe)


@pytest.mark.parametrize(
    "override",
    [
        "seed=4294967295",
        "augmentation.hue=0.5",
        "augmentation.flip_probability=1",
        "augmentation.grayscale_probability=0",
        "optimizer.momentum=0",
        "optimizer.weight_decay=0",
        "optimizer.milestones=[]",
        "optimizer.clip_gradient_norm=null",
        "data.num_workers=0",
        "model.options.dropout=0",
    ],
)
def test_the_ends_of_a_range_are_allowed(tmp_path: Path, override: str) -> None:
    validate_recipe(load_recipe(write(tmp_path, "model: {name: tsn_resnet18}"), [f"--{override}"]))


def test_every_number_of_a_recipe_has_a_range() -> None:
    def kinds(part: object, prefix: str = "") -> Iterator[tuple[str, object]]:
        hints = get_type_hints(type(part))
        for entry in fields(part):
            value, key = getattr(part, entry.name), f"{prefix}{entry.name}"
            if is_dataclass(value):
                yield from kinds(value, f"{key}.")
            else:
                yield from ((key, kind) for kind in leaves(hints[entry.name]))

    def leaves(kind: object) -> Iterator[object]:
        parts = [] if get_origin(kind) is Literal else get_args(kind)
        yield from (leaf for part in parts for leaf in leaves(part)) if parts else [kind]

    numbers = {
        key: kind
        for key, kind in kinds(Recipe())
        # Options are the network's.
        if isinstance(kind, type) and issubclass(kind, int | float) and key != "model.options"
    }
    assert {"seed", "augmentation.hue", "optimizer.milestones", "running.devices"} < set(numbers)
    for key, kind in numbers.items():
        if kind is bool:
            continue
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError, match="finite number"):
                kind(value)
        if issubclass(kind, int) and key != "seed":
            with pytest.raises(ValueError, match="below 2147483648"):
                kind(2**31)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(optimizer=OptimizerRecipe(epochs=0)), "optimizer.epochs is 0; .* at least 1"),
        (Recipe(optimizer=OptimizerRecipe(momentum=1)), "momentum is 1.0; .* up to, but not, 1"),
        (Recipe(optimizer=OptimizerRecipe(milestones=[30, 0])), "milestones is 0; .* at least 1"),
        (Recipe(optimizer=OptimizerRecipe(epochs=2.5)), "optimizer.epochs: Expected an int.* 2.5"),
        (Recipe(optimizer=OptimizerRecipe(schedule="stepwise")), "schedule.*steps.*cosine"),
        (Recipe(optimizer=OptimizerRecipe(epochs=None)), "optimizer.epochs is null. Give a value"),
        (Recipe(augmentation=AugmentationRecipe(hue=math.nan)), "hue is nan; .* finite number"),
        (Recipe(model=ModelRecipe(options={"width": 0})), "options.width is 0; .* at least 1"),
        (Recipe(model=ModelRecipe(num_classes=1)), "num_classes is 1; it must be at least 2"),
        (Recipe(seed=-1), "seed is -1; it must be from 0 to 4294967295"),
        (Recipe(seed=True), "seed: Expected an int. Got value: True"),
    ],
)
def test_a_recipe_made_in_python_is_held_to_the_same(recipe: Recipe, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        validate_recipe(recipe)


def test_a_recipe_made_in_python_becomes_what_a_file_would_give(tmp_path: Path) -> None:
    recipe = Recipe(optimizer=OptimizerRecipe(learning_rate=1, milestones=(3, 5)))
    valid = validate_recipe(recipe)
    assert valid == Recipe(optimizer=OptimizerRecipe(learning_rate=1.0, milestones=[3, 5]))
    assert type(valid.optimizer.learning_rate) is float
    assert load_recipe(write(tmp_path, valid.to_yaml())) == valid


def test_of_a_number_or_null_both_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(write(tmp_path, "seed: 0"), ["--model.num_classes=many"])
    assert str(error.value) == (
        "command line: model.num_classes: Expected an int or null. Got value: many"
    )


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
        ("data: {batch_size: many}", [], r"recipe\.yaml: data\.batch_size: .*int.*many"),
        ("seed: 3", ["--data.batch_size=x"], "command line: data.batch_size: Expected an int"),
        ("optimizer: {schedule: stepwise}", [], "schedule.*steps.*cosine"),
        ("seed: [", [], "not valid YAML"),
        ("just words", [], "a recipe is a mapping"),
        ("data: 3", [], "recipe.yaml: data is a section"),
    ],
)
def test_mistakes_are_named_in_one_line(
    tmp_path: Path, text: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        load_recipe(write(tmp_path, text), overrides)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: no such file"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_in_the_project_loads(path: Path) -> None:
    recipe = load_recipe(path)
    for key, value in yaml.safe_load(path.read_text()).get("optimizer", {}).items():
        assert getattr(recipe.optimizer, key) == value


def test_the_learning_rate_is_for_the_batch(tmp_path: Path) -> None:
    path = write(tmp_path, "optimizer: {learning_rate: 0.01}")
    for overrides, rate in [
        ([], 0.01),
        (["--data.batch_size=16"], 0.0025),
        (["--data.batch_size=32", "--optimizer.reference_batch_size=32"], 0.01),
        (["--data.batch_size=16", "--optimizer.reference_batch_size=null"], 0.01),
    ]:
        recipe = load_recipe(path, overrides)
        assert recipe.optimizer.learning_rate_for(recipe.data.batch_size) == pytest.approx(rate)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_small_recipes_train_at_the_rate_that_they_state(path: Path) -> None:
    recipe = load_recipe(path)
    if recipe.optimizer.reference_batch_size not in (64, 32):
        rate = recipe.optimizer.learning_rate_for(recipe.data.batch_size)
        assert rate == recipe.optimizer.learning_rate


def test_a_batch_is_shared_by_processes_and_micro_batches(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "optimizer: {accumulate: 2}"))
    assert micro_batch_size(recipe, world_size=8) == 4
    with pytest.raises(RecipeError, match="by 3 processes x optimizer.accumulate 2. .* 6"):
        micro_batch_size(recipe, world_size=3)


def test_another_number_of_classes_is_named(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "model: {num_classes: 174}"))
    validate_classes(recipe, ["wave"] * 174)
    with pytest.raises(RecipeError, match="num_classes is 174, and something_v2 .* has 12 labels"):
        validate_classes(recipe, ["wave"] * 12)


def test_one_class_is_not_enough() -> None:
    with pytest.raises(
        RecipeError, match=r"^one: only one class \(wave\)\. Training needs at least"
    ):
        validate_classes(Recipe(data=DataRecipe(root="one")), ["wave"])


def test_a_recipe_inherits_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "first.yaml").write_text("seed: 7\ndata: {batch_size: 4, num_workers: 1}\n")
    (tmp_path / "common" / "second.yaml").write_text(
        "base: ../first.yaml\ndata: {num_workers: 3}\nmodel: {options: {width: 8, dropout: 0.1}}\n"
    )
    recipe = load_recipe(
        write(tmp_path, "base: common/second.yaml\nmodel: {options: {dropout: 0.8}}\n"),
        ["--data.batch_size=5"],
    )
    assert (recipe.seed, recipe.data.batch_size, recipe.data.num_workers) == (7, 5, 3)
    assert recipe.model.options == {"width": 8, "dropout": 0.8}
    assert load_recipe(write(tmp_path, recipe.to_yaml())) == recipe


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("dat: {batch_size: 3}", r"base\.yaml: unknown key 'dat.batch_size'. Did you mean 'data"),
        ("data: {batch_size: three}", r"base\.yaml: .*batch_size.*int.*three"),
        ("base: recipe.yaml", r"recipe\.yaml: is a base of itself"),
        ("base: [a.yaml]", r"base\.yaml: base is \['a.yaml'\]; give the path of one recipe"),
        ("base: none.yaml", r"none\.yaml: no such file"),
    ],
)
def test_mistakes_in_a_base_name_the_file(tmp_path: Path, base: str, message: str) -> None:
    (tmp_path / "base.yaml").write_text(base)
    # What the base says wrongly is set right here: it is wrong all the same.
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, "base: base.yaml\ndata: {batch_size: 4}"))
    with pytest.raises(RecipeError, match=r"recipe\.yaml: .* 'bases'. Did you mean 'base'"):
        load_recipe(write(tmp_path, "bases: base.yaml"))


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
