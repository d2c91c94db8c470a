"""A quick start: what a prediction imports and opens, and errors that wait for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

import stmnet
from stmnet.files import packaged_file
from tests.conftest import run_stmnet

SAMPLE = packaged_file("samples/closing_something.mp4")
GOLDEN = json.loads(Path(__file__).with_name("golden_probabilities.json").read_text())

# Of a fresh interpreter: which packages are there when the command line has answered.
ANSWER = """
import json, sys
from stmnet.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as exit:
    code = exit.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def answer(*words: str | Path) -> tuple[int, set[str], str]:
    """Exit code, imported packages and stderr of `stmnet WORDS`."""
    ended = subprocess.run(
        [sys.executable, "-c", ANSWER, *words], capture_output=True, text=True, check=True
    )
    code, packages = json.loads(ended.stdout.splitlines()[-1])
    return code, set(packages), ended.stderr


def test_the_samples_keep_their_probabilities() -> None:
    recognizer = stmnet.load("motion")
    assert len(GOLDEN["probabilities"]) == 12
    for name, expected in GOLDEN["probabilities"].items():
        found = dict(recognizer(packaged_file(f"samples/{name}"), top_k=12).top)
        golden = dict(zip(GOLDEN["label_names"], expected, strict=True))
        assert found == pytest.approx(golden, rel=0, abs=1e-6)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_prediction_imports_what_it_needs(more: list[str]) -> None:
    code, packages, _ = answer("predict", SAMPLE, *more)
    assert code == 0
    assert {"torch", "av"} <= packages
    needless = {"torchvision", "lightning", "matplotlib", "torchmetrics", "jsonargparse"}
    needless |= {"tensorboard", "jinja2", "sympy", "PIL", "yaml"}
    assert not packages & needless


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "nosuch: no such file. Give a checkpoint"),
        (["{run}", "--views", "3x2"], "views '3x2': give center, 30 or"),
        (["{run}", "--shard", "3/2"], "shard '3/2': give its number"),
        (["{run}", "--batch-size", "0"], "--batch-size: '0' is not a whole number of at least 1"),
        (["{run}", "--scores", "{run}"], "is a folder. Give the name of a file."),
        (["{run}", "--report", "{run}/model.safetensors"], "exists and is not an HTML page."),
        (["{run}", "{run}", "--report", "a.html"], "one file for 2 checkpoints"),
        (["{run}"], "no recipe.yaml there names the data. Give --dataset and --root."),
        (["{run}", "--dataset", "folder", "--root", "{run}/none"], "none: no such folder. Give"),
        (
            ["{run}", "--dataset", "fodler", "--root", "{run}"],
            "unknown data set 'fodler'.",
        ),
    ],
)
def test_what_cannot_be_tested_is_told_without_torch(
    tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "model.safetensors").touch()
    code, packages, stderr = answer("test", *(word.format(run=tmp_path) for word in words))
    assert code == 2
    assert message in stderr
    assert not packages & {"torch", "av"}


def test_what_is_wrong_is_told_without_torch(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nowhere = tmp_path / "nosuch.mp4"
    for words, message in [
        ([nowhere], f"{nowhere}: no such file. Give the path of a video file."),
        ([nowhere, "--json"], f"{nowhere}: no such file. Give the path of a video file."),
        ([SAMPLE, "--model", nowhere], f"{nowhere}: no such file. Give a checkpoint"),
        ([SAMPLE, "--top", "0"], "argument --top: '0' is not a whole number of at least 1"),
        ([SAMPLE, "--nosuch"], "unrecognized arguments: --nosuch"),
        ([tmp_path / "empty"], "empty: no video in this folder"),
    ]:
        code, packages, stderr = answer("predict", *words)
        assert code == 2, words
        assert message in stderr
        assert not packages & {"torch", "av", "numpy"}, words


def test_a_missing_video_does_not_keep_the_others_back(tmp_path: Path) -> None:
    nowhere = tmp_path / "nosuch.mp4"
    ended = run_stmnet("predict", "--json", nowhere, SAMPLE)
    assert ended.returncode == 2
    told = json.loads(ended.stdout)
    assert [prediction["label"] for prediction in told["predictions"]] == ["Closing something"]
    assert list(told["errors"]) == [str(nowhere)]


def test_a_video_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    open_ = av.open

    def counting(file: str, *arguments: object, **options: object) -> object:
        opened.append(file)
        return open_(file, *arguments, **options)

    monkeypatch.setattr(av, "open", counting)
    recognizer = stmnet.load("motion")
    assert recognizer(SAMPLE).label == "Closing something"
    assert len(opened) == 1


def test_a_folder_of_frames_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        Image.new("RGB", (96, 72), (20 * number, 0, 0)).save(tmp_path / f"{number:05d}.png")
    listed = []

    for name in ("listdir", "scandir"):
        list_ = getattr(os, name)

        def counting(path: str | Path = ".", list_: object = list_) -> object:
            listed.append(os.fspath(path))
            return list_(path)

        monkeypatch.setattr(os, name, counting)
    stmnet.load("motion")(tmp_path)
    assert listed.count(str(tmp_path)) == 1


def test_a_data_set_is_generated_without_torch(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sizes = ["--train", "1", "--validation", "1", "--test", "1", "--processes", "1"]
    for words, code in [
        (["--out", tmp_path / "set", *sizes], 0),
        (["--out", tmp_path / "file" / "set", *sizes], 2),
        (["--out", tmp_path / "set", *sizes, "--seed", "1"], 2),
    ]:
        found, packages, stderr = answer("generate", "motion", *words)
        assert found == code, stderr
        assert len(stderr.splitlines()) == (code != 0)
        assert "torch" not in packages
