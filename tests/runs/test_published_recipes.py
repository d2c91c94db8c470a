"""The published recipes: section 4.2 and the tables, written out here a second time."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stmnet.data.preprocessing import Preprocessing
from stmnet.datasets.lists import parse_labels, read_text
from stmnet.datasets.splits import DATASETS
from stmnet.errors import RecipeError
from stmnet.models.zoo import build_model
from stmnet.profiling.complexity import Complexity, measure
from stmnet.recognizer import ModelConfig
from stmnet.runs import validate_network as validation
from stmnet.runs.recipe import Recipe, known_keys, load_recipe
from stmnet.runs.validate_network import validate_network
from stmnet.runs.validate_recipe import validate_recipe
from stmnet.training.losses import ClassificationObjective
from stmnet.training.module import ActionModule

ROOT = Path(__file__).parents[2]
EVERY = sorted((ROOT / "recipes").rglob("*.yaml"))
PUBLISHED = sorted((ROOT / "recipes").glob("table*/*.yaml"))
PAPER = ROOT.parent / "shared" / "paper.txt"

# Section 4.2, epoch by epoch.
LARGE = {0: 1e-2, 29: 1e-2, 30: 1e-3, 39: 1e-3, 40: 1e-4, 59: 1e-4, 60: 1e-5, 69: 1e-5}
SMALL = {0: 1e-3, 14: 1e-3, 15: 1e-4, 29: 1e-4, 30: 1e-5, 44: 1e-5, 45: 1e-6, 49: 1e-6}

# Sections 4.1 and 4.4, and the sets' own lists: classes, clips for training.
SETS = {
    "something_v1": (174, 86_017), "something_v2": (174, 168_913), "kinetics400": (400, 236_763),
    "ucf101": (101, 9_537), "ucf101_split2": (101, 9_586), "ucf101_split3": (101, 9_624),
    "hmdb51": (51, 3_570), "hmdb51_split2": (51, 3_570), "hmdb51_split3": (51, 3_570),
}  # fmt: skip

# FLOPs as Tables 1 and 4 print them; networks of the ablations are counted.
PAPER_GMACS = {
    ("stm_resnet50", 8): 33.3, ("stm_resnet50", 16): 66.5, ("tsn_resnet50", 8): 32.9,
    ("tsn_resnet50", 16): 65.8, ("tsm_resnet50", 8): 32.9, ("tsm_resnet50", 16): 65.8,
    ("tea_res2net50", 8): 35.0, ("tea_res2net50", 16): 70.0,
}  # fmt: skip

# What the rows of sections 5.1 to 5.5 vary.
ABLATIONS = {
    "Table 6, CSTM": {"modules": "cstm"},
    "Table 6, CMM": {"modules": "cmm"},
    "Table 7, Concatenation": {"fusion": "concat"},
    "Table 8, frequency degeneration": {"kernels": "frequency"},
    **{f"Table 9, stage {n}, 1 block": {"stages": [n], "blocks": 1} for n in (2, 3, 4, 5)},
    "Table 9, stages 2-5, 4 blocks": {"blocks": 1},
    "Table 10, CSTM, channel-wise 1D": {"modules": "cstm"},
    "Table 10, CSTM, channel-wise 1D, 2D": {"modules": "cstm", "cstm_spatial": "channelwise"},
    "Table 10, CSTM, all ordinary": {"modules": "cstm", "cstm_temporal": "standard"},
    "Table 10, CMM, channel-wise": {"modules": "cmm"},
    "Table 10, CMM, ordinary": {"modules": "cmm", "cmm_transform": "standard"},
}

NETWORKS = {"STM": "stm", "TSN": "tsn", "TSM": "tsm", "TEA": "tea"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "recipes"))


every_recipe = pytest.mark.parametrize("path", EVERY, ids=name_of)
published_recipe = pytest.mark.parametrize("path", PUBLISHED, ids=name_of)


@cache
def loaded(path: Path) -> Recipe:
    return load_recipe(path)


def header(path: Path) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if not line.startswith("# "):
            return lines
        name, _, value = line[2:].partition(":")
        lines.setdefault(name, []).append(value.strip())
    return lines


@every_recipe
def test_it_loads_and_passes_what_is_checked_before_training(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which builds the network and shows it a clip: once is enough for all that share one.
    monkeypatch.setattr(validation, "build_model", seen)
    validate_network(validate_recipe(loaded(path)))


class TakesEveryClip(nn.Module):
    """Stands for a network that has taken a clip before."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return clips


