"""From a scene to frames: backdrop, camera shake, things with shadows, light and grain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stmnet.motion.scene import (
    HEIGHT,
    NUM_FRAMES,
    PATTERNS,
    WIDTH,
    Array,
    Part,
    Thing,
    Track,
    any_angle,
    around_zero,
    constant,
    pick,
    random_center,
    random_pattern,
    random_progress,
    random_shape,
    rgb,
    wobble,
)

SHAKE_PIXELS = 1.0
BACKDROP_MARGIN = 4
SHADOW_PIXELS = 5.0
RIM_PIXELS = 3.0

Action = Callable[[np.random.Generator, float], list[Thing]]
"""(rng, hue of the backdrop) -> what moves, the later in front of the earlier."""


@dataclass(frozen=True)
class RenderedClip:
    """A clip and the names of what plays in it.

    frames: uint8 (NUM_FRAMES, HEIGHT, WIDTH, 3), RGB.
    placeholders: what the label's "something"s are, e.g. ("striped disc",).
    """

    frames: npt.NDArray[np.uint8]
    placeholders: tuple[str, ...]


def render(action: Action, rng: np.random.Generator) -> RenderedClip:
    """Draw one clip of an action played forwards."""
    backdrop_hue = float(rng.random())
    shake_x, shake_y = wobble(rng, SHAKE_PIXELS), wobble(rng, SHAKE_PIXELS)
    film = _filmed(_backdrop(rng, backdrop_hue), shake_x, shake_y)
    actors = action(rng, backdrop_hue)
    distractors = [distractor(rng, backdrop_hue) for _ in range(rng.integers(2))]
    for thing in [*distractors, *actors]:
        _draw(film, thing, shake_x, shake_y)
    grain = rng.standard_normal((NUM_FRAMES, HEIGHT, WIDTH), dtype=np.float32)
    film *= _light(rng)
    film += np.float32(rng.uniform(1, 3)) * grain
    frames = np.clip(np.rint(film), 0, 255).astype(np.uint8)
    return RenderedClip(
        np.ascontiguousarray(frames.transpose(1, 2, 3, 0)), tuple(thing.name for thing in actors)
    )


def _noise(rng: np.random.Generator, height: int, width: int) -> Array:
    """Smooth noise of four octaves, about -1 to 1; shape (height, width)."""
    noise = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = 3 * 2**octave
        knots = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
        noise += _blend(height, cells) @ knots @ _blend(width, cells).T / 1.6**octave
    return noise / 1.5


def _blend(length: int, cells: int) -> Array:
    """The share of each of `cells` + 1 even knots in each pixel; shape (length, cells + 1)."""
    near = 1 - np.abs(np.linspace(0, cells, length)[:, None] - np.arange(cells + 1))
    near = np.clip(near, 0, 1)
    return (near * near * (3 - 2 * near)).astype(np.float32)


def _backdrop(rng: np.random.Generator, hue: float) -> Array:
    """A muted texture, wider than the frame by a margin; shape (3, height, width)."""
    height, width = HEIGHT + 2 * BACKDROP_MARGIN, WIDTH + 2 * BACKDROP_MARGIN
    noise = _noise(rng, height, width)
    share = np.clip(0.5 + 0.5 * noise, 0, 1)
    if rng.random() < 0.6:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(rng.uniform(20, 40))
        pattern = random_pattern(rng, pick(rng, PATTERNS))(x + 0.08 * noise, y + 0.08 * noise)
        share = 0.5 * share + 0.5 * pattern
    saturation, value = rng.uniform(0.1, 0.4), rng.uniform(0.45, 0.8)
    first = rgb(hue, saturation, value)
    second = rgb(hue + around_zero(rng, 0.1), saturation, value - rng.uniform(0.12, 0.25))
    return first[:, None, None] + share * (second - first)[:, None, None]


def _filmed(backdrop: Array, shake_x: Array, shake_y: Array) -> Array:
    """The backdrop as the shaking camera sees it; shape (3, NUM_FRAMES, HEIGHT, WIDTH)."""
    film = np.empty((3, NUM_FRAMES, HEIGHT, WIDTH), np.float32)
    for frame, (x, y) in enumerate(
        zip(BACKDROP_MARGIN - shake_x, BACKDROP_MARGIN - shake_y, strict=True)
    ):
        left, top = int(x), int(y)
        seen = backdrop[:, top : top + HEIGHT + 1, left : left + WIDTH + 1]
        rows = seen[:, :-1] + (y - top) * (seen[:, 1:] - seen[:, :-1])
        film[:, frame] = rows[:, :, :-1] + (x - left) * (rows[:, :, 1:] - rows[:, :, :-1])
    return film


def _draw(film: Array, thing: Thing, shake_x: Array, shake_y: Array) -> None:
    """Paint a thing into every frame of the film (3, NUM_FRAMES, HEIGHT, WIDTH)."""
    track = thing.track
    center_x, center_y = track.x + shake_x, track.y + shake_y
    extent = thing.reach * track.radius + SHADOW_PIXELS
    columns = _pixels_within(center_x, extent, WIDTH)
    rows = _pixels_within(center_y, extent, HEIGHT)
    # From here on all arrays have the axes (frame, row, column).
    right = np.arange(WIDTH, dtype=np.float32)[None, None, columns] - center_x[:, None, None]
    down = np.arange(HEIGHT, dtype=np.float32)[None, rows, None] - center_y[:, None, None]
    radius = track.radius[:, None, None]
    cos, sin = (
        np.cos(track.angle)[:, None, None] / radius,
        np.sin(track.angle)[:, None, None] / radius,
    )
    u, v = cos * right + sin * down, cos * down - sin * right
    for part in thing.parts:
        _draw_part(film[:, :, rows, columns], part, u, v, radius)


def _pixels_within(center: Array, extent: Array, size: int) -> slice:
    """The pixels along one axis that are within `extent` of the center in any frame."""
    first, last = int((center - extent).min()), int((center + extent).max()) + 2
    return slice(max(0, first), max(0, min(size, last)))


def _draw_part(window: Array, part: Part, u: Array, v: Array, radius: Array) -> None:
    distance = part.outline(u, v) * radius
    coverage = np.clip(0.5 - distance, 0, 1)
    shadow = 0.45 * np.square(np.clip(1 - distance / SHADOW_PIXELS, 0, 1))
    shade = coverage * np.clip(0.65 - distance * (0.35 / RIM_PIXELS), 0.65, 1)
    background_share = (1 - coverage) * (1 - shadow)
    pattern = part.paint.pattern(u, v)
    for channel, first, second in zip(window, part.paint.first, part.paint.second, strict=True):
        channel *= background_share
        channel += shade * (first + (second - first) * pattern)


def distractor(rng: np.random.Generator, backdrop_hue: float) -> Thing:
    """A small thing that stays, sways or drifts to any side."""
    done = random_progress(rng) - np.float32(0.5)
    drift, heading = _pick_drift(rng), any_angle(rng)
    x = random_center(rng, WIDTH, 4) + drift * np.cos(heading) * done + wobble(rng, 1.5)
    y = random_center(rng, HEIGHT, 4) + drift * np.sin(heading) * done + wobble(rng, 1.5)
    track = Track(
        x.astype(np.float32),
        y.astype(np.float32),
        constant(rng.uniform(4, 6.5)),
        any_angle(rng) + wobble(rng, 0.5),
    )
    return random_shape(rng, backdrop_hue, track)


def _pick_drift(rng: np.random.Generator) -> float:
    return float(rng.uniform(6, 18)) if rng.random() < 0.6 else 0.0


def _light(rng: np.random.Generator) -> Array:
    """Brightness that falls off toward one side; shape (HEIGHT, WIDTH)."""
    fall, heading = rng.uniform(0, 0.15), any_angle(rng)
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    return np.float32(1) + np.float32(fall) * (
        np.float32(np.cos(heading)) * x + np.float32(np.sin(heading)) * y
    )
