"""Augmentation: one draw a clip, and labels that follow the flip."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torchvision.transforms import v2

from stmnet.data.augmentation import Augmentation, RandomMirror
from stmnet.datasets.clip_list import ClipList
from stmnet.errors import DatasetError
from stmnet.runs.recipe import AugmentationRecipe
from tests.data.statistics import assert_drawn_from, uniform


def noise(num_frames: int = 4, height: int = 40, width: int = 60) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(0, 256, (1, 3, height, width), generator=generator, dtype=torch.uint8)
    return frames.repeat(num_frames, 1, 1, 1)


def augmentation(**differing: object) -> Augmentation:
    return Augmentation(**asdict(AugmentationRecipe(**differing)))


@pytest.mark.parametrize("crop", ["multi_scale", "scale_jitter"])
@pytest.mark.parametrize("num_views", [1, 2])
def test_all_frames_of_a_clip_share_every_draw(crop: str, num_views: int) -> None:
    distortions = augmentation(crop=crop, short_sides=[34, 36, 40])
    view = distortions.view(32, mirrored_labels=[0, 1], num_views=num_views)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        frames, _ = view(noise(), 0)
        assert frames.dtype == torch.uint8
        assert frames.shape == ((4, 3, 32, 32) if num_views == 1 else (2, 4, 3, 32, 32))
        for clip in frames.view(num_views, 4, 3, 32, 32):
            assert all(torch.equal(frame, clip[0]) for frame in clip[1:])
            seen.add(clip.sum().item())
    assert len(seen) > 15 * num_views, "clips differ from each other, and so do views"


def test_scale_jitter_is_torchvisions_transforms_in_this_order() -> None:
    # The figures of `make demo` hang on this order of the draws.
    view = augmentation(
        crop="scale_jitter", short_sides=[34, 40], brightness=0, contrast=0, saturation=0
    ).view(32, mirrored_labels=[1, 0])
    for seed in range(40):
        torch.manual_seed(seed)
        frames, label = view(noise(), 0)
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        expected = v2.RandomCrop(32)(v2.RandomShortestSize([34, 40])(noise()))
        is_flipped = bool(torch.rand(()) < 0.5)
        expected = expected.flip(-1) if is_flipped else expected
        assert torch.equal(frames, expected)
        assert label == int(is_flipped)
        assert torch.equal(torch.get_rng_state(), state)


def test_two_views_are_flipped_together_and_cropped_apart() -> None:
    view = augmentation().view(32, mirrored_labels=[1, 0], num_views=2)
    # Brighter to the right: a flip shows in whatever crop.
    ramp = torch.arange(60, dtype=torch.uint8).mul(4).expand(4, 3, 40, 60)
    torch.manual_seed(0)
    labels = []
    num_same = 0
    for _ in range(400):
        frames, label = view(ramp, 0)
        rising = frames[..., -1].float().mean(dim=(1, 2, 3)) > frames[..., 0].float().mean(
            dim=(1, 2, 3)
        )
        assert rising.tolist() == [label == 0] * 2
        labels.append(label)
        num_same += torch.equal(frames[0], frames[1])
    assert_drawn_from(labels, {0: 0.5, 1: 0.5})
    assert 0 < num_same < 100, "views agree by chance only"


def test_views_need_at_least_one() -> None:
    with pytest.raises(ValueError, match="num_views 0: give at least 1"):
        augmentation().view(32, mirrored_labels=[0], num_views=0)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_mirror_flips_frames_and_label_together(probability: float) -> None:
    mirror = RandomMirror([1, 0, 2], probability)
    frames = noise()
    by_hand = torch.stack([frames[..., column] for column in range(59, -1, -1)], dim=-1)
    flips = []
    torch.manual_seed(0)
    for _ in range(200):
        for label, partner in [(0, 1), (1, 0), (2, 2)]:
            result, new_label = mirror(frames, label)
            is_flipped = torch.equal(result, by_hand)
            assert is_flipped or torch.equal(result, frames)
            assert new_label == (partner if is_flipped else label)
            flips.append(is_flipped)
    shares = {True: probability, False: 1 - probability}
    assert_drawn_from(flips, {flip: share for flip, share in shares.items() if share})


def test_scale_jitter_is_drawn_evenly() -> None:
    view = augmentation(crop="scale_jitter", short_sides=[34, 36, 40]).view(32, mirrored_labels=[0])
    shortest, crop = view.crop.transforms
    frames = noise(1)
    torch.manual_seed(0)
    heights = [shortest.make_params([frames])["size"][0] for _ in range(600)]
    assert_drawn_from(heights, uniform([34, 36, 40]))
    corners = [crop.make_params([frames[..., :35, :36]]) for _ in range(2000)]
    places = [(corner["top"], corner["left"]) for corner in corners]
    assert_drawn_from(places, uniform((top, left) for top in range(4) for left in range(5)))


def test_mirrored_labels_go_by_name() -> None:
    names = ("Holding it upright", "Moving left", "Moving right")
    clip_list = ClipList((), names, {"Moving left": "Moving right", "Moving right": "Moving left"})
    assert clip_list.mirrored_labels() == [0, 2, 1]


def test_a_lost_partner_is_named() -> None:
    clip_list = ClipList((), ("Moving left",), {"Moving left": "Moving right"})
    with pytest.raises(DatasetError, match="mirror image of 'Moving left' is 'Moving right'"):
        clip_list.mirrored_labels()
