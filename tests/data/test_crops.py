"""Crops: sizes and places enumerated exactly, draws by chi-square, pixels by slicing."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from stmnet.data.crops import MultiScaleCrop, crop_positions, crop_sizes
from tests.data.noise import noise
from tests.data.statistics import assert_drawn_from, uniform

SCALES = [1.0, 0.875, 0.75, 0.66]


def test_the_ten_sizes_of_a_multi_scale_crop() -> None:
    assert sorted(crop_sizes(256, SCALES)) == [
        (168, 168), (168, 192),
        (192, 168), (192, 192), (192, 224),
        (224, 192), (224, 224), (224, 256),
        (256, 224), (256, 256),
    ]  # fmt: skip
    assert crop_sizes(1, [0.5]) == [(1, 1)]


def test_the_thirteen_places_of_a_multi_scale_crop() -> None:
    corners_and_center = {(0, 0), (0, 116), (32, 0), (32, 116), (16, 58)}
    # A 224 x 224 crop in 340 x 256.
    assert set(crop_positions(32, 116, 5)) == corners_and_center
    assert len(crop_positions(32, 116, 5)) == 5
    assert set(crop_positions(32, 116, 13)) == corners_and_center | {
        (16, 0), (16, 116), (0, 58), (32, 58),
        (8, 29), (8, 87), (24, 29), (24, 87),
    }  # fmt: skip
    assert len(crop_positions(32, 116, 13)) == 13
    # The far edges are touched where four does not divide what is left over.
    assert {(7, 9), (0, 9), (7, 0)} <= set(crop_positions(7, 9, 5))


@pytest.mark.parametrize("num_positions", [5, 13])
def test_sizes_and_places_are_drawn_evenly(num_positions: int) -> None:
    frames = torch.empty(2, 3, 32, 48)
    crop = MultiScaleCrop(16, [1.0, 0.75, 0.5], num_positions)
    probabilities: dict[tuple[int, int, int, int], float] = {}
    # By hand: seven pairs of 32, 24 and 16 pixels that are neighbors; quarters of what is left.
    sizes = [(32, 32), (32, 24), (24, 32), (24, 24), (24, 16), (16, 24), (16, 16)]
    quarters = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    if num_positions == 13:
        quarters += [(y, x) for y in (0, 2, 4) for x in (0, 2, 4) if (y == 2) != (x == 2)]
        quarters += [(y, x) for y in (1, 3) for x in (1, 3)]
    for height, width in sizes:
        for y, x in quarters:
            place = (y * (32 - height) // 4, x * (48 - width) // 4, height, width)
            probabilities[place] = probabilities.get(place, 0) + 1 / (7 * len(quarters))
    torch.manual_seed(0)
    draws = [tuple(crop.make_params([frames]).values()) for _ in range(3000)]
    assert_drawn_from(draws, probabilities)


def test_a_multi_scale_crop_is_one_cut_resized_for_all_frames() -> None:
    frames = noise(3, 30, 40)
    crop = MultiScaleCrop(16, SCALES, 13)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        params = crop.make_params([frames])
        torch.manual_seed(seed)
        result, label = crop(frames, 7)
        assert label == 7
        rows = slice(params["top"], params["top"] + params["height"])
        columns = slice(params["left"], params["left"] + params["width"])
        cut = frames[..., rows, columns]
        assert cut.shape[-2:] == (params["height"], params["width"]), "inside the frame"
        alone = torch.stack([v2.Resize((16, 16), antialias=True)(frame) for frame in cut])
        torch.testing.assert_close(result, alone, atol=1, rtol=0)
        assert result.dtype == torch.uint8
        seen.add(tuple(params.values()))
    assert len(seen) > 15


def test_no_scale_is_above_one_or_missing() -> None:
    for scales in ([], [1.0, 1.1], [0.0]):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            MultiScaleCrop(16, scales, 5)


def test_uniform_counts_repeats_twice() -> None:
    assert uniform([1, 2, 2, 3]) == {1: 0.25, 2: 0.5, 3: 0.25}
