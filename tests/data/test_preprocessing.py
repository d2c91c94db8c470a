"""Test views and normalization: by hand, and bit for bit as torchvision's transforms."""

from __future__ import annotations

import random

import pytest
import torch
from torchvision.transforms import v2

from stmnet.data.colors import compose_colors
from stmnet.data.preprocessing import Preprocessing, three_crops
from tests.data.noise import noise

SMALL = Preprocessing(num_frames=4, short_side=36, crop_size=32)


def sizes() -> list[tuple[int, int, int]]:
    """(height, width, short side): odd ones, extreme ones, and what videos have."""
    random.seed(0)
    drawn = [tuple(random.randint(1, 150) for _ in range(2)) for _ in range(40)]
    chosen = [(1, 1), (1, 90), (90, 1), (2, 3), (37, 36), (36, 37), (240, 427), (360, 203)]
    return [(*size, side) for size in drawn + chosen for side in (8, 36, 57)]


@pytest.mark.parametrize("lies", ["channels last", "channels first", "cut from a larger one"])
def test_views_are_torchvisions_bit_for_bit(lies: str) -> None:
    for height, width, short_side in sizes():
        frames = noise(2, height, width)
        if lies == "channels first":
            frames = frames.contiguous()
        elif lies == "cut from a larger one":
            frames = noise(2, height + 3, width + 5)[..., 2:-1, 1:-4]
        preprocessing = Preprocessing(num_frames=2, short_side=short_side, crop_size=short_side - 3)
        resized = v2.Resize(short_side, antialias=True)(frames)
        center = preprocessing.center_view(frames)
        assert torch.equal(center, v2.CenterCrop(short_side - 3)(resized)), (height, width)
        if min(height, width) < 8:
            continue
        side = min(resized.shape[-2:])
        free = max(resized.shape[-2:]) - side
        for part, crop in enumerate(preprocessing.three_crop_view(frames)):
            top, left = (part * free // 2, 0) if height > width else (0, part * free // 2)
            expected = v2.functional.resized_crop(
                resized, top, left, side, side, [short_side - 3] * 2, antialias=True
            )
            assert torch.equal(crop, expected), (height, width)


def test_what_cannot_be_meant_is_an_error() -> None:
    for wrong, message in [
        ({"num_frames": 0}, "num_frames 0: give at least 1"),
        ({"crop_size": 0}, "crop_size 0: give at least 1"),
        ({"crop_size": 37}, "crop_size 37: give at most short_side, 36"),
        ({"mean": (0.5,)}, "give three numbers each"),
    ]:
        with pytest.raises(ValueError, match=message):
            Preprocessing(**{"num_frames": 4, "short_side": 36, "crop_size": 32} | wrong)


def test_center_view_is_the_middle_of_the_scaled_frame() -> None:
    frames = torch.zeros(2, 3, 72, 96, dtype=torch.uint8)
    frames[:, :, 36 - 8 : 36 + 8, 48 - 8 : 48 + 8] = 200
    view = Preprocessing(num_frames=2, short_side=36, crop_size=32).center_view(frames)
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


@pytest.mark.parametrize(("height", "width"), [(40, 71), (71, 40), (40, 40), (40, 120)])
def test_three_crops_are_the_ends_and_the_middle_of_the_long_side(height: int, width: int) -> None:
    frames = noise(2, height, width)
    crops = three_crops(frames, 40)
    free = max(height, width) - 40
    covered = set()
    for crop, start in zip(crops, (0, free // 2, free), strict=True):
        if width >= height:
            assert torch.equal(crop, frames[:, :, :, start : start + 40])
        else:
            assert torch.equal(crop, frames[:, :, start : start + 40])
        covered |= set(range(start, start + 40))
    assert covered == set(range(max(height, width)))


def test_three_crops_of_the_paper() -> None:
    frames = noise(2, 120, 170)
    preprocessing = Preprocessing(num_frames=2, short_side=64, crop_size=56)
    view = preprocessing.three_crop_view(frames)
    assert view.shape == (3, 2, 3, 56, 56)
    assert view.dtype == torch.uint8
    resized = v2.Resize(64, antialias=True)(frames)
    assert resized.shape[-2:] == (64, 90)
    for crop, left in zip(view, (0, 13, 26), strict=True):
        cut = resized[..., left : left + 64].contiguous()
        alone = v2.Resize((56, 56), antialias=True)(cut)
        torch.testing.assert_close(crop, alone, atol=1, rtol=0)
