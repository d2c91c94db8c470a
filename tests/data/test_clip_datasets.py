"""Training samples: frames of their own video, chosen by name of the rule, distorted by seed."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import TrainingClips
from stmnet.data.loaders import collate
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_clip
from stmnet.data.sampling import (
    random_dense_indices,
    random_segment_indices,
    random_segment_indices_without_tail,
    seeded_generator,
)
from stmnet.datasets.clip_list import ClipList
from stmnet.runs.recipe import AugmentationRecipe
from stmnet.video.reader import VideoFile
from tests.conftest import decode_all

PREPROCESSING = Preprocessing(num_frames=4, short_side=36, crop_size=32)
AUGMENTATION = Augmentation(**asdict(AugmentationRecipe()))


def test_a_training_sample_is_frames_of_its_own_video_in_order(clip_list: ClipList) -> None:
    clips = TrainingClips(
        clip_list,
        Preprocessing(num_frames=4, short_side=72, crop_size=72),
        AUGMENTATION,
        sampling="segments",
        seed=0,
    )
    clips.view = torch.nn.Identity()
    clips.view.forward = lambda frames, label: (frames, label)
    video = torch.from_numpy(decode_all(clip_list.clips[5].video)).permute(0, 3, 1, 2)
    frames = clips[0, 5].frames
    positions = [int((video == frame).all(dim=(1, 2, 3)).nonzero()[0]) for frame in frames]
    assert positions == sorted(positions)
    assert len(set(positions)) == 4


def test_two_views_are_distortions_of_frames_decoded_once(
    clip_list: ClipList, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_reads = 0

    def counting(*arguments: object, **options: object) -> torch.Tensor:
        nonlocal num_reads
        num_reads += 1
        return read_clip(*arguments, **options)

    monkeypatch.setattr("stmnet.data.clip_datasets.read_clip", counting)
    clips = TrainingClips(
        clip_list, PREPROCESSING, AUGMENTATION, sampling="segments", seed=1, num_views=2
    )
    batch = collate([clips[0, index] for index in range(7)])
    assert num_reads == 7
    assert batch.frames.shape == (7, 2, 4, 3, 32, 32)
    assert batch.frames.dtype == torch.uint8
    assert batch.labels.shape == (7,)
    assert not any(torch.equal(first, second) for first, second in batch.frames)
    assert batch.colors.shape == (7, 2, 3, 6)
    assert not any(torch.equal(first, second) for first, second in batch.colors)
    # Undistorted, both views are the same frames.
    clips.view.crop = torch.nn.Identity()
    for index in range(7):
        frames = clips[0, index].frames
        assert torch.equal(frames[0], frames[1])


def test_colors_are_drawn_after_the_crop_and_the_flip(clip_list: ClipList) -> None:
    # Frames and labels of a seed do not hang on whether there are colors at all.
    plain = AugmentationRecipe(
        brightness=0.0, contrast=0.0, saturation=0.0, grayscale_probability=0.0
    )
    for num_views in (1, 2):
        both = [
            TrainingClips(
                clip_list, PREPROCESSING, augmentation, sampling="segments", seed=1,
                num_views=num_views,
            )
            for augmentation in (AUGMENTATION, Augmentation(**asdict(plain)))
        ]  # fmt: skip
        for index in range(7):
            colored, uncolored = (clips[3, index] for clips in both)
            assert uncolored.colors is None
            assert torch.equal(colored.frames, uncolored.frames)
            assert colored.label == uncolored.label


def test_the_sampling_goes_by_its_name(
    clip_list: ClipList, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def record(_: VideoFile, indices: list[int], *, square_pixels: bool) -> torch.Tensor:
        asked.append(indices)
        return torch.zeros(len(indices), 3, 36, 36, dtype=torch.uint8)

    monkeypatch.setattr(VideoFile, "read", record)
    expected = []
    for name, draw in [
        ("segments", random_segment_indices),
        ("segments_without_tail", random_segment_indices_without_tail),
        ("dense", random_dense_indices),
    ]:
        clips = TrainingClips(clip_list, PREPROCESSING, AUGMENTATION, sampling=name, seed=5)
        assert clips[2, 3].frames is not None
        # The fourth video has 15 frames.
        expected.append(draw(15, 4, seeded_generator(5, 2, 3)))
    assert asked == expected
    assert len({tuple(indices) for indices in asked}) == 3