SEEN: set[str] = set()


def seen(name: str, *, num_frames: int, **options: object) -> nn.Module:
    words = f"{name} {num_frames} {options}"
    if words in SEEN:
        return TakesEveryClip()
    SEEN.add(words)
    return build_model(name, num_frames=num_frames, **options)


@every_recipe
def test_a_misspelt_key_is_named_with_the_right_one(path: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    if "base" in content:
        content["base"] = str(path.parent / content["base"])
    keys = known_keys()
    # Another key in every recipe, its last letter missing, so that all of them have their turn.
    key = keys[EVERY.index(path) % len(keys)]
    *groups, last = key.split(".")
    inner = content
    for group in groups:
        inner = inner.setdefault(group, {})
    inner.pop(last, None)
    inner[last[:-1]] = 1
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError, match=f"unknown key '{key[:-1]}'. Did you mean '{key}'"):
        load_recipe(misspelt)


def test_every_key_has_been_misspelt() -> None:
    assert len(EVERY) >= len(known_keys())


class TenSteps:
    """As much of a training loader as an optimizer asks for."""

    def __len__(self) -> int:
        return 10


@cache
def built(name: str, num_classes: int, num_frames: int, options: str) -> nn.Module:
    with torch.device("meta"):
        return build_model(
            name, num_classes=num_classes, num_frames=num_frames, **yaml.safe_load(options)
        )


@published_recipe
def test_its_optimizer_is_that_of_section_4_2(path: Path) -> None:
    recipe = loaded(path)
    model, optimizer = recipe.model, recipe.optimizer
    network = built(model.name, model.num_classes, model.num_frames, str(model.options))
    module = ActionModule(
        network,
        ModelConfig(model.name, (), Preprocessing(8, 256, 224)),
        optimizer,
        objective=ClassificationObjective(),
        learning_rate=optimizer.learning_rate_for(recipe.data.batch_size),
        training_loader=TenSteps(),
        max_unreadable=0,
        seed=0,
        description={},
    )
    configured = module.configure_optimizers()
    # All parameters alike: the paper states no policies.
    (group,) = configured["optimizer"].param_groups
    assert len(group["params"]) == len(list(network.parameters()))
    assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
    scheduler = configured["lr_scheduler"]["scheduler"]
    (start,), (factor,) = scheduler.base_lrs, scheduler.lr_lambdas
    is_small = recipe.data.dataset.startswith(("ucf101", "hmdb51"))
    for epoch, rate in (SMALL if is_small else LARGE).items():
        for step in (0, 9):
            assert start * factor(10 * epoch + step) == pytest.approx(rate), epoch
    assert optimizer.epochs == (50 if is_small else 70)
    # 8 GPUs, with 8 clips each of 8 frames, or 4 of 16.
    assert recipe.data.batch_size == 8 * {8: 8, 16: 4}[recipe.model.num_frames]
    assert (optimizer.accumulate, optimizer.clip_gradient_norm) == (1, None)
    assert (recipe.data.short_side, recipe.data.crop_size) == (256, 224)
    assert recipe.augmentation.crop == "multi_scale"
    assert (recipe.twins.correlation_weight, recipe.twins.off_diagonal_weight) == (0.01, 0.0039)


@published_recipe
def test_its_header_says_what_it_is(path: Path) -> None:
    recipe, lines = loaded(path), header(path)
    assert next(iter(lines)) == "Row"
    assert {"Row", "Train", "Test", "Target", "Cost"} == set(lines) - {"Needs"}
    run = f"runs/{name_of(path).removesuffix('.yaml')}"
    assert lines["Train"] == [f"stmnet train recipes/{name_of(path)}"]
    assert recipe.output == run
    (test,) = lines["Test"]
    assert test.split()[:2] == ["stmnet", "test"]
    assert re.sub(r"split\d$", "split[123]", run) == test.split()[2]
    assert ("--split validation" in test) == ("table3" not in str(path))
    views = {"30": "30 views", "10x1": "10 views (ten clips, center crop)"}
    (target,) = lines["Target"]
    assert target.endswith(views.get(test.split()[-1], "one center view"))
    assert ("mean of three splits" in target) == ("table3" in str(path))


