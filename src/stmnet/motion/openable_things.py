"""Things that open. `progress` has shape (NUM_FRAMES, 1, 1) and runs along with (u, v)."""

from __future__ import annotations

import numpy as np

from stmnet.motion.scene import (
    HEIGHT,
    WIDTH,
    Array,
    Paint,
    Part,
    Thing,
    Track,
    around_zero,
    constant,
    disc,
    random_center,
    random_paint,
    rectangle,
    rgb,
    wobble,
)


def _standing(rng: np.random.Generator, radius: float, tilt: float) -> Track:
    """The track of a thing that stays where it is, tilted by at most `tilt` radians."""
    x = random_center(rng, WIDTH, radius) + wobble(rng, 1)
    y = random_center(rng, HEIGHT, radius) + wobble(rng, 1)
    return Track(x, y, constant(radius), constant(around_zero(rng, tilt)))


def _between(rng: np.random.Generator, low: float, high: float, progress: Array) -> Array:
    """A quantity that grows from about `low` to about `high`, each off by up to a tenth."""
    slack = 0.1 * (high - low)
    first, last = low + rng.uniform(0, slack), high - rng.uniform(0, slack)
    return np.float32(first) + np.float32(last - first) * progress


def _inside(backdrop_hue: float, brightness: float) -> Paint:
    """The plain paint of what shows when a thing is open."""
    color = rgb(backdrop_hue + 0.5, 0.25, brightness)
    return Paint("plain", lambda u, v: np.zeros_like(u), color, color)


def _box(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """Seen from the side; the lid turns about one end."""
    paint, hinge_side = random_paint(rng, backdrop_hue), rng.choice([-1, 1])
    lift = _between(rng, np.deg2rad(5), np.deg2rad(110), progress)
    cos, sin = np.cos(lift), np.sin(lift)

    def lid_coordinates(u: Array, v: Array) -> tuple[Array, Array]:
        from_hinge, above = 0.95 + hinge_side * u, -v
        return cos * from_hinge + sin * above, cos * above - sin * from_hinge

    lid = rectangle(-0.05, 1.95, 0.0, 0.25)
    parts = (
        Part(rectangle(-0.9, 0.9, 0.0, 0.9), paint),
        Part(lambda u, v: lid(*lid_coordinates(u, v)), paint),
    )
    track = _standing(rng, rng.uniform(20, 26), tilt=0.2)
    lowered = Track(track.x, track.y + np.float32(6), track.radius, track.angle)
    return Thing(f"{paint.name} box", parts, lowered, reach=2.2)


def _cupboard(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """Two doors slide apart."""
    paint = random_paint(rng, backdrop_hue)
    gap = _between(rng, 0.05, 0.75, progress)

    def doors(u: Array, v: Array) -> Array:
        return np.maximum(np.maximum(gap - np.abs(u), np.abs(u) - 0.85), np.abs(v) - 0.85)

    sliding = Paint(
        paint.name, lambda u, v: paint.pattern(u - np.sign(u) * gap, v), paint.first, paint.second
    )
    parts = (
        Part(rectangle(-1, 1, -1, 1), _inside(backdrop_hue, 0.25)),
        Part(doors, sliding),
    )
    return Thing(
        f"{paint.name} cupboard", parts, _standing(rng, rng.uniform(22, 29), tilt=np.pi), 1.5
    )


def _shell(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """A disc whose two halves part like jaws, toward any side."""
    paint = random_paint(rng, backdrop_hue)
    half_gape = _between(rng, np.deg2rad(2), np.deg2rad(65), progress)
    cos, sin = np.cos(half_gape), np.sin(half_gape)

    def halves(u: Array, v: Array) -> Array:
        return np.maximum(disc(u, v), sin * u - cos * np.abs(v))

    def turning_with_halves(u: Array, v: Array) -> Array:
        side = np.where(v < 0, np.float32(-1), np.float32(1))
        return paint.pattern(cos * u + side * sin * v, cos * v - side * sin * u)

    painted = Paint(paint.name, turning_with_halves, paint.first, paint.second)
    track = _standing(rng, rng.uniform(21, 29), tilt=np.pi)
    return Thing(f"{paint.name} shell", (Part(halves, painted),), track)


OPENINGS = (_box, _cupboard, _shell)
