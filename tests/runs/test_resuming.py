"""Runs that are stopped, killed and damaged end as if nothing had been; in one process and two."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stmnet.errors import CheckpointError, DatasetError, RecipeError, Stopped
from stmnet.motion.generate import SplitSizes, generate
from stmnet.runs.history import EpochRecord, read_history
from stmnet.runs.recipe import Recipe, load_recipe
from stmnet.runs.resuming import (
    Resumption,
    can_resume,
    compare_recipes,
    delete_history_without_checkpoint,
    find_resumption,
    holds_a_run,
)
from stmnet.runs.run_files import HISTORY, LAST_CHECKPOINT
from stmnet.training.module import ActionModule
from stmnet.training.run import train
from tests.training.processes import as_torchrun_does, free_ports, run_apart

RECIPE = """
model: {name: stm_resnet18, num_frames: 2, options: {width: 4, reduction: 4, dropout: 0.5}}
data: {dataset: motion, short_side: 18, crop_size: 16, batch_size: 4, num_workers: 0}
optimizer: {epochs: 2, learning_rate: 0.05, reference_batch_size: 4, warmup_epochs: 0.5}
"""
STEPS_AN_EPOCH = 24 // 4
KINDS = {
    "plain": ["--optimizer.accumulate=2", "--optimizer.clip_gradient_norm=1.0"],
    "twins": ["--twins.enabled=true"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resuming")
    generate(folder / "motion", seed=1, clips_per_class=SplitSizes(2, 1, 1), processes=1)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def recipe_of(folder: Path, output: str, *overrides: str) -> Recipe:
    paths = [f"--data.root={folder / 'motion'}", f"--output={folder / output}"]
    return load_recipe(folder / "recipe.yaml", [*paths, *overrides])


def train_and_interrupt(
    rank: int,
    world_size: int,
    ports: list[int],
    recipe: Recipe,
    stops: list[tuple[str, int]],
    resume: bool = False,
) -> None:
    """Train to the end, however often it is stopped: ("training", step) or ("validation", step).

    The signal reaches the last of the processes only; the others must hear of it from that one.
    """
    todo = set(stops)

    def kill_in(name: str) -> None:
        original = getattr(ActionModule, f"{name}_step")

        def step(self: ActionModule, batch: object, index: int) -> object:
            if rank == world_size - 1 and (name, self.global_step) in todo:
                todo.remove((name, self.global_step))
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, batch, index)

        setattr(ActionModule, f"{name}_step", step)

    kill_in("training")
    kill_in("validation")
    for number, port in enumerate(ports):
        as_torchrun_does(rank, world_size, port)
        try:
            train(recipe, resume=resume or number > 0, on_progress=print)
        except (Stopped, SystemExit) as stop:
            if isinstance(stop, Stopped) != (rank == 0):
                raise
            continue
        assert not todo or rank != world_size - 1
        assert number == len(stops)
        return
    raise AssertionError("not at its end")


def finish(
    folder: Path,
    output: str,
    *overrides: str,
    world_size: int = 1,
    stops: list[tuple[str, int]] | None = None,
    resume: bool = False,
) -> Path:
    recipe = recipe_of(folder, output, *overrides)
    stops = stops or []
    ports = free_ports(len(stops) + 1)
    arguments = (world_size, ports, recipe, stops, resume)
    run_apart(folder / f"{output}.said", world_size, train_and_interrupt, *arguments)
    return Path(recipe.output)


def untimed(record: EpochRecord) -> EpochRecord:
    return replace(record, seconds=0.0, clips_per_second=None)


def assert_same_run(first: Path, second: Path) -> None:
    """Bit by bit: weights, momentum, the best epoch, and all that the log says but times."""
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = (torch.load(run / name, weights_only=True) for run in (first, second))
        assert ours["global_step"] == theirs["global_step"]
        for key in ("state_dict", "optimizer_states"):
            torch.testing.assert_close(ours[key], theirs[key], atol=0, rtol=0)
    logs = [
        [untimed(record) for record in read_history(run / "history.jsonl")]
        for run in (first, second)
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 2


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A plain run in one process that nothing disturbed."""
    return finish(folder, "whole")


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_five_stops_at_random_steps_leave_no_trace(
    folder: Path, kind: str, world_size: int
) -> None:
    steps = random.Random(f"{kind} {world_size}").sample(range(1, 11), 5)
    # In an epoch's last step a signal is heeded by the validation; another comes there.
    steps = sorted({*steps, STEPS_AN_EPOCH - 1})
    stops = [*(("training", step) for step in steps), ("validation", 2 * STEPS_AN_EPOCH)]
    options = {"world_size": world_size}
    name = f"{kind}_{world_size}"
    undisturbed = finish(folder, name, *KINDS[kind], **options)
    stopped = finish(folder, f"{name}_stopped", *KINDS[kind], stops=stops, **options)
    assert_same_run(stopped, undisturbed)
    if world_size == 2:
        assert (folder / f"{name}.said" / "1.out").read_text() == "", "only the first one prints"
    sessions = json.loads((stopped / "run.json").read_text())["sessions"]
    assert [session["processes"] for session in sessions] == [world_size] * (len(stops) + 1)


