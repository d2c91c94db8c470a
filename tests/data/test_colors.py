"""Colors: every step by its definition, pixel by pixel; torchvision; draws by chi-square."""

from __future__ import annotations

import colorsys
from dataclasses import asdict
from itertools import permutations

import pytest
import torch
from torchvision.transforms import v2

from stmnet.data.augmentation import Augmentation, RandomColors
from stmnet.data.colors import apply_colors, compose_colors, hue_rotation
from stmnet.runs.recipe import AugmentationRecipe
from tests.data.statistics import assert_drawn_from, uniform

IDENTITY = compose_colors([])


def noise(*shape: int, low: int = 0, high: int = 256) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(low, high, shape, generator=generator).float()


def by_definition(frame: torch.Tensor, steps: list[tuple[str, float]]) -> torch.Tensor:
    """(3, H, W), a loop over its pixels: no matrices, clipped at the end."""
    height, width = frame.shape[-2:]
    pixels = [frame[:, y, x].tolist() for y in range(height) for x in range(width)]
    for step, factor in steps:
        grays = [0.2989 * red + 0.587 * green + 0.114 * blue for red, green, blue in pixels]
        mean_gray = sum(grays) / len(grays)
        for i, (pixel, gray) in enumerate(zip(pixels, grays, strict=True)):
            if step == "brightness":
                pixels[i] = [factor * value for value in pixel]
            elif step == "contrast":
                pixels[i] = [factor * value + (1 - factor) * mean_gray for value in pixel]
            elif step == "saturation":
                pixels[i] = [factor * value + (1 - factor) * gray for value in pixel]
            else:
                pixels[i] = [gray, gray, gray]
    clipped = [[min(max(value, 0.0), 255.0) for value in pixel] for pixel in pixels]
    return torch.tensor(clipped).T.view(3, height, width)


STEPS = [("brightness", 1.3), ("contrast", 0.6), ("saturation", 1.7), ("gray", 0.0)]
ORDERS = [list(order) for length in range(1, 5) for order in permutations(STEPS, length)]
# A second contrast mixes in the mean of a frame that the first has changed.
ORDERS.append([("contrast", 0.6), ("saturation", 1.7), ("contrast", 1.2)])


@pytest.mark.parametrize("steps", ORDERS, ids=lambda steps: "-".join(name for name, _ in steps))
def test_every_order_of_steps_by_definition(steps: list[tuple[str, float]]) -> None:
    clip = noise(1, 2, 3, 4, 5)
    clip[0, 1] *= 0.4  # a frame with another mean
    colors = compose_colors([("saturation" if name == "gray" else name, f) for name, f in steps])
    result = apply_colors(clip, colors.unsqueeze(0))
    for frame, ours in zip(clip[0], result[0], strict=True):
        torch.testing.assert_close(ours, by_definition(frame, steps), atol=2e-3, rtol=0)


def test_nothing_is_clipped_between_steps() -> None:
    clip = torch.full((1, 1, 3, 2, 2), 200.0)
    colors = compose_colors([("brightness", 2.0), ("brightness", 0.5)])
    torch.testing.assert_close(apply_colors(clip, colors.unsqueeze(0)), clip)


@pytest.mark.parametrize("seed", range(20))
def test_mid_range_pictures_as_torchvision_has_them(seed: int) -> None:
    frames = noise(2, 3, 20, 30, low=70, high=181)
    torch.manual_seed(seed)
    colors = RandomColors(0.2, 0.2, 0.2, 0.0, grayscale_probability=0.3).draw()
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    jittered = v2.ColorJitter(0.2, 0.2, 0.2)(frames / 255)
    expected = 255 * v2.RandomGrayscale(0.3)(jittered)
    assert torch.equal(torch.get_rng_state(), state), "the same draws"
    torch.testing.assert_close(apply_colors(frames, colors), expected, atol=0.05, rtol=0)


def test_hue_keeps_gray_and_luma_and_turns_as_torchvision_does() -> None:
    for turn in (-0.5, -0.1, 0.2):
        rotation = hue_rotation(turn).float()
        luma = torch.tensor([0.2989, 0.587, 0.114])
        torch.testing.assert_close(rotation @ torch.ones(3), torch.ones(3))
        torch.testing.assert_close(luma @ rotation, luma)
        torch.testing.assert_close(hue_rotation(-turn).float() @ rotation, torch.eye(3))
    # Of muted colors, the hue in HSV moves as far, give or take what the hexagon bends.
    for red, green, blue in [(0.6, 0.4, 0.4), (0.4, 0.6, 0.4), (0.4, 0.4, 0.6), (0.6, 0.6, 0.4)]:
        color = torch.tensor([red, green, blue])
        turned = hue_rotation(0.1).float() @ color
        moved = colorsys.rgb_to_hsv(*turned.tolist())[0] - colorsys.rgb_to_hsv(red, green, blue)[0]
        assert moved % 1 == pytest.approx(0.1, abs=0.05)


