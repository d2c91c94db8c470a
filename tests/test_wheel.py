"""The wheel: in an environment of its own, outside of the checkout, it has all that it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from stmnet.models.zoo import MODELS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("stmnet-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The folder of the commands of an environment with the wheel, beside what it depends on."""
    environment = wheel.parent / "environment"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # Of this one, what it lists as its own paths is not followed: stmnet itself is not there.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", environment / "bin" / "python", "install", "--no-deps", wheel)
    return environment / "bin"


def pip(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], check=True)


def answer(folder: Path, *command: str | Path) -> str:
    """What a command prints that is started elsewhere, with nothing of this checkout in reach."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_recipes_samples_and_weights_are_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [*ROOT.glob("recipes/**/*.yaml"), *ROOT.glob("samples/*.mp4")]
    assert len(files) > 30
    for file in files:
        assert f"stmnet/{file.relative_to(ROOT)}" in names
    assert "stmnet/weights/motion.safetensors" in names
    assert not any(name.startswith(("tests/", "docs/")) for name in names)


@pytest.mark.slow
def test_the_wheel_predicts_outside_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = answer(tmp_path, installed / "python", "-c", "import stmnet; print(stmnet.__file__)")
    assert where.startswith(str(installed.parent))
    models = answer(
        tmp_path, installed / "python", "-c", "import stmnet; print(stmnet.list_models())"
    )
    assert models == f"{list(MODELS)}\n"
    told = json.loads(answer(tmp_path, installed / "stmnet", "predict", "--top", "1", "--json"))
    assert len(told["predictions"]) == 12  # the samples, which lie in the package
    for prediction in told["predictions"]:
        name = Path(prediction["video"]).stem.replace("_", " ").capitalize()
        assert prediction["label"] == name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_wheel_trains_by_a_recipe_that_it_brings(installed: Path, tmp_path: Path) -> None:
    stmnet = installed / "stmnet"
    sizes = ("--train", "2", "--validation", "1", "--test", "1")
    answer(tmp_path, stmnet, "generate", "motion", "--out", "motion", *sizes)
    keys = {
        "data.root": "motion",
        "output": "mine",
        "optimizer.epochs": "1",
        "data.num_workers": "0",
    }
    words = [word for key, value in keys.items() for word in (f"--{key}", value)]
    told = answer(tmp_path, stmnet, "train", "motion_tsn", *words)
    assert "epoch 1/1  loss" in told
    assert (tmp_path / "mine" / "model.safetensors").is_file()
