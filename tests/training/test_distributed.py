"""Who starts processes is believed; uneven and empty shares neither hang nor distort anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from stmnet.data.reading import read_center
from stmnet.datasets.splits import read_split
from stmnet.errors import RecipeError
from stmnet.motion.generate import SplitSizes, generate
from stmnet.recognizer import load
from stmnet.runs.history import read_history
from stmnet.runs.recipe import Recipe, RunningRecipe, load_recipe
from stmnet.runs.validate_recipe import micro_batch_size
from stmnet.training.distributed import place
from stmnet.training.run import train
from stmnet.training.trainer import make_trainer
from tests.training.processes import as_torchrun_does, free_ports, run_apart

RECIPE = """
model: {name: stm_resnet18, num_frames: 2, options: {width: 4, reduction: 4}}
data: {dataset: motion, short_side: 18, crop_size: 16, batch_size: 6, num_workers: 0}
twins: {enabled: true}
optimizer: {epochs: 1, learning_rate: 0.01, reference_batch_size: null}
"""


def test_torchrun_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8", "RANK": "11",
        "LOCAL_RANK": "3", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    placement = place(RunningRecipe(devices=1))
    assert (placement.devices, placement.nodes) == (8, 2)
    assert placement.environment.global_rank() == 11


def test_slurm_says_how_many_and_does_not_requeue_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "5",
        "SLURM_JOB_NAME": "train",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    placement = place(RunningRecipe())
    assert (placement.devices, placement.nodes) == (4, 2)
    assert placement.environment.global_rank() == 5
    assert not placement.environment.auto_requeue
    # One task only lends its machine.
    monkeypatch.setenv("SLURM_NTASKS", "1")
    placement = place(RunningRecipe(devices=3))
    assert (placement.devices, placement.nodes) == (3, 1)
    assert not placement.environment.creates_processes_externally


def test_a_machine_does_not_wait_for_others_that_cannot_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(RecipeError, match="running.nodes is 2, .* Start with torchrun or SLURM"):
        place(RunningRecipe(nodes=2))
    monkeypatch.setenv("MASTER_ADDR", "first")
    assert place(RunningRecipe(nodes=2)).nodes == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can do these")
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("precision", "16-mixed needs a GPU. On a CPU take bf16-mixed"),
        ("sync_batch_norm", "sync_batch_norm needs GPUs"),
    ],
)
def test_what_a_cpu_cannot_do_is_said(tmp_path: Path, key: str, message: str) -> None:
    recipe = Recipe(precision="16-mixed" if key == "precision" else "32-true")
    recipe.running.sync_batch_norm = key == "sync_batch_norm"
    with pytest.raises(RecipeError, match=message):
        make_trainer(recipe, tmp_path)


def test_the_trainer_is_what_the_recipe_asks_for(tmp_path: Path) -> None:
    recipe = Recipe(precision="bf16-mixed")
    recipe.optimizer.accumulate, recipe.optimizer.clip_gradient_norm = 4, 20.0
    recipe.running.devices = 2
    trainer = make_trainer(recipe, tmp_path)
    assert (trainer.world_size, trainer.accumulate_grad_batches) == (2, 4)
    assert (trainer.gradient_clip_val, trainer.precision) == (20.0, "bf16-mixed")
    assert micro_batch_size(recipe, world_size=trainer.world_size) == 64 // 8


def train_as_torchrun_does(rank: int, port: int, recipe: Recipe) -> None:
    as_torchrun_does(rank, 3, port)
    train(recipe)


@pytest.mark.slow
def test_three_processes_of_which_one_has_no_clip_neither_hang_nor_count_twice(
    tmp_path: Path,
) -> None:
    root, run = tmp_path / "motion", tmp_path / "run"
    generate(root, seed=1, clips_per_class=SplitSizes(1, 1, 1), processes=1)
    # Of 12 clips three are damaged: batches of 6, 2 for each process, some of them empty.
    damaged = [entry["id"] for entry in json.loads((root / "train.json").read_text())[:2]]
    damaged.append(json.loads((root / "validation.json").read_text())[5]["id"])
    for video_id in damaged:
        (root / "videos" / f"{video_id}.mp4").write_text("damaged")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(
        tmp_path / "recipe.yaml",
        # With this seed both damaged training clips are in one process's part of one step.
        [f"--data.root={root}", f"--output={run}", "--seed=4"],
    )
    run_apart(tmp_path / "said", 3, train_as_torchrun_does, free_ports(1)[0], recipe)
    said = [(tmp_path / "said" / f"{rank}.out").read_text() for rank in range(3)]
    assert said[1:] == ["", ""]
    assert [said[0].count(f"{video_id}.mp4: not a readable") for video_id in damaged] == [1, 1, 1]

    # The validation by hand, clip by clip, by the weights that validated.
    recognizer = load(run / "last.ckpt")
    preprocessing = recognizer.config.preprocessing
    losses, right = [], []
    for clip in read_split("motion", root, "validation").clips:
        if clip.video.stem in damaged:
            continue
        frames = preprocessing.center_view(read_center(clip, preprocessing))
        with torch.inference_mode():
            logits = recognizer.network(preprocessing.normalize(frames[None]))
        losses.append(F.cross_entropy(logits[0], torch.tensor(clip.label)).item())
        right.append(logits.argmax().item() == clip.label)
    (record,) = read_history(run / "history.jsonl")
    assert len(losses) == 11
    assert record.validation_loss == pytest.approx(sum(losses) / 11, rel=1e-4)
    assert record.validation_top1 == pytest.approx(sum(right) / 11)
