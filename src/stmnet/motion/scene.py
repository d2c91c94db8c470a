"""What a drawn scene is made of: shapes, patterns and paints, and how chance chooses them.

Everything besides the action itself is drawn from distributions that neither a time reversal nor
a horizontal flip changes: angles from the full turn or evenly about zero, places evenly about the
frame's center. Otherwise a single frame could tell a film from the same film played backwards.

Coordinates: x right and y down in pixels, so a growing angle turns clockwise as seen. A thing's
own coordinates (u, v) are centered on it, turn with it and are in units of its radius.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NUM_FRAMES, HEIGHT, WIDTH = 16, 72, 96
TAU = 2 * np.pi

Array = npt.NDArray[Any]
"""float32 throughout"""
Outline = Callable[[Array, Array], Array]
"""(u, v) -> signed distance to the edge in radii, negative inside."""
Pattern = Callable[[Array, Array], Array]
"""(u, v) -> share of the second color, 0 to 1."""


@dataclass(frozen=True)
class Paint:
    """Two RGB colors (0 to 255) and the pattern that mixes them."""

    name: str
    pattern: Pattern
    first: Array
    second: Array


@dataclass(frozen=True)
class Part:
    """One painted area of a thing, in the thing's own coordinates."""

    outline: Outline
    paint: Paint


@dataclass(frozen=True)
class Track:
    """Center and radius in pixels and angle in radians, in every frame: shape (NUM_FRAMES,)."""

    x: Array
    y: Array
    radius: Array
    angle: Array


@dataclass(frozen=True)
class Thing:
    """Parts that move together, the later over the earlier, all within `reach` radii."""

    name: str
    parts: tuple[Part, ...]
    track: Track
    reach: float = 1.0


# ---- chance ----


def around_zero(rng: np.random.Generator, limit: float) -> float:
    return float(rng.uniform(-limit, limit))


def any_angle(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, TAU))


def pick(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def constant(value: float) -> Array:
    return np.full(NUM_FRAMES, value, np.float32)


def random_progress(rng: np.random.Generator) -> Array:
    """How much of the action is done in every frame: from 0 to 1, at a pace that varies a little.

    The pace never falls below 0.3 of its mean, so any two sampled frames differ. Played backwards,
    `lead` changes its sign and nothing else changes: both directions are equally likely.
    """
    time = np.linspace(0, 1, NUM_FRAMES)
    lead, swing = around_zero(rng, 0.35), around_zero(rng, 0.35)
    progress = time + lead * time * (1 - time) + swing * np.sin(TAU * time) / TAU
    return progress.astype(np.float32)


def wobble(rng: np.random.Generator, limit: float) -> Array:
    """A slow sway about zero of at most `limit`, in every frame."""
    time = np.linspace(0, 1, NUM_FRAMES)
    waves = [np.sin(TAU * rng.uniform(0.5, 3) * time + any_angle(rng)) for _ in range(2)]
    return (limit / 2 * (waves[0] + waves[1])).astype(np.float32)


def random_center(rng: np.random.Generator, size: int, half_extent: float) -> float:
    """A center on an axis of `size` pixels that keeps `half_extent` pixels on both sides inside."""
    return (size - 1) / 2 + around_zero(rng, max(0.0, size / 2 - half_extent))


# ---- shapes ----


def disc(u: Array, v: Array) -> Array:
    return np.hypot(u, v) - 0.95


def ring(u: Array, v: Array) -> Array:
    return np.abs(np.hypot(u, v) - 0.68) - 0.3


def crescent(u: Array, v: Array) -> Array:
    return np.maximum(disc(u, v), 0.7 - np.hypot(u - 0.5, v))


def cross(u: Array, v: Array) -> Array:
    across, along = np.abs(u), np.abs(v)
    return np.minimum(
        np.maximum(across - 0.95, along - 0.33), np.maximum(across - 0.33, along - 0.95)
    )


def bar(u: Array, v: Array) -> Array:
    return np.maximum(np.abs(u) - 0.95, np.abs(v) - 0.33)


def pointed(points: int, inner_radius: float) -> Outline:
    """A star whose points reach radius 1; a regular polygon where `inner_radius` says so."""
    half_sector = np.pi / points
    edge = np.array([np.cos(half_sector) - inner_radius, np.sin(half_sector)])
    normal_u, normal_v = edge[1] / np.hypot(*edge), -edge[0] / np.hypot(*edge)

    def outline(u: Array, v: Array) -> Array:
        radius = np.hypot(u, v)
        folded = np.abs(np.arctan2(v, u) % np.float32(2 * half_sector) - np.float32(half_sector))
        along, across = radius * np.cos(folded), radius * np.sin(folded)
        return (along - inner_radius) * np.float32(normal_u) + across * np.float32(normal_v)

    return outline


def rectangle(left: float, right: float, top: float, bottom: float) -> Outline:
    def outline(u: Array, v: Array) -> Array:
        across = np.maximum(left - u, u - right)
        return np.maximum(across, np.maximum(top - v, v - bottom))

    return outline


SHAPES: dict[str, Outline] = {
    "disc": disc,
    "ring": ring,
    "crescent": crescent,
    "cross": cross,
    "bar": bar,
    "triangle": pointed(3, 0.5),
    "square": pointed(4, float(np.cos(np.pi / 4))),
    "hexagon": pointed(6, float(np.cos(np.pi / 6))),
    "star": pointed(5, 0.45),
}


# ---- paint ----


def random_pattern(rng: np.random.Generator, name: str) -> Pattern:
    """The pattern of that name, turned, scaled and shifted at random, with soft edges."""
    angle, pitch = any_angle(rng), rng.uniform(4.5, 7)
    cos, sin = np.float32(pitch * np.cos(angle)), np.float32(pitch * np.sin(angle))
    shift_a, shift_b = np.float32(any_angle(rng)), np.float32(any_angle(rng))

    def pattern(u: Array, v: Array) -> Array:
        a, b = cos * u + sin * v + shift_a, cos * v - sin * u + shift_b
        if name == "striped":
            wave = 1.5 * np.sin(a)
        elif name == "checked":
            wave = 3 * np.sin(a) * np.sin(b)
        elif name == "spotted":
            wave = 2 * (np.sin(a) + np.sin(b) - 0.8)
        else:
            wave = 1.5 * np.sin(a + 1.5 * np.sin(b))
        return np.clip(0.5 + wave, 0, 1)

    return pattern


PATTERNS = ("striped", "checked", "spotted", "wavy")


def rgb(hue: float, saturation: float, value: float) -> Array:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32) * 255


def random_paint(rng: np.random.Generator, backdrop_hue: float) -> Paint:
    """A vivid paint whose hues keep away from the backdrop's."""
    name = pick(rng, PATTERNS)
    hue = backdrop_hue + rng.uniform(0.25, 0.75)
    return Paint(
        name,
        random_pattern(rng, name),
        rgb(hue, rng.uniform(0.6, 0.95), rng.uniform(0.85, 1)),
        rgb(hue + around_zero(rng, 0.12), rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.55)),
    )


def random_shape(
    rng: np.random.Generator,
    backdrop_hue: float,
    track: Track,
    names: tuple[str, ...] = tuple(SHAPES),
) -> Thing:
    shape, paint = pick(rng, names), random_paint(rng, backdrop_hue)
    return Thing(f"{paint.name} {shape}", (Part(SHAPES[shape], paint),), track)
