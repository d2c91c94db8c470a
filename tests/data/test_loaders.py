"""From lists to batches: the same samples whatever the workers, and nothing left out silently."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import Batch, EvaluationClips, TrainingClips
from stmnet.data.loaders import TrainingLoader, collate, evaluation_loader
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.samplers import SINGLE_PROCESS, ProcessRank
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.errors import DatasetError
from stmnet.runs.recipe import AugmentationRecipe
from tests.conftest import decode_all

PREPROCESSING = Preprocessing(num_frames=4, short_side=36, crop_size=32)
AUGMENTATION = Augmentation(**asdict(AugmentationRecipe()))


def training_loader(
    clip_list: ClipList,
    num_workers: int = 0,
    seed: int = 1,
    batch_size: int = 2,
    process: ProcessRank = SINGLE_PROCESS,
    num_micro_batches: int = 1,
) -> TrainingLoader:
    return TrainingLoader(
        TrainingClips(clip_list, PREPROCESSING, AUGMENTATION, sampling="segments", seed=seed),
        batch_size=batch_size,
        num_workers=num_workers,
        pin_memory=False,
        process=process,
        num_micro_batches=num_micro_batches,
    )


def epoch_of(loader: TrainingLoader, epoch: int) -> list[Batch]:
    loader.epoch_sampler.set_epoch(epoch)
    return list(loader)


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second) > 0
    for ours, theirs in zip(first, second, strict=True):
        assert torch.equal(ours.frames, theirs.frames)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.colors, theirs.colors)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_samples_do_not_depend_on_workers_or_on_the_global_generator(clip_list: ClipList) -> None:
    torch.manual_seed(0)
    alone = epoch_of(training_loader(clip_list), epoch=2)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    for num_workers in (0, 1, 3):
        assert_same(alone, epoch_of(training_loader(clip_list, num_workers), epoch=2))
    assert torch.equal(torch.get_rng_state(), state), "loading draws nothing from the trainer"


def test_epochs_and_seeds_differ(clip_list: ClipList) -> None:
    loader = training_loader(clip_list)
    first, second = epoch_of(loader, 0), epoch_of(loader, 1)
    for name in ("frames", "colors"):
        assert not any(
            torch.equal(getattr(a, name), getattr(b, name))
            for a, b in zip(first, second, strict=True)
        )
    other = epoch_of(training_loader(clip_list, seed=2), 0)
    for name in ("frames", "colors"):
        assert not any(
            torch.equal(getattr(a, name), getattr(b, name))
            for a, b in zip(first, other, strict=True)
        )


def test_an_epoch_is_taken_up_in_its_middle(clip_list: ClipList) -> None:
    whole = epoch_of(training_loader(clip_list), epoch=3)
    left = training_loader(clip_list)
    left.epoch_sampler.set_epoch(3)
    left.num_batches_trained = 2
    resumed = training_loader(clip_list)
    resumed.load_state_dict(left.state_dict())
    assert_same(whole[2:], list(resumed))
    assert len(epoch_of(resumed, epoch=4)) == len(whole), "the next epoch is whole again"


def test_after_a_whole_epoch_the_next_one_follows(clip_list: ClipList) -> None:
    left = training_loader(clip_list)
    left.epoch_sampler.set_epoch(3)
    left.num_batches_trained = len(left)
    resumed = training_loader(clip_list)
    resumed.load_state_dict(left.state_dict())
    expected = epoch_of(training_loader(clip_list), epoch=4)
    assert_same(expected, list(resumed))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_batch_holds_its_samples_whatever_lies_last_in_memory(
    clip_list: ClipList, num_workers: int
) -> None:
    loader = training_loader(clip_list, num_workers, batch_size=7)
    loader.epoch_sampler.set_epoch(1)
    (batch,) = loader
    order = [index for _, index in loader.epoch_sampler]
    assert batch.frames.movedim(-3, -1).is_contiguous()
    clips = TrainingClips(clip_list, PREPROCESSING, AUGMENTATION, sampling="segments", seed=1)
    for index, frames, label, colors in zip(
        order, batch.frames, batch.labels, batch.colors, strict=True
    ):
        sample = clips[1, index]
        assert torch.equal(frames, sample.frames)
        assert torch.equal(colors, sample.colors)
        assert label == sample.label


def test_evaluation_takes_the_middle_frames_in_the_list_order(clip_list: ClipList) -> None:
    clips = EvaluationClips(clip_list, Preprocessing(num_frames=3, short_side=72, crop_size=72))
    loader = evaluation_loader(clips, batch_size=3, num_workers=1, pin_memory=False)
    batches = list(loader)
    assert torch.cat([batch.labels for batch in batches]).tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert [len(batch.labels) for batch in batches] == [3, 3, 1]
    # 9 frames in 3 segments: the middles are 1, 4, 7; the center 72 of 96 columns start at 12.
    video = torch.from_numpy(decode_all(clip_list.clips[1].video)).permute(0, 3, 1, 2)
    assert torch.equal(batches[0].frames[1], video[[1, 4, 7], :, :, 12:84])


def test_unreadable_clips_are_reported_and_the_rest_goes_on(
    clip_list: ClipList, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    clips = (*clip_list.clips[:2], Clip(broken, 1))
    damaged = ClipList(clips, clip_list.label_names, clip_list.mirrored)
    (batch,) = training_loader(damaged, num_workers=1, batch_size=3)
    assert len(batch.frames) == len(batch.labels) == len(batch.colors) == 2
    assert list(batch.unreadable) == [2]
    assert batch.unreadable[2].startswith(f"{broken}: not a readable video")
    nothing = collate(
        [TrainingClips(damaged, PREPROCESSING, AUGMENTATION, sampling="segments", seed=0)[0, 2]]
    )
    assert len(nothing.frames) == len(nothing.labels) == 0
    assert nothing.colors is None


def test_fewer_clips_than_a_batch_is_an_error(clip_list: ClipList) -> None:
    with pytest.raises(DatasetError, match="7 training clips are fewer than one batch of 8"):
        training_loader(clip_list, batch_size=8)


def test_every_process_has_as_many_batches_and_no_clip_comes_twice(clip_list: ClipList) -> None:
    clips = EvaluationClips(clip_list, PREPROCESSING)
    shares = [
        evaluation_loader(
            clips, batch_size=3, num_workers=0, pin_memory=False, process=ProcessRank(rank, 3)
        )
        for rank in range(3)
    ]
    sizes = [[len(batch.labels) for batch in share] for share in shares]
    assert sizes == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]
    (whole,) = evaluation_loader(clips, batch_size=9, num_workers=0, pin_memory=False)
    in_order = [batch for batches in zip(*shares, strict=True) for batch in batches]
    frames = torch.cat([batch.frames for batch in in_order if len(batch.frames)])
    assert torch.equal(frames, whole.frames)


def test_an_epoch_is_taken_up_by_another_number_of_processes(clip_list: ClipList) -> None:
    whole = epoch_of(training_loader(clip_list), epoch=3)
    left = training_loader(clip_list)
    left.epoch_sampler.set_epoch(3)
    left.num_batches_trained = 1
    shares = [training_loader(clip_list, process=ProcessRank(rank, 2)) for rank in range(2)]
    for share in shares:
        share.load_state_dict(left.state_dict())
    for step, first, second in zip(whole[1:], *shares, strict=True):
        assert torch.equal(step.frames, torch.cat([first.frames, second.frames]))
    # Two micro-batches a step: after two of them, one step is done.
    in_halves = training_loader(clip_list, num_micro_batches=2)
    in_halves.load_state_dict({"epoch": 3, "num_batches_trained": 2})
    first, second, *_ = in_halves
    assert torch.equal(whole[1].frames, torch.cat([first.frames, second.frames]))


def test_a_loader_that_is_still_held_lets_python_end(clip_list: ClipList, tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(
        "from pathlib import Path\n"
        "from stmnet.data.clip_datasets import EvaluationClips\n"
        "from stmnet.data.loaders import evaluation_loader\n"
        "from stmnet.datasets.clip_list import Clip, ClipList\n"
        "from stmnet.data.preprocessing import Preprocessing\n"
        f"clips = ClipList((Clip(Path({str(clip_list.clips[0].video)!r}), 0),) * 8, ('a',))\n"
        "clips = EvaluationClips(clips, Preprocessing(4, short_side=36, crop_size=32))\n"
        "loader = evaluation_loader(clips, batch_size=1, num_workers=2, pin_memory=False)\n"
        "batches = iter(loader)\n"
        "next(batches)\n"
        "raise RuntimeError('a mistake in the notebook')\n"
    )
    done = subprocess.run(
        [sys.executable, script], timeout=60, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("RuntimeError: a mistake in the notebook")
