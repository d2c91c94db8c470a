"""`stmnet train`: errors come before torch is imported; recipes are found by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stmnet.cli.main import main
from stmnet.files import packaged_file
from stmnet.runs.packaged_recipes import list_recipes
from stmnet.runs.run_folder import lock_run_folder

ASKS_FOR_TORCH = """
import sys
from stmnet.cli.main import main
code = main(sys.argv[1:])
sys.exit(99 if "torch" in sys.modules else code)
"""


def train_without_torch(*words: object) -> str:
    """What `stmnet train` of a fresh interpreter says on stderr, which must end before torch."""
    ended = subprocess.run(
        [sys.executable, "-c", ASKS_FOR_TORCH, "train", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (None, [], "recipe.yaml: no such file"),
        ("optimizer: {epoch: 3}", [], "Did you mean 'optimizer.epochs'?"),
        ("optimizer: {epochs: 0}", [], "optimizer.epochs is 0; it must be at least 1."),
        ("seed: 0", ["--data.batch_size=7", "--optimizer.accumulate=2"], "is not divisible by"),
        ("seed: 0", ["--resume"], "no checkpoint to resume. Start without --resume."),
    ],
)
def test_a_wrong_recipe_is_told_before_torch_is_imported(
    tmp_path: Path, text: str | None, overrides: list[str], message: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    if text is not None:
        recipe.write_text(text)
    assert message in train_without_torch(recipe, "--output", tmp_path / "run", *overrides)


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ("last.ckpt", "holds a run already. Go on with --resume, or set another --output."),
        ("model.safetensors", "holds a run already. Set another --output."),
        ("tensorboard", "tensorboard: is a file, where TensorBoard's logs are written. Move it"),
    ],
)
def test_an_output_that_is_not_free_is_told_before_torch_is_imported(
    tmp_path: Path, left: str, message: str
) -> None:
    (tmp_path / left).touch()
    assert message in train_without_torch("motion_stm", "--output", tmp_path)


def test_an_output_in_use_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    with lock_run_folder(tmp_path):
        said = train_without_torch("motion_stm", "--output", tmp_path)
    assert f"{tmp_path}: another run is at work there (it is locked)." in said
    assert not list(tmp_path.iterdir())


def test_other_processes_of_the_run_that_holds_the_folder_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with lock_run_folder(tmp_path):
        # The next thing that is wrong, which the first process would not come to.
        said = train_without_torch("motion_stm", "--output", tmp_path, "--resume")
    assert "no checkpoint to resume" in said


@pytest.mark.parametrize("name", ["own_folder", "table1/stm_8f_something_v1"])
def test_a_recipe_of_the_package_is_found_by_name_anywhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", name, "--data.root", "nowhere", "--model.pretrained=null"]) == 2
    assert "nowhere" in capsys.readouterr().err, "the data are what it could not find"


def test_a_name_that_is_nearly_a_recipe_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "own_foldr"]) == 2
    assert "Did you mean own_folder?" in capsys.readouterr().err


def test_help_lists_every_recipe_that_trains_and_ends_in_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    listed, _, examples = text.partition("Recipes that come with stmnet:")[2].partition("Examples:")
    folder = packaged_file("recipes")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")}
    trains = {name for name in files if not name.startswith("base/")}
    assert {f"{name}.yaml" for name in listed.replace(",", " ").split()} == trains
    assert {f"{name}.yaml" for name in list_recipes()} == trains
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "stmnet train own_folder --data.root" in examples
    # The paper's tables in their order, not 1, 10, 11, 2.
    assert listed.index("table2/") < listed.index("table10/")