@published_recipe
def test_its_row_is_what_it_trains(path: Path) -> None:
    recipe = loaded(path)
    for row in header(path)["Row"]:
        table, _, name = row.partition(", ")
        network = re.search(r"\b(STM|TSN|TSM|TEA)\b", name)
        assert recipe.model.name.startswith(NETWORKS[network[1]] if network else "stm")
        assert recipe.model.num_frames == (16 if "16 frames" in name else 8)
        sets = {
            "v1": "something_v1", "v2": "something_v2", "Kinetics-400": "kinetics400",
            "UCF-101": "ucf101", "HMDB-51": "hmdb51",
        }  # fmt: skip
        named = [key for word, key in sets.items() if word in name] or ["something_v1"]
        split = re.search(r"split (\d)", name)
        suffix = f"_split{split[1]}" if split and split[1] != "1" else ""
        assert recipe.data.dataset == named[0] + suffix
        assert recipe.data.root == f"data/{named[0].replace('_', '-')}"
        # Table 11 says where Twins is; Tables 1 to 3 have it in STM; the ablations are without.
        with_twins = (
            "with Twins" in name if table == "Table 11" else bool(re.search(r"\bSTM, ", name))
        )
        assert recipe.twins.enabled == with_twins
        options = {"dropout": 0.8} if table == "Table 3" else ABLATIONS.get(row, {})
        assert recipe.model.options == options


def test_every_row_is_there_once() -> None:
    rows = [row for path in PUBLISHED for row in header(path)["Row"]]
    assert len(set(rows)) == len(rows)
    counts = dict.fromkeys((1, 2, 3, 6, 7, 8, 9, 10, 11), 0)
    for row in rows:
        counts[int(re.match(r"Table (\d+), ", row)[1])] += 1
    # Table 3: four networks, two sets, three splits. Table 11: three networks, two sets, with and
    # without Twins.
    assert counts == {1: 14, 2: 6, 3: 4 * 2 * 3, 6: 4, 7: 3, 8: 3, 9: 6, 10: 5, 11: 3 * 2 * 2}


@pytest.mark.skipif(not PAPER.is_file(), reason=f"no {PAPER}: the paper's text is not committed")
@published_recipe
def test_its_target_stands_in_the_paper(path: Path) -> None:
    (target,) = header(path)["Target"]
    figures = re.findall(r"([\d.]+) % top", target)
    text = PAPER.read_text()
    results = text[text.index("4 EXPERIMENTS") :]
    # Top-1 and top-5 stand side by side in one line of a table.
    assert re.search(rf"(?<![\d.]){re.escape(' '.join(figures))}(?![\d.])", results)


@published_recipe
def test_what_it_starts_from_is_there_or_made_by_another_recipe(path: Path) -> None:
    recipe = loaded(path)
    start, needs = recipe.model.pretrained, header(path).get("Needs")
    if start == "imagenet":
        assert needs is None
    else:
        (command,) = needs
        source = loaded(ROOT / command.removeprefix("stmnet train "))
        assert start == source.output
        assert source.data.dataset == "kinetics400"
        assert source.model.name == recipe.model.name


@published_recipe
def test_its_cost_is_the_arithmetic_that_the_page_states(path: Path) -> None:
    recipe = loaded(path)
    model = recipe.model
    _, num_clips = SETS[recipe.data.dataset]
    gmacs = PAPER_GMACS[model.name, model.num_frames]
    if model.options.keys() - {"dropout"}:
        sizes = {"num_classes": model.num_classes, "num_frames": model.num_frames}
        gmacs = counted(model.name, str(model.options), **sizes).macs / 1e9
    views = 2 if recipe.twins.enabled else 1
    operations = num_clips * recipe.optimizer.epochs * views * 3 * 2 * gmacs * 1e9
    (cost,) = header(path)["Cost"]
    stated = re.fullmatch(r"([\d.]+) GPU hours by arithmetic \(docs/paper/recipes\.md\)", cost)
    # The paper rounds TEA's 34.7 G to 35 G, and the headers round hours.
    hours = operations / 10e12 / 3600
    rounding = 0.5 if hours >= 10 else 0.05
    assert abs(float(stated[1]) - hours) <= 0.01 * hours + rounding


