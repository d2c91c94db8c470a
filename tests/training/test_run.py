"""Training runs end to end: what they leave, how they stop, how they go on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stmnet.cli.main import main
from stmnet.errors import RecipeError, StmnetError, Stopped, VideoError
from stmnet.motion.generate import SplitSizes, generate
from stmnet.recognizer import load
from stmnet.report.figures import Curve, draw_learning_curve
from stmnet.runs.history import read_history
from stmnet.runs.provenance import commit_of
from stmnet.runs.recipe import OptimizerRecipe, load_recipe
from stmnet.training.history_log import HistoryLog
from stmnet.training.module import ActionModule
from stmnet.training.progress import TrainingProgress
from stmnet.training.run import learning_rate_rule, train
from tests.conftest import STMNET, printed_as_utf8, run_stmnet

RECIPE = """
model: {name: stm_resnet18, num_frames: 4, options: {width: 8, dropout: 0.5}}
data: {dataset: motion, short_side: 36, crop_size: 32, batch_size: 8, num_workers: 1}
augmentation: {short_sides: [36, 40]}
optimizer:
  {epochs: 2, learning_rate: 0.05, reference_batch_size: 8, schedule: cosine, warmup_epochs: 0.5}
"""
EPOCH_QUANTITIES = (
    "train_loss", "train_top1", "validation_loss", "validation_top1", "seconds", "learning_rate",
    "clips_per_second",
)  # fmt: skip
STEPS_PER_EPOCH = 12 * 8 // 8

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
def reports() -> list[TrainingProgress]:
    """What the run that nothing disturbed reported, once it is finished."""
    return []


@pytest.fixture(scope="module")
def finished(folder: Path, reports: list[TrainingProgress]) -> Path:
    """A run that nothing disturbed."""
    recipe_path, *overrides = arguments(folder, "finished")
    return train(load_recipe(recipe_path, overrides), on_progress=reports.append)


def signal_handlers() -> list[object]:
    return [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]


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


def test_progress_is_reported_after_every_step(
    finished: Path, reports: list[TrainingProgress]
) -> None:
    history = read_history(finished / "history.jsonl")
    assert [report.record for report in reports if report.record is not None] == list(history)
    for epoch in (1, 2):
        of_epoch = [report for report in reports if report.epoch == epoch]
        steps = [report.step for report in of_epoch if report.split == "train"]
        # The last one again, with the epoch's record, after the validation.
        assert steps == [*range(1, STEPS_PER_EPOCH + 1), STEPS_PER_EPOCH]
        validation = [report for report in of_epoch if report.split == "validation"]
        assert [report.step for report in validation] == [1, 2]
        assert {(report.num_epochs, report.num_steps) for report in validation} == {(2, 2)}
        end = of_epoch[-1]
        assert (end.loss, end.top1) == (end.record.train_loss, end.record.train_top1)
    assert [report.loss for report in reports[:9]] == [None] * 9
    measured = reports[9]
    assert measured.loss > 0
    assert measured.clips_per_second > 0
    # 14 steps of 24 are to come.
    seconds = 14 * 8 / measured.clips_per_second
    assert measured.seconds_left == pytest.approx(seconds)


def test_the_curves_of_the_page_are_drawn_again_from_the_log_alone(
    finished: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert main(["test", str(finished), "--report", str(page)]) == 0
    rows = [json.loads(line) for line in (finished / "history.jsonl").read_text().splitlines()]
    epochs = [row["epoch"] + 1 for row in rows]
    for quantity, as_percent in [("loss", False), ("top1", True)]:
        curves = [
            Curve(1, epochs, [row[f"{split}_{quantity}"] for row in rows], dashed=split == "train")
            for split in ("train", "validation")
        ]
        name = f"validation_{quantity}"
        assert draw_learning_curve(curves, as_percent=as_percent, name=name) in page.read_text()


def test_tensorboard_has_what_the_log_has_and_points_between(finished: Path) -> None:
    events = EventAccumulator(str(finished / "tensorboard")).Reload()
    history = read_history(finished / "history.jsonl")
    for name in EPOCH_QUANTITIES:
        points = events.Scalars(f"epoch/{name}")
        assert [point.step for point in points] == [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH]
        expected = [getattr(record, name) for record in history]
        assert [point.value for point in points] == pytest.approx(expected)
    for name in ("loss", "top1", "learning_rate", "clips_per_second"):
        assert [point.step for point in events.Scalars(f"step/{name}")] == [10, 22]
    # Nothing there counts epochs from 0, which the page and the lines count from 1.
    assert not [tag for tag in events.Tags()["scalars"] if tag.endswith("epoch")]
    # Cosine, after half an epoch's warm-up: the last step is number 23 of 24.
    progress = (23 / STEPS_PER_EPOCH - 0.5) / 1.5
    rate = 0.05 * (1 + math.cos(math.pi * progress)) / 2
    assert history[-1].learning_rate == pytest.approx(rate)
    # All 96 clips an epoch: its speed is no faster than its time with the validation says.
    assert all(record.clips_per_second > 96 / record.seconds for record in history)


def test_a_run_says_what_it_was_made_of(finished: Path) -> None:
    run = json.loads((finished / "run.json").read_text())
    assert run["recipe"] == yaml.safe_load((finished / "recipe.yaml").read_text())
    assert run["recipe"]["optimizer"]["learning_rate"] == 0.05
    (session,) = run["sessions"]
    assert session["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert session["processes"] == 1
    root = finished.parent / "motion"
    for split in ("train", "validation"):
        entries = json.loads((root / f"{split}.json").read_text())
        labels = json.loads((root / "labels.json").read_text())
        rows = []
        for entry in entries:
            label = int(labels[entry["template"].replace("[", "").replace("]", "")])
            rows.append([f"{entry['id']}.mp4", label, 0, None])
        # As scores name the list that they are of.
        digest = hashlib.sha256(json.dumps([list(labels), rows]).encode())
        assert run["data"][split] == {"clips": len(entries), "digest": digest.hexdigest()}
    for name in ("best.ckpt", "last.ckpt"):
        assert torch.load(finished / name, weights_only=True)["run"] == run


def test_the_commit_is_that_of_the_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        words = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert commit_of(tmp_path) is None
    git("init")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", "a.py")
    git("commit", "-m", "a")
    commit = git("rev-parse", "HEAD")
    assert commit_of(tmp_path) == commit
    (tmp_path / "a.py").write_text("a = 2\n")
    assert commit_of(tmp_path) == f"{commit}+"


@pytest.mark.parametrize(
    ("batch_size", "reference", "line"),
    [
        (16, 64, "learning rate 0.0025 = 0.01 x 16 / 64 clips"),
        (64, 64, "learning rate 0.01 = 0.01 x 64 / 64 clips"),
        (16, None, "learning rate 0.01, not scaled to the 16 clips of a step"),
    ],
)
def test_the_rule_of_the_learning_rate_is_one_line(
    batch_size: int, reference: int | None, line: str
) -> None:
    optimizer = OptimizerRecipe(reference_batch_size=reference)
    assert learning_rate_rule(optimizer, batch_size) == line


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
    handlers = signal_handlers()
    assert_same_weights(train(load_recipe(recipe_path, overrides)), finished)
    assert signal_handlers() == handlers, "what comes after can be stopped again"


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
    resumed = run_stmnet("train", *arguments(folder, output, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    step = checkpoint["global_step"] % STEPS_PER_EPOCH + 1
    where = f"epoch 2 of 2, step {step} of {STEPS_PER_EPOCH}"
    assert f"resuming from last.ckpt: {where}\n" in resumed.stdout
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
    resumed = run_stmnet("train", *arguments(folder, "killed", "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_weights(run, finished)


def test_a_finished_or_foreign_run_is_not_overwritten(folder: Path, finished: Path) -> None:
    recipe_path, *overrides = arguments(folder, "finished")
    with pytest.raises(RecipeError, match="holds a run already. Go on with resume=True"):
        train(load_recipe(recipe_path, overrides))
    with pytest.raises(RecipeError, match="with optimizer.learning_rate 0.05, .* now says 9"):
        train(load_recipe(recipe_path, [*overrides, "--optimizer.learning_rate=9"]), resume=True)
    with pytest.raises(RecipeError, match="no checkpoint to resume"):
        train(load_recipe(recipe_path, [*overrides, "--output", str(folder / "new")]), resume=True)


@pytest.mark.parametrize("left", ["model.safetensors", "history.jsonl"])
def test_what_is_left_of_a_run_is_not_overwritten(folder: Path, tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("a day's work")
    recipe_path, *overrides = arguments(folder, "unused", "--output", str(tmp_path))
    recipe = load_recipe(recipe_path, overrides)
    with pytest.raises(RecipeError, match=r"holds a run already\. Set another output\.$"):
        train(recipe)
    with pytest.raises(RecipeError, match=r"no checkpoint to resume\. Set another output\.$"):
        train(recipe, resume=True)
    assert (tmp_path / left).read_text() == "a day's work"


def test_a_training_that_diverges_ends_before_its_weights_are_kept(
    folder: Path, tmp_path: Path
) -> None:
    recipe_path, *overrides = arguments(folder, "unused", "--output", str(tmp_path / "run"))
    recipe = load_recipe(recipe_path, [*overrides, "--optimizer.learning_rate=1e30"])
    with pytest.raises(
        StmnetError, match="diverged in epoch 1: .*NaN.* Lower optimizer.learning_rate"
    ):
        train(recipe)
    assert not list((tmp_path / "run").glob("*.ckpt"))
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not active_children(), "workers are left behind"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_run_of_which_no_clip_can_be_read_leaves_no_weights(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    root = tmp_path / "motion"
    generate(root, seed=2, clips_per_class=SplitSizes(2, 1, 1))
    for entry in json.loads((root / f"{split}.json").read_text()):
        (root / "videos" / f"{entry['id']}.mp4").write_text("damaged")
    more = ["--data.root", str(root), "--output", str(tmp_path / "run"), "--data.num_workers=0"]
    words = ["train", *arguments(folder, "unused", *more, "--data.max_unreadable=99")]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no clip of the {split} list could be read. The first: " in line
    assert not list((tmp_path / "run").glob("*.ckpt"))


def test_names_that_the_terminal_cannot_show_do_not_end_a_run(folder: Path, tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/clips\xff"))
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number, video in enumerate(sorted((folder / "motion/videos").glob("*.mp4"))[:6]):
            shutil.copy(video, root / label / f"{number}.mp4")
    (root / "a" / "0.mp4").write_text("damaged")
    more = ["--data.dataset=folder", f"--data.root={root}", "--optimizer.epochs=1"]
    out = printed_as_utf8("train", *arguments(folder, "bytes", *more, "--data.num_workers=0"))
    assert r"clips\udcff/a/0.mp4: not a readable video" in out
    assert json.loads((folder / "bytes/run.json").read_text())["recipe"]["data"]["root"] == str(
        root
    )


def test_more_workers_than_cores_are_one_line(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    more = ["--output", str(tmp_path), "--data.num_workers=2", "--optimizer.epochs=1"]
    assert main(["train", *arguments(folder, "unused", *more)]) == 0
    captured = capfd.readouterr()
    assert (
        captured.out.count("warning: data.num_workers is 2, and this machine has 1 CPU cores.") == 1
    )
    assert "DataLoader" not in captured.err


def test_ctrl_c_before_the_first_step_is_said(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(self: ActionModule) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ActionModule, "configure_optimizers", interrupted)
    handlers = signal_handlers()
    assert main(["train", *arguments(folder, "unused", "--output", str(tmp_path))]) == 130
    assert signal_handlers() == handlers
    assert capsys.readouterr().err == "stmnet: stopped by Ctrl-C\n"


def test_ctrl_c_while_workers_start_stops_after_the_first_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: ActionModule) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ActionModule, "on_fit_start", interrupted)
    handlers = signal_handlers()
    recipe_path, *overrides = arguments(folder, "unused", "--output", str(tmp_path))
    with pytest.raises(Stopped):
        train(load_recipe(recipe_path, overrides))
    assert signal_handlers() == handlers
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 1


def test_sigterm_before_the_first_step_is_no_success(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(self: HistoryLog, trainer: object, module: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    # After Lightning's handler is there, and before ours, which is a later callback's.
    monkeypatch.setattr(HistoryLog, "on_train_start", terminated)
    handlers = signal_handlers()
    recipe_path, *overrides = arguments(folder, "unused", "--output", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        train(load_recipe(recipe_path, overrides))
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal_handlers() == handlers


def test_a_finished_run_without_its_best_checkpoint_says_what_is_left(
    folder: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "best.ckpt").unlink()
    words = ["train", *arguments(folder, "unused", "--output", str(run), "--resume")]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{run}/best.ckpt: gone or damaged" in line
    assert f"Those of the last one are in {run}/last.ckpt" in line
    assert (run / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


def test_an_output_that_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recipe_path, *overrides = arguments(folder, "unused", "--output", str(tmp_path / "file/run"))
    with pytest.raises(RecipeError, match=r"cannot be written \(Not a directory\)"):
        train(load_recipe(recipe_path, overrides))


def test_unreadable_clips_are_named_and_capped(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "motion"
    generate(root, seed=2, clips_per_class=SplitSizes(2, 1, 1))
    train_ids = [entry["id"] for entry in json.loads((root / "train.json").read_text())]
    for video_id in train_ids[:2]:
        (root / "videos" / f"{video_id}.mp4").write_text("damaged")
    recipe_path, *overrides = arguments(folder, "unused", "--data.root", str(root))
    overrides += ["--optimizer.epochs=1", "--output"]
    train(load_recipe(recipe_path, [*overrides, str(tmp_path / "run")]))
    out = caplog.text
    for video_id in train_ids[:2]:
        assert out.count(f"{video_id}.mp4: not a readable video") == 1
    strict = load_recipe(
        recipe_path, [*overrides, str(tmp_path / "strict"), "--data.max_unreadable=1"]
    )
    handlers = signal_handlers()
    with pytest.raises(VideoError, match="unreadable clip number 2, and data.max_unreadable is 1"):
        train(strict)
    assert signal_handlers() == handlers