def test_two_processes_take_up_the_run_of_one(folder: Path, whole: Path) -> None:
    recipe = recipe_of(folder, "taken_up")
    stop_at_step_3 = (1, free_ports(1), recipe, [("training", 3)])
    with pytest.raises(AssertionError, match="not at its end"):
        run_apart(folder / "begun", 1, train_and_interrupt, *stop_at_step_3)
    finish(folder, "taken_up", "--running.devices=2", world_size=2, resume=True)
    said = (folder / "taken_up.said" / "0.out").read_text()
    assert "resuming with running.devices 2, which was None" in said
    assert len(read_history(folder / "taken_up" / "history.jsonl")) == 2
    # An epoch of fewer passes than TensorBoard has a point after gets one at its end.
    events = EventAccumulator(str(folder / "taken_up" / "tensorboard")).Reload()
    points = [point.step for point in events.Scalars("step/clips_per_second")]
    assert points == [STEPS_AN_EPOCH, 2 * STEPS_AN_EPOCH]
    last = torch.load(folder / "taken_up" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2 * STEPS_AN_EPOCH


def test_a_checkpoint_is_written_every_so_many_minutes(folder: Path, whole: Path) -> None:
    recipe = recipe_of(folder, "killed", "--running.checkpoint_minutes=1e-6")
    with pytest.raises(AssertionError):
        run_apart(folder / "killed.said", 1, train_until_killed, recipe, 4)
    steps = [
        torch.load(folder / "killed" / name, weights_only=True)["global_step"]
        for name in ("last.ckpt", "previous.ckpt")
    ]
    # Killed in the middle of writing the fourth, and nothing of it is taken for a checkpoint.
    assert steps == [3, 2]
    assert_same_run(finish(folder, "killed", resume=True), whole)


def train_until_killed(rank: int, recipe: Recipe, num_writes: int) -> None:
    """Kill -9 in the middle of writing a checkpoint."""
    save = torch.save
    writes = iter(range(1, num_writes + 1))

    def save_or_die(content: object, file: BinaryIO) -> None:
        save(content, file)
        if next(writes) == num_writes:
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_or_die
    train(recipe)


def test_the_best_epoch_stays_the_best_where_the_run_was_moved(folder: Path) -> None:
    recipe = recipe_of(folder, "first_place")
    stop_in_epoch_2 = (1, free_ports(1), recipe, [("training", STEPS_AN_EPOCH + 2)])
    with pytest.raises(AssertionError, match="not at its end"):
        run_apart(folder / "first_place.said", 1, train_and_interrupt, *stop_in_epoch_2)
    moved = (folder / "first_place").rename(folder / "second_place")
    # No second epoch is better than that.
    content = torch.load(moved / "last.ckpt", weights_only=True)
    for state in content["callbacks"].values():
        if state.get("monitor"):
            state["best_model_score"] = torch.tensor(2.0)
            state["best_k_models"] = dict.fromkeys(state["best_k_models"], torch.tensor(2.0))
            state["kth_value"] = torch.tensor(2.0)
    torch.save(content, moved / "last.ckpt")
    finish(folder, "second_place", resume=True)
    steps = [
        torch.load(moved / name, weights_only=True)["global_step"]
        for name in ("best.ckpt", "last.ckpt")
    ]
    assert steps == [STEPS_AN_EPOCH, 2 * STEPS_AN_EPOCH]


def test_a_damaged_best_checkpoint_gives_way_to_another(folder: Path) -> None:
    recipe = recipe_of(folder, "best_damaged")
    stop_in_epoch_2 = (1, free_ports(1), recipe, [("training", STEPS_AN_EPOCH + 2)])
    with pytest.raises(AssertionError, match="not at its end"):
        run_apart(folder / "best_damaged.first", 1, train_and_interrupt, *stop_in_epoch_2)
    best = folder / "best_damaged" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    finish(folder, "best_damaged", resume=True)
    assert torch.load(best, weights_only=True)["global_step"] == 2 * STEPS_AN_EPOCH
    assert (best.parent / "model.safetensors").is_file()


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(
    folder: Path, whole: Path, damage: str
) -> None:
    run = folder / damage
    shutil.copytree(whole, run)
    content = bytearray((run / "last.ckpt").read_bytes())
    if damage == "flipped":
        middle = len(content) // 2
        content[middle : middle + 64] = bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
    length = {"cut": len(content) // 2, "flipped": len(content), "emptied": 0}[damage]
    (run / "last.ckpt").write_bytes(content[:length])
    # The best one is as new where the last epoch was the best: out of the way.
    (run / "best.ckpt").write_bytes(b"")
    resumption = find_resumption(recipe_of(folder, damage))
    assert resumption.checkpoint == run / "previous.ckpt"
    first, second = resumption.warnings
    assert first.startswith(f"{run / 'last.ckpt'}: not a checkpoint")
    assert first.endswith(f"Going on from previous.ckpt, step {STEPS_AN_EPOCH}.")
    assert "best.ckpt" in second
    (run / "previous.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a checkpoint.*No good one"):
        find_resumption(recipe_of(folder, damage))


def test_a_run_without_its_recipe_is_not_resumed(folder: Path, whole: Path) -> None:
    shutil.copytree(whole, folder / "bare")
    (folder / "bare" / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match=r"bare/recipe\.yaml: no such file.*Put the run's recipe"):
        find_resumption(recipe_of(folder, "bare"))


@pytest.mark.parametrize(
    ("num_steps", "where"),
    [
        (0, "epoch 1 of 12, step 1 of 30"),
        (218, "epoch 8 of 12, step 9 of 30"),
        (240, "epoch 9 of 12, step 1 of 30"),
        (360, "every epoch is trained"),
    ],
)
def test_a_resumption_says_where_it_goes_on(num_steps: int, where: str) -> None:
    resumption = Resumption(Path("runs/a/last.ckpt"), num_steps, (), ())
    assert resumption.describe(12, 30) == f"resuming from last.ckpt: {where}"


def test_what_contradicts_the_run_is_refused_by_name(folder: Path, whole: Path) -> None:
    for override, message in [
        ("--twins.enabled=true", "started with twins.enabled False, and the recipe now says True"),
        ("--data.batch_size=8", "started with data.batch_size 4"),
        ("--model.options.width=8", "started with model.options .'width': 4.* now says .*8"),
        ("--running.sync_batch_norm=true", "started with running.sync_batch_norm False"),
    ]:
        with pytest.raises(RecipeError, match=message):
            find_resumption(recipe_of(folder, "whole", override))
    allowed = ["--data.num_workers=3", "--running.checkpoint_minutes=5"]
    assert find_resumption(recipe_of(folder, "whole", *allowed)).changes == (
        "resuming with data.num_workers 3, which was 0",
        "resuming with running.checkpoint_minutes 5.0, which was 30.0",
    )


def test_other_data_are_refused(folder: Path, whole: Path) -> None:
    shutil.copytree(folder / "motion", folder / "fewer")
    entries = json.loads((folder / "fewer" / "train.json").read_text())
    (folder / "fewer" / "train.json").write_text(json.dumps(entries[1:]))
    recipe = recipe_of(folder, "whole", f"--data.root={folder / 'fewer'}")
    with pytest.raises(DatasetError, match="train list .* .23 clips, and 24 then."):
        train(recipe, resume=True)


def test_a_checkpoint_of_other_classes_is_refused(folder: Path, whole: Path) -> None:
    output = folder / "renamed"
    shutil.copytree(whole, output)
    for name in ("last.ckpt", "best.ckpt", "previous.ckpt"):
        content = torch.load(output / name, weights_only=True)
        content["stmnet"]["label_names"][0] = "waving"
        torch.save(content, output / name)
    with pytest.raises(CheckpointError, match=r"of another run: its label_names is \['waving'"):
        train(recipe_of(folder, "renamed"), resume=True)


HOLD = """
import sys
from pathlib import Path
from stmnet.runs.run_folder import lock_run_folder
with lock_run_folder(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_folder_belongs_to_one_run_at_a_time(folder: Path, whole: Path) -> None:
    output = folder / "shared"
    shutil.copytree(whole, output)
    before = contents(output)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RecipeError, match="shared: another run is at work there"):
            train(recipe_of(folder, "shared"), resume=True)
        assert contents(output) == before | {".lock": b""}
        other.kill()
    train(recipe_of(folder, "shared"), resume=True)
    assert not (output / ".lock").exists()


def contents(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}


def test_a_run_that_ended_before_its_first_checkpoint_is_started_over(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text("{}\n")
    assert holds_a_run(tmp_path)
    delete_history_without_checkpoint(tmp_path)
    assert not can_resume(tmp_path)
    assert not holds_a_run(tmp_path)
    (tmp_path / HISTORY).write_text("{}\n")
    (tmp_path / LAST_CHECKPOINT).touch()
    delete_history_without_checkpoint(tmp_path)
    assert can_resume(tmp_path)
    assert (tmp_path / HISTORY).is_file()


@pytest.mark.parametrize(
    ("crop", "was", "now", "may_change"),
    [
        ("{crop: multi_scale}", 0, 1, False),
        ("{crop: multi_scale}", 1, 0, False),
        ("{crop: multi_scale}", 1, 2, True),
        ("{crop: scale_jitter, short_sides: [256]}", 0, 1, True),
        ("{crop: scale_jitter, short_sides: [256, 288]}", 0, 1, False),
    ],
)
def test_a_cache_may_change_where_it_changes_no_pixel(
    tmp_path: Path, crop: str, was: float, now: float, may_change: bool
) -> None:
    started, resumed = tmp_path / "started.yaml", tmp_path / "resumed.yaml"
    for path, gigabytes in ((started, was), (resumed, now)):
        path.write_text(f"augmentation: {crop}\ndata: {{cache_gigabytes: {gigabytes}}}\n")
    if may_change:
        assert len(compare_recipes(load_recipe(resumed), started)) == 1
    else:
        with pytest.raises(RecipeError, match="was started with data.cache_gigabytes"):
            compare_recipes(load_recipe(resumed), started)
