"""Every verb's `--help` ends in examples, and they run."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from stmnet.cli.main import VERBS, main, make_parser
from stmnet.data.preprocessing import Preprocessing
from stmnet.files import packaged_file
from stmnet.models.zoo import build_model
from stmnet.motion.generate import SplitSizes, generate
from stmnet.recognizer import ModelConfig, Recognizer
from stmnet.runs.recipe import load_recipe
from stmnet.runs.validate_recipe import validate_recipe

OTHERS_DATA = "/data/"
"""The examples' folder for data sets that not everyone has."""

SMALLER = {"generate": ["--train", "1", "--validation", "1", "--test", "1"]}
"""What keeps an example short: of an option that is given twice, the second counts."""

LABELS = ("closing", "opening")
NAMES = [verb.__name__.rpartition(".")[2] for verb in VERBS]


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    return capsys.readouterr().out


def examples_of(verb: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words behind `stmnet` of each example."""
    _, _, examples = help_of(verb, capsys).partition("\nExamples:\n")
    words = [shlex.split(line, comments=True) for line in examples.splitlines()]
    assert all(line[:2] == ["stmnet", verb] for line in words), "nothing stands behind the examples"
    return [line[1:] for line in words]


@pytest.fixture(scope="module")
def folder_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name: a clip, a folder of clips by class, a small motion set, runs."""
    folder = tmp_path_factory.mktemp("examples")
    samples = packaged_file("samples")
    shutil.copy(samples / "closing_something.mp4", folder / "clip.mp4")
    for label in LABELS:
        (folder / "clips" / label).mkdir(parents=True)
        for number in range(2):  # of which one is held out
            video = folder / "clips" / label / f"{number}.mp4"
            shutil.copy(samples / f"{label}_something.mp4", video)
    generate(folder / "tiny", seed=7, clips_per_class=SplitSizes(2, 1, 1), processes=1)
    config = ModelConfig(
        "stm_resnet18", LABELS, Preprocessing(4, 36, 32), {"width": 8, "reduction": 4}
    )
    torch.manual_seed(0)
    network = build_model(config.model, num_classes=2, num_frames=4, width=8, reduction=4)
    for name in ("mine", "split1", "split2", "split3"):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        Recognizer(network, config).save(run / "model.safetensors")
        data = {"dataset": "folder", "root": "clips", "sampling": "segments"}
        (run / "recipe.yaml").write_text(yaml.safe_dump({"data": data}))
    return folder


def test_every_verb_has_a_module_and_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name in NAMES:
        (line,) = [line for line in lines if line[:1] == [name]]
        assert len(line) > 3


@pytest.mark.parametrize("verb", NAMES)
def test_help_ends_in_examples(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    examples = examples_of(verb, capsys)
    assert examples
    for words in examples:
        _, unknown = make_parser().parse_known_args(words)
        assert verb == "train" or not unknown
    assert max(map(len, help_of(verb, capsys).splitlines())) <= 78


@pytest.mark.parametrize("verb", [name for name in NAMES if name not in ("train", "demo")])
def test_examples_run(
    verb: str,
    folder_of_examples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(shutil.copytree(folder_of_examples, tmp_path / "examples"))
    if verb == "generate":
        shutil.rmtree("tiny")
    for words in examples_of(verb, capsys):
        capsys.readouterr()
        if not any(word.startswith(OTHERS_DATA) for word in words):
            code = main([*words, *SMALLER.get(verb, [])])
            captured = capsys.readouterr()
            assert code == 0, captured.err
            assert captured.out


def test_examples_of_training_are_recipes(
    folder_of_examples: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of_examples)
    for words in examples_of("train", capsys):
        arguments, overrides = make_parser().parse_known_args(words)
        if arguments.recipe.startswith("runs/"):  # the recipe that a run of these words writes
            arguments.recipe = "own_folder"
        validate_recipe(load_recipe(arguments.recipe, overrides))
