"""The six actions, each played forwards; its opposite is the same film played backwards."""

from __future__ import annotations

import numpy as np

from stmnet.motion.openable_things import OPENINGS
from stmnet.motion.scene import (
    HEIGHT,
    WIDTH,
    Array,
    Part,
    Thing,
    Track,
    any_angle,
    around_zero,
    constant,
    random_center,
    random_paint,
    random_progress,
    random_shape,
    wobble,
)


def moving_left(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing crosses 35 to 65 % of the frame's width leftwards."""
    radius, travel = rng.uniform(11, 15), rng.uniform(0.35, 0.65) * WIDTH
    done = random_progress(rng) - np.float32(0.5)
    x = random_center(rng, WIDTH, radius + travel / 2) - travel * done
    y = random_center(rng, HEIGHT, radius + 5) + around_zero(rng, 8) * done
    return [
        random_shape(rng, backdrop_hue, Track(x, y, constant(radius), constant(any_angle(rng))))
    ]


def moving_up(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing crosses 35 to 65 % of the frame's height upwards."""
    radius, travel = rng.uniform(11, 15), rng.uniform(0.35, 0.65) * HEIGHT
    done = random_progress(rng) - np.float32(0.5)
    x = random_center(rng, WIDTH, radius + 5) + around_zero(rng, 8) * done
    y = random_center(rng, HEIGHT, radius + travel / 2) - travel * done
    return [
        random_shape(rng, backdrop_hue, Track(x, y, constant(radius), constant(any_angle(rng))))
    ]


def approaching(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing grows 1.9 to 2.8 times as large, as one that comes nearer does."""
    first_radius, growth = rng.uniform(9, 13), rng.uniform(1.9, 2.8)
    radius = (first_radius * growth ** random_progress(rng)).astype(np.float32)
    x = random_center(rng, WIDTH, 0.8 * radius[-1]) + wobble(rng, 1.5)
    y = random_center(rng, HEIGHT, 0.8 * radius[-1]) + wobble(rng, 1.5)
    return [random_shape(rng, backdrop_hue, Track(x, y, radius, constant(any_angle(rng))))]


def turning_clockwise(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing turns 90 to 180 degrees clockwise on the spot."""
    radius, turn = rng.uniform(22, 32), np.deg2rad(rng.uniform(90, 180))
    # The angle drawn is that at half the turn: a backwards film starts as a mirrored one does.
    angle = any_angle(rng) + (turn * (random_progress(rng) - 0.5)).astype(np.float32)
    x = random_center(rng, WIDTH, radius) + wobble(rng, 1.5)
    y = random_center(rng, HEIGHT, radius) + wobble(rng, 1.5)
    # Between two sampled frames the turn must stay well below the angle after which the outline
    # looks the same: nobody can tell the direction of a turning disc or hexagon.
    names = ("bar", "crescent", "triangle")
    return [random_shape(rng, backdrop_hue, Track(x, y, constant(radius), angle), names)]


def opening(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A box, cupboard or shell opens."""
    open_thing = OPENINGS[int(rng.integers(len(OPENINGS)))]
    return [open_thing(rng, backdrop_hue, random_progress(rng)[:, None, None])]


def covering(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A cloth slides from any side over a thing that lies still, until it hides it."""
    radius = rng.uniform(15, 20)
    cloth_radius = 1.2 * radius + 1
    x = random_center(rng, WIDTH, radius + 6) + wobble(rng, 1)
    y = random_center(rng, HEIGHT, radius + 6) + wobble(rng, 1)
    heading, way = any_angle(rng), rng.uniform(1.6, 2.0) * (radius + cloth_radius) / 1.6
    left_to_go = way * (1 - random_progress(rng))
    cloth_x = (x - np.cos(heading) * left_to_go).astype(np.float32)
    cloth_y = (y - np.sin(heading) * left_to_go).astype(np.float32)
    thing = random_shape(rng, backdrop_hue, Track(x, y, constant(radius), constant(any_angle(rng))))
    cloth_track = Track(cloth_x, cloth_y, constant(cloth_radius), constant(any_angle(rng)))
    return [thing, _cloth(rng, backdrop_hue, cloth_track)]


def _cloth(rng: np.random.Generator, backdrop_hue: float, track: Track) -> Thing:
    paint = random_paint(rng, backdrop_hue)
    sway_u, sway_v = np.float32(any_angle(rng)), np.float32(any_angle(rng))

    def outline(u: Array, v: Array) -> Array:
        wavy_u = np.abs(u + np.float32(0.06) * np.sin(5 * v + sway_u))
        wavy_v = np.abs(v + np.float32(0.06) * np.sin(5 * u + sway_v))
        return np.maximum(wavy_u, wavy_v) - 1

    return Thing(f"{paint.name} cloth", (Part(outline, paint),), track, reach=1.6)
