"""Transforms: one draw a clip, labels that follow the flip, ImageNet's normalisation."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from stmnet.data.records import ClipList
from stmnet.data.transforms import Augmentation, Preprocessing, RandomMirror
from stmnet.errors import DatasetError
from stmnet.training.recipe import AugmentationRecipe

SMALL = Preprocessing(num_frames=4, short_side=36, crop_size=32)


def noise(num_frames: int = 4, height: int = 40, width: int = 60) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(0, 256, (1, 3, height, width), generator=generator, dtype=torch.uint8)
    return frames.repeat(num_frames, 1, 1, 1)


def test_all_frames_of_a_clip_share_every_draw() -> None:
    recipe = AugmentationRecipe(
        crop="scale_jitter", short_sides=[34, 36, 40], grayscale_probability=0.5
    )
    view = Augmentation(**asdict(recipe)).view(32, mirrored_labels=[0, 1])
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        frames, _ = view(noise(), 0)
        assert frames.shape == (4, 3, 32, 32)
        assert frames.dtype == torch.uint8
        assert all(torch.equal(frame, frames[0]) for frame in frames[1:])
        seen.add(frames.sum().item())
    assert len(seen) > 20, "clips differ from each other"


def test_mirror_flips_frames_and_label_together() -> None:
    mirror = RandomMirror([1, 0, 2], probability=0.5)
    frames = noise()
    num_flipped = 0
    torch.manual_seed(0)
    for _ in range(400):
        for label, partner in [(0, 1), (1, 0), (2, 2)]:
            result, new_label = mirror(frames, label)
            if torch.equal(result, frames):
                assert new_label == label
            else:
                num_flipped += 1
                assert new_label == partner
                by_hand = torch.stack([frames[..., column] for column in range(59, -1, -1)], dim=-1)
                assert torch.equal(result, by_hand)
    # 1200 fair draws: five standard deviations are 87
    assert abs(num_flipped - 600) < 87


def test_center_view_is_the_middle_of_the_scaled_frame() -> None:
    frames = torch.zeros(2, 3, 72, 96, dtype=torch.uint8)
    frames[:, :, 36 - 8 : 36 + 8, 48 - 8 : 48 + 8] = 200
    view = Preprocessing(num_frames=2, short_side=36, crop_size=32).center_view()(frames)
    assert view.shape == (2, 3, 32, 32)
    rows, columns = torch.nonzero(view[0, 0] > 100, as_tuple=True)
    # The square of 16 pixels around the middle is one of 8 at half the scale.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 19, 12, 19)


def test_normalisation_by_hand() -> None:
    clips = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 3, 1, 1)
    result = SMALL.normalize(clips).flatten()
    expected = [(0 / 255 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_mirrored_labels_go_by_name() -> None:
    names = ("Holding it upright", "Moving left", "Moving right")
    clip_list = ClipList((), names, {"Moving left": "Moving right", "Moving right": "Moving left"})
    assert clip_list.mirrored_labels() == [0, 2, 1]


def test_a_lost_partner_is_named() -> None:
    clip_list = ClipList((), ("Moving left",), {"Moving left": "Moving right"})
    with pytest.raises(DatasetError, match="mirror image of 'Moving left' is 'Moving right'"):
        clip_list.mirrored_labels()
