"""What a recipe leaves out is left out of training and testing, and said."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import yaml

from stmnet.cli.main import main
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError
from stmnet.motion.generate import SplitSizes, generate
from stmnet.recognizer import load
from stmnet.runs.recipe import DataRecipe
from stmnet.training.build import read_list


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The motion set with a test video that is gone and one that is empty."""
    root = tmp_path_factory.mktemp("motion")
    generate(root, seed=5, clips_per_class=SplitSizes(1, 1, 1), processes=1)
    first, second = (clip.video for clip in read_split("motion", root, "test").clips[:2])
    first.unlink()
    second.write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def exclusions(data: Path) -> Path:
    path = data / "bad.txt"
    assert main(["check", "motion", "--root", str(data), "--exclusions", str(path)]) == 1
    assert len(path.read_text().splitlines()) == 2
    return path


def test_training_says_what_it_leaves_out(
    data: Path, exclusions: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    recipe = DataRecipe(dataset="motion", root=str(data))
    with pytest.raises(DatasetError, match="1 of the 12 videos of the test list are not there"):
        read_list(recipe, "test")
    assert len(read_list(recipe, "train").clips) == 12
    assert caplog.messages == []
    recipe.allow_missing = True
    assert len(read_list(recipe, "test").clips) == 11
    assert caplog.messages == ["test: 1 of 12 clips left out (not there)"]
    recipe.exclude = str(exclusions)
    assert len(read_list(recipe, "test").clips) == 10
    assert caplog.messages[1:] == ["test: 2 of 12 clips left out (data.exclude)"]


def test_a_list_of_exclusions_that_is_not_there_is_named(data: Path) -> None:
    recipe = DataRecipe(dataset="motion", root=str(data), exclude="nolist.txt")
    message = r"^nolist\.txt: no such file\. Write it with .* or correct data\.exclude\.$"
    with pytest.raises(DatasetError, match=message):
        read_list(recipe, "train")


def test_testing_leaves_out_what_the_run_did(
    data: Path, exclusions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load("motion").save(tmp_path / "model.safetensors")
    recipe = tmp_path / "recipe.yaml"
    keys = {"dataset": "motion", "root": str(data), "allow_missing": True, "exclude": None}
    recipe.write_text(yaml.safe_dump({"data": keys}))
    assert main(["test", str(tmp_path), "--json"]) == 2
    assert "the file is empty" in capsys.readouterr().err

    recipe.write_text(yaml.safe_dump({"data": keys | {"exclude": str(exclusions)}}))
    assert main(["test", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["clips"] == 10
    assert "test: 2 of 12 clips left out (data.exclude)" in captured.err
    assert "2 of 12 clips left out (data.exclude)" in (tmp_path / "report.html").read_text()