def test_hue_takes_its_place_in_the_order() -> None:
    clip = noise(1, 1, 3, 4, 5, low=100, high=140)
    first, last = ("hue", 0.1), ("contrast", 0.5)
    alone = apply_colors(clip, compose_colors([first]).unsqueeze(0))
    expected = by_definition(alone[0, 0], [last])
    both = apply_colors(clip, compose_colors([first, last]).unsqueeze(0))
    torch.testing.assert_close(both[0, 0], expected, atol=2e-3, rtol=0)


def test_every_draw_is_as_its_strength_says() -> None:
    # One strength at a time, and the factor read off the matrices.
    torch.manual_seed(0)
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    for name in ("brightness", "contrast", "saturation"):
        colors = RandomColors(**{**off, name: 0.2}, grayscale_probability=0.0)
        # Red less green of a red pixel: all three scale it by their factor.
        factors = [float((m := colors.draw())[0, 0] - m[1, 0]) for _ in range(2000)]
        assert_drawn_from([int((f - 0.8) / 0.4 * 10) for f in factors], uniform(range(10)))
    grayscale = RandomColors(**off, grayscale_probability=0.2)
    grays = [torch.equal((m := grayscale.draw())[0], m[1]) for _ in range(1000)]
    assert_drawn_from(grays, {True: 0.2, False: 0.8})


def test_steps_come_in_every_order(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = []

    def record(steps: list[tuple[str, float]]) -> torch.Tensor:
        orders.append(tuple(name for name, _ in steps))
        return IDENTITY

    monkeypatch.setattr("stmnet.data.augmentation.compose_colors", record)
    colors = RandomColors(0.2, 0.2, 0.2, 0.1, grayscale_probability=0.0)
    torch.manual_seed(0)
    for _ in range(2000):
        colors.draw()
    names = ("brightness", "contrast", "saturation", "hue")
    assert_drawn_from(orders, uniform(permutations(names)))


def test_no_colors_give_back_the_very_same_tensor() -> None:
    clip = noise(1, 2, 3, 4, 5)
    assert apply_colors(clip, None) is clip
    torch.testing.assert_close(apply_colors(clip, IDENTITY.unsqueeze(0)), clip)
    off = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "grayscale_probability": 0}
    assert Augmentation(**{**asdict(AugmentationRecipe()), **off}).colors() is None
    for name in off:
        assert Augmentation(**{**asdict(AugmentationRecipe()), **off, name: 0.1}).colors()


def test_every_clip_and_view_has_its_own_colors_and_all_frames_share_them() -> None:
    frame = noise(3, 4, 5)
    clips = frame.expand(2, 2, 3, 3, 4, 5).clone()  # (N, V, T, 3, H, W)
    factors = [[0.5, 0.6], [0.7, 0.8]]
    colors = torch.stack(
        [torch.stack([compose_colors([("brightness", f)]) for f in row]) for row in factors]
    )
    result = apply_colors(clips, colors)
    for row, views in zip(factors, result, strict=True):
        for factor, frames in zip(row, views, strict=True):
            torch.testing.assert_close(frames, (factor * frame).expand(3, 3, 4, 5))
    assert torch.equal(clips[0, 0, 0], frame), "the input is left alone"


def test_channels_last_in_memory_makes_no_difference() -> None:
    clips = noise(2, 2, 4, 5, 3).movedim(-1, -3)
    colors = torch.stack([compose_colors(STEPS[:3]), compose_colors(STEPS[2::-1])])
    assert torch.allclose(apply_colors(clips, colors), apply_colors(clips.contiguous(), colors))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    # A frame whose sum overflows float16.
    clips = noise(1, 2, 3, 40, 50).to(dtype)
    colors = compose_colors(STEPS[:3]).unsqueeze(0)
    result = apply_colors(clips, colors)
    assert result.dtype == dtype
    assert torch.equal(result, apply_colors(clips.float(), colors).to(dtype))


def test_mixed_precision_does_not_reach_the_colors() -> None:
    clips = noise(1, 2, 3, 4, 5)
    colors = compose_colors(STEPS[:3]).unsqueeze(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = apply_colors(clips, colors)
    assert torch.equal(mixed, apply_colors(clips, colors))