@cache
def counted(name: str, options: str, **sizes: int) -> Complexity:
    return measure(name, options=yaml.safe_load(options), **sizes)


def test_a_training_step_is_three_forward_passes() -> None:
    # TSN: in channel-wise convolutions torch's counter leaves out the groups going backwards.
    with torch.device("meta"):
        network = build_model("tsn_resnet50", num_classes=174)
        clips = torch.empty(1, 8, 3, 224, 224)
    forward, step = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with forward:
        scores = network(clips)
    with step:
        network(clips).sum().backward()
    assert scores.shape == (1, 174)
    assert step.get_total_flops() / forward.get_total_flops() == pytest.approx(3, rel=0.03)


def test_headers_and_page_are_as_the_script_writes_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = import_module("recipes_table")
    monkeypatch.setattr(script, "load_recipe", loaded)
    monkeypatch.setattr(
        script, "measure", lambda name, options, **sizes: counted(name, str(options), **sizes)
    )
    assert script.main(["--check"]) == 0, capsys.readouterr().out


def test_the_page_shows_a_recipe_as_it_is() -> None:
    page = (ROOT / "docs" / "paper" / "recipes.md").read_text()
    text = (ROOT / "recipes" / "table1" / "stm_16f_something_v1.yaml").read_text()
    assert "".join(f"    {line}\n" for line in text.splitlines()) in page


def test_the_page_of_keys_names_every_key_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "recipe_keys.md").read_text()
    named = re.findall(r"^\| `([\w.]+)` \| .+ \|$", page, re.MULTILINE)
    assert sorted(named) == sorted(known_keys())


@pytest.mark.parametrize("page", ["guides/train.md", "paper/recipes.md"])
def test_the_commands_of_a_page_are_taken(page: str) -> None:
    text = (ROOT / "docs" / page).read_text().replace("\\\n", " ")
    commands = re.findall(r"stmnet train ([a-z][^\s`]+)([^`\n]*)", text)
    assert commands
    for recipe, words in commands:
        name = recipe.removeprefix("recipes/").removesuffix(".yaml")
        # What the page shows how to write, and a run's own: tests/test_doc_blocks.py runs them.
        if name == "mine" or name.startswith("runs/"):
            continue
        path = ROOT / "recipes" / f"{name}.yaml"
        assert path in EVERY
        overrides = [word for word in words.split() if word not in ("--resume", "$RESUME")]
        if overrides:
            validate_network(validate_recipe(load_recipe(path, overrides)))


@published_recipe
def test_it_states_the_sets_classes(path: Path) -> None:
    recipe = loaded(path)
    num_classes, num_clips = SETS[recipe.data.dataset]
    assert recipe.model.num_classes == num_classes
    assert DATASETS[recipe.data.dataset].published["train"] == num_clips


@pytest.mark.parametrize("name", SETS)
def test_the_sets_lists_have_that_many_classes_and_clips(
    name: str, shared: Path, tmp_path: Path
) -> None:
    num_classes, num_clips = SETS[name]
    folder = {"something_v1": "ssv1", "something_v2": "ssv2", "kinetics400": "kinetics"}
    lists = shared / "annotations" / folder.get(name, name.partition("_")[0])
    (tmp_path / "annotations").symlink_to(lists)
    labels = {"something_v1": "category.txt", "kinetics400": "label_map_k400.txt"}.get(name)
    if labels is not None:
        # Of these sets the lists of clips are not at hand.
        path = lists / labels
        assert len(parse_labels(read_text(path), path)) == num_classes
        return
    split = "validation" if name == "something_v2" else "train"
    clip_list = DATASETS[name].read(tmp_path, split, pytest.fail)
    assert len(clip_list.label_names) == num_classes
    assert len(clip_list.missing) == (24_777 if name == "something_v2" else num_clips)
