"""Shared memory that is used again, and never while the trainer still refers to it."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import TrainingClips
from stmnet.data.loaders import TrainingLoader
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.shared_memory import NUM_SLOTS
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.runs.recipe import AugmentationRecipe
from tests.conftest import VideoWriter

NUM_BATCHES = 20


@pytest.fixture
def clip_list(make_video: VideoWriter) -> ClipList:
    videos = [make_video(f"{i}.mp4", num_frames=6 + 3 * i) for i in range(5)]
    return ClipList(tuple(Clip(videos[i % 5], 0) for i in range(2 * NUM_BATCHES)), ("any",))


def make_loader(clip_list: ClipList, num_workers: int) -> TrainingLoader:
    preprocessing = Preprocessing(num_frames=4, short_side=36, crop_size=32)
    augmentation = Augmentation(**asdict(AugmentationRecipe()))
    clips = TrainingClips(clip_list, preprocessing, augmentation, sampling="segments", seed=1)
    return TrainingLoader(clips, batch_size=2, num_workers=num_workers, pin_memory=False)


def frames_of_epoch(loader: TrainingLoader, epoch: int) -> list[Tensor]:
    loader.epoch_sampler.set_epoch(epoch)
    return [batch.frames.clone() for batch in loader]


def shared_file_of(frames: Tensor) -> int:
    """The number of the file that the tensor's memory is."""
    descriptor, _ = frames.untyped_storage()._share_fd_cpu_()  # the storage's own
    return os.fstat(descriptor).st_ino


def test_memory_is_used_again_epoch_after_epoch(clip_list: ClipList) -> None:
    alone, loader = make_loader(clip_list, 0), make_loader(clip_list, 2)
    files = set()
    for epoch in range(3):
        loader.epoch_sampler.set_epoch(epoch)
        frames = []
        for batch in loader:
            files.add(shared_file_of(batch.frames))
            frames.append(batch.frames.clone())
        assert len(frames) == NUM_BATCHES
        assert all(map(torch.equal, frames, frames_of_epoch(alone, epoch)))
    assert len(files) <= 2 * NUM_SLOTS


def test_what_is_still_referred_to_stays_as_it_is(clip_list: ClipList) -> None:
    """More batches than there are slots, each by a view of it alone, over two epochs."""
    alone, loader = make_loader(clip_list, 0), make_loader(clip_list, 2)
    held: list[Tensor] = []
    for epoch in range(2):
        loader.epoch_sampler.set_epoch(epoch)
        held += [batch.frames[1:, 2] for batch in loader]
    expected = [frames for epoch in range(2) for frames in frames_of_epoch(alone, epoch)]
    assert len(held) == 2 * NUM_BATCHES
    for seen, frames in zip(held, expected, strict=True):
        assert torch.equal(seen, frames[1:, 2])


def test_epochs_that_are_broken_off_cost_no_slots(clip_list: ClipList) -> None:
    alone, loader = make_loader(clip_list, 0), make_loader(clip_list, 2)
    files = set()
    for epoch in range(6):
        loader.epoch_sampler.set_epoch(epoch)
        batches = iter(loader)
        frames = [next(batches).frames.clone() for _ in range(3)]
        assert all(map(torch.equal, frames, frames_of_epoch(alone, epoch)))
    loader.epoch_sampler.set_epoch(6)
    for batch in loader:
        files.add(shared_file_of(batch.frames))
    assert len(files) <= 2 * NUM_SLOTS
