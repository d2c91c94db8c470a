"""Training runs end to end: what they leave, how they stop, how they go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from stmnet.cli import main
from stmnet.data.motion import SplitSizes, generate
from stmnet.errors import RecipeError, VideoError
from stmnet.evaluation.history import read_history
from stmnet.recognizer import load
from stmnet.training.recipe import load_recipe
from stmnet.training.run import train

RECIPE = """
model: {name: stm_resnet18, num_frames: 4, options: {width: 8, dropout: 0.5}}
data: {dataset: motion, short_side: 36, crop_size: 32, batch_size: 8, num_workers: 1}
augmentation: {short_sides: [36, 40]}
optimizer:
  {epochs: 2, learning_rate: 0.05, reference_batch_size: 8, schedule: cosine, warmup_epochs: 0.5}
"""
STEPS_PER_EPOCH = 12 * 8 // 8
STMNET = Path(sys.executable).with_name("stmnet")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    generate(folder / "motion", seed=1, clips_per_class=SplitSizes(8, 1, 2))
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def arguments(folder: Path, output: str, *more: str) -> list[str]:
    data = ["--data.root", str(folder / "motion")]
    return [str(folder / "recipe.yaml"), *data, "--output", str(folder / output), *more]


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """A run that nothing disturbed."""
    recipe_path, *overrides = arguments(folder, "finished")
    return train(load_recipe(recipe_path, overrides))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(first: Path, second: Path) -> None:
    ours, theirs = weights_of(first), weights_of(second)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def test_what_a_run_leaves(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "best.ckpt",
        "history.jsonl",
        "last.ckpt",
        "model.safetensors",
        "previous.ckpt",
        "recipe.yaml",
        "run.json",
        "tensorboard",
    }
    assert list((finished / "tensorboard").glob("events.out.tfevents.*"))
    history = read_history(finished / "history.jsonl")
    assert [record.epoch for record in history] == [0, 1]
    best = max(record.validation_top1 for record in history)
    checkpoint = torch.load(finished / "best.ckpt", weights_only=True)
    assert history[checkpoint["epoch"]].validation_top1 == best
    assert load_recipe(finished / "recipe.yaml").model.options == {"width": 8, "dropout": 0.5}


def test_the_weights_are_those_of_the_best_epoch(finished: Path) -> None:
    exported = load(finished).network.state_dict()
    best = load(finished / "best.ckpt").network.state_dict()
    assert exported.keys() == best.keys()
    assert all(torch.equal(exported[name], best[name]) for name in exported)


def test_testing_a_run(finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["test", str(finished), "--json", "--report", str(page)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 24
    html = page.read_text()
    assert f"{result['top1'] * 100:.1f}" in html
    # Scores by hand, one video at a time.
    recognizer = load(finished)
    answers = (finished.parent / "motion" / "test-answers.csv").read_text().splitlines()
    right = 0
    for line in answers:
        video_id, label = line.split(";")
        right += recognizer(finished.parent / "motion/videos" / f"{video_id}.mp4").label == label
    assert result["top1"] == pytest.approx(right / 24)


def test_the_same_seed_gives_the_same_weights(folder: Path, finished: Path) -> None:
    recipe_path, *overrides = arguments(folder, "again")
    assert_same_weights(train(load_recipe(recipe_path, overrides)), finished)


def start(folder: Path, output: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [STMNET, "train", *arguments(folder, output, *more)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: object, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.1)
    process.kill()
    raise AssertionError("the run did not get there in two minutes")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_mid_epoch_and_resumed_is_as_if_never_stopped(
    folder: Path, finished: Path, signal_number: int
) -> None:
    output = f"stopped_by_{signal_number}"
    run = folder / output
    process = start(folder, output)
    wait_for(lambda: (run / "last.ckpt").exists(), process)
    # As a terminal and a scheduler do: the signal goes to the whole group of processes.
    os.killpg(process.pid, signal_number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal_number, err
    assert "Traceback" not in err
    assert "--resume" in err.splitlines()[-1]
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    assert STEPS_PER_EPOCH <= checkpoint["global_step"] < 2 * STEPS_PER_EPOCH
    resumed = start(folder, output, "--resume")
    _, err = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, err
    assert_same_weights(run, finished)
    assert len(read_history(run / "history.jsonl")) == 2


def test_killed_outright_leaves_a_checkpoint_to_go_on_from(folder: Path, finished: Path) -> None:
    run = folder / "killed"
    process = start(folder, "killed")
    wait_for(lambda: (run / "last.ckpt").exists(), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not list(run.glob("*.partial")) or (run / "last.ckpt").exists()
    torch.load(run / "last.ckpt", weights_only=True)
    resumed = start(folder, "killed", "--resume")
    _, err = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, err
    assert_same_weights(run, finished)


def test_a_finished_or_foreign_run_is_not_overwritten(folder: Path, finished: Path) -> None:
    recipe_path, *overrides = arguments(folder, "finished")
    with pytest.raises(RecipeError, match="holds a run already. Go on with --resume"):
        train(load_recipe(recipe_path, overrides))
    with pytest.raises(RecipeError, match="with optimizer.learning_rate 0.05, .* now says 9"):
        train(load_recipe(recipe_path, [*overrides, "--optimizer.learning_rate=9"]), resume=True)
    with pytest.raises(RecipeError, match="no checkpoint to resume"):
        train(load_recipe(recipe_path, [*overrides, "--output", str(folder / "new")]), resume=True)


def test_unreadable_clips_are_named_and_capped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "motion"
    generate(root, seed=2, clips_per_class=SplitSizes(2, 1, 1))
    train_ids = [entry["id"] for entry in json.loads((root / "train.json").read_text())]
    for video_id in train_ids[:2]:
        (root / "videos" / f"{video_id}.mp4").write_text("damaged")
    recipe_path, *overrides = arguments(folder, "unused", "--data.root", str(root))
    overrides += ["--optimizer.epochs=1", "--output"]
    train(load_recipe(recipe_path, [*overrides, str(tmp_path / "run")]))
    out = capsys.readouterr().out
    for video_id in train_ids[:2]:
        assert out.count(f"{video_id}.mp4: not a readable video") == 1
    strict = load_recipe(
        recipe_path, [*overrides, str(tmp_path / "strict"), "--data.max_unreadable=1"]
    )
    with pytest.raises(VideoError, match="unreadable clip number 2, and data.max_unreadable is 1"):
        train(strict)
