"""Transforms: one draw a clip, labels that follow the flip, ImageNet's normalization."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torchvision.transforms import v2

from stmnet.data.colors import compose_colors
from stmnet.data.transforms import Augmentation, Preprocessing, RandomMirror
from stmnet.datasets.clip_list import ClipList
from stmnet.errors import DatasetError
from stmnet.runs.recipe import AugmentationRecipe
from tests.data.statistics import assert_drawn_from, uniform

SMALL = Preprocessing(num_frames=4, short_side=36, crop_size=32)


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
    with pytest.raises(ValueError, match="0 views of a clip"):
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


def test_center_view_is_the_middle_of_the_scaled_frame() -> None:
    frames = torch.zeros(2, 3, 72, 96, dtype=torch.uint8)
    frames[:, :, 36 - 8 : 36 + 8, 48 - 8 : 48 + 8] = 200
    view = Preprocessing(num_frames=2, short_side=36, crop_size=32).center_view()(frames)
    assert view.shape == (2, 3, 32, 32)
    rows, columns = torch.nonzero(view[0, 0] > 100, as_tuple=True)
    # The square of 16 pixels around the middle is one of 8 at half the scale.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 19, 12, 19)


def test_normalization_by_hand() -> None:
    clips = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 3, 1, 1)
    result = SMALL.normalize(clips).flatten()
    expected = [(0 / 255 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(result, torch.tensor(expected))


@pytest.mark.parametrize("lies", ["channels last", "channels first"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("with_colors", [False, True])
def test_normalized_clips_lie_channels_last(
    lies: str, dtype: torch.dtype, with_colors: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (2, 3, 4, 5, 3), generator=generator).to(dtype).movedim(-1, -3)
    if lies == "channels first":
        clips = clips.contiguous()
    before = clips.clone()
    steps = [("brightness", 1.3), ("contrast", 0.5), ("saturation", 1.4)]
    colors = compose_colors(steps).expand(2, 3, 6) if with_colors else None
    result = SMALL.normalize(clips, colors)
    assert torch.equal(clips, before), "the input is left alone"
    assert result.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    for clip, own in zip(before.double(), result, strict=True):
        for frame, normalized in zip(clip, own, strict=True):
            if colors is not None:
                both = torch.cat([frame, frame.mean((1, 2), keepdim=True).expand_as(frame)])
                frame = torch.einsum("ck,khw->chw", colors[0].double(), both).clamp(0, 255)
            for channel in range(3):
                expected = (frame[channel] / 255 - SMALL.mean[channel]) / SMALL.std[channel]
                torch.testing.assert_close(normalized[channel], expected.float())


def test_colors_come_before_the_normalization() -> None:
    # 200 twice as bright is clipped to 255, and only then made to have mean zero.
    clips = torch.tensor([200, 50, 0], dtype=torch.uint8).view(1, 1, 3, 1, 1)
    colors = compose_colors([("brightness", 2.0)]).unsqueeze(0)
    result = SMALL.normalize(clips, colors).flatten()
    expected = [(1 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_mirrored_labels_go_by_name() -> None:
    names = ("Holding it upright", "Moving left", "Moving right")
    clip_list = ClipList((), names, {"Moving left": "Moving right", "Moving right": "Moving left"})
    assert clip_list.mirrored_labels() == [0, 2, 1]


def test_a_lost_partner_is_named() -> None:
    clip_list = ClipList((), ("Moving left",), {"Moving left": "Moving right"})
    with pytest.raises(DatasetError, match="mirror image of 'Moving left' is 'Moving right'"):
        clip_list.mirrored_labels()
