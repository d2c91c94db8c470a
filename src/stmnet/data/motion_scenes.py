"""Drawn scenes whose action is in the motion alone: textured things over textured backdrops.

Each of the six functions in the section "motions" draws one action played forwards. Its opposite is the
same film played backwards (see `stmnet.data.motion`), so the scenes must keep one rule: everything
besides the action (backdrop, light, shake, distractors, easing) is drawn from a distribution that
neither a time reversal nor a horizontal flip changes. Angles are therefore drawn from the full
turn or symmetrically about zero, places symmetrically about the frame's centre.

Coordinates: x right and y down in pixels, so a growing angle turns clockwise as seen. A thing's own
coordinates (u, v) are centred on it, turn with it and are in units of its radius.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_FRAMES, HEIGHT, WIDTH = 24, 72, 96

Array = npt.NDArray[np.float32]
Outline = Callable[[Array, Array], Array]
"""(u, v) -> signed distance to the edge in radii, negative inside."""
Pattern = Callable[[Array, Array], Array]
"""(u, v) -> share of the second colour, 0 to 1."""

TAU = 2 * np.pi
SHAKE_PIXELS = 1.0
BACKDROP_MARGIN = 4
SHADOW_PIXELS = 5.0
RIM_PIXELS = 3.0


@dataclass(frozen=True)
class RenderedClip:
    """A clip and the names of what plays in it.

    frames: uint8 (NUM_FRAMES, HEIGHT, WIDTH, 3), RGB.
    placeholders: what the label's "something"s are, e.g. ("striped disc",).
    """

    frames: npt.NDArray[np.uint8]
    placeholders: tuple[str, ...]


@dataclass(frozen=True)
class Paint:
    """Two RGB colours (0 to 255) and the pattern that mixes them."""

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
    """Centre and radius in pixels and angle in radians, in every frame: arrays of shape (NUM_FRAMES,)."""

    x: Array
    y: Array
    radius: Array
    angle: Array


@dataclass(frozen=True)
class Thing:
    """Parts that move together, the later over the earlier; none is further out than `reach` radii."""

    name: str
    parts: tuple[Part, ...]
    track: Track
    reach: float = 1.0


# ---- chance ----


def _around_zero(rng: np.random.Generator, limit: float) -> float:
    return float(rng.uniform(-limit, limit))


def _any_angle(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, TAU))


def _pick(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def _constant(value: float) -> Array:
    return np.full(NUM_FRAMES, value, np.float32)


def _progress(rng: np.random.Generator) -> Array:
    """How much of the action is done in every frame, rising from 0 to 1 at a pace that varies a little.

    The pace never falls below 0.3 of its mean, so any two sampled frames differ. Played backwards,
    `lead` changes its sign and nothing else changes: both directions are equally likely.
    """
    time = np.linspace(0, 1, NUM_FRAMES)
    lead, swing = _around_zero(rng, 0.35), _around_zero(rng, 0.35)
    progress = time + lead * time * (1 - time) + swing * np.sin(TAU * time) / TAU
    return progress.astype(np.float32)


def _wobble(rng: np.random.Generator, limit: float) -> Array:
    """A slow sway about zero of at most `limit`, in every frame."""
    time = np.linspace(0, 1, NUM_FRAMES)
    waves = [np.sin(TAU * rng.uniform(0.5, 3) * time + _any_angle(rng)) for _ in range(2)]
    return (limit / 2 * (waves[0] + waves[1])).astype(np.float32)


def _room(rng: np.random.Generator, size: int, half_extent: float) -> float:
    """A centre along an axis of `size` pixels that keeps `half_extent` pixels on both sides inside."""
    return (size - 1) / 2 + _around_zero(rng, max(0.0, size / 2 - half_extent))


# ---- shapes ----


def _disc(u: Array, v: Array) -> Array:
    return np.hypot(u, v) - 0.95


def _ring(u: Array, v: Array) -> Array:
    return np.abs(np.hypot(u, v) - 0.68) - 0.3


def _crescent(u: Array, v: Array) -> Array:
    return np.maximum(_disc(u, v), 0.7 - np.hypot(u - 0.5, v))


def _cross(u: Array, v: Array) -> Array:
    across, along = np.abs(u), np.abs(v)
    return np.minimum(
        np.maximum(across - 0.95, along - 0.33), np.maximum(across - 0.33, along - 0.95)
    )


def _pointed(points: int, inner_radius: float) -> Outline:
    """A star whose points reach radius 1; with `inner_radius` cos(pi / points) a regular polygon."""
    half_sector = np.pi / points
    edge = np.array([np.cos(half_sector) - inner_radius, np.sin(half_sector)])
    normal_u, normal_v = edge[1] / np.hypot(*edge), -edge[0] / np.hypot(*edge)

    def outline(u: Array, v: Array) -> Array:
        radius = np.hypot(u, v)
        folded = np.abs(np.arctan2(v, u) % np.float32(2 * half_sector) - np.float32(half_sector))
        along, across = radius * np.cos(folded), radius * np.sin(folded)
        return (along - inner_radius) * np.float32(normal_u) + across * np.float32(normal_v)

    return outline


def _rectangle(left: float, right: float, top: float, bottom: float) -> Outline:
    def outline(u: Array, v: Array) -> Array:
        across = np.maximum(left - u, u - right)
        return np.maximum(across, np.maximum(top - v, v - bottom))

    return outline


SHAPES: dict[str, Outline] = {
    "disc": _disc,
    "ring": _ring,
    "crescent": _crescent,
    "cross": _cross,
    "triangle": _pointed(3, 0.5),
    "square": _pointed(4, float(np.cos(np.pi / 4))),
    "hexagon": _pointed(6, float(np.cos(np.pi / 6))),
    "star": _pointed(5, 0.45),
}

# ---- paint ----


def _pattern(rng: np.random.Generator, name: str) -> Pattern:
    """The pattern of that name, turned, scaled and shifted at random; edges are soft against aliasing."""
    angle, pitch = _any_angle(rng), rng.uniform(4.5, 7)
    cos, sin = np.float32(pitch * np.cos(angle)), np.float32(pitch * np.sin(angle))
    shift_a, shift_b = np.float32(_any_angle(rng)), np.float32(_any_angle(rng))

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


def _colour(hue: float, saturation: float, value: float) -> Array:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32) * 255


def _paint(rng: np.random.Generator, backdrop_hue: float) -> Paint:
    """A vivid paint whose hues keep away from the backdrop's."""
    name = _pick(rng, PATTERNS)
    hue = backdrop_hue + rng.uniform(0.25, 0.75)
    return Paint(
        name,
        _pattern(rng, name),
        _colour(hue, rng.uniform(0.6, 0.95), rng.uniform(0.85, 1)),
        _colour(hue + _around_zero(rng, 0.12), rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.55)),
    )


def _shape(
    rng: np.random.Generator, backdrop_hue: float, track: Track, names: tuple[str, ...] = tuple(SHAPES)
) -> Thing:
    shape, paint = _pick(rng, names), _paint(rng, backdrop_hue)
    return Thing(f"{paint.name} {shape}", (Part(SHAPES[shape], paint),), track)


# ---- motions: each returns what moves, the later in front of the earlier ----


def moving_left(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing crosses 25 to 60 % of the frame's width leftwards."""
    radius, travel = rng.uniform(11, 15), rng.uniform(0.25, 0.6) * WIDTH
    done = _progress(rng) - np.float32(0.5)
    x = _room(rng, WIDTH, radius + travel / 2) - travel * done
    y = _room(rng, HEIGHT, radius + 5) + _around_zero(rng, 8) * done
    return [_shape(rng, backdrop_hue, Track(x, y, _constant(radius), _constant(_any_angle(rng))))]


def moving_up(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing crosses 25 to 60 % of the frame's height upwards."""
    radius, travel = rng.uniform(11, 15), rng.uniform(0.25, 0.6) * HEIGHT
    done = _progress(rng) - np.float32(0.5)
    x = _room(rng, WIDTH, radius + 5) + _around_zero(rng, 8) * done
    y = _room(rng, HEIGHT, radius + travel / 2) - travel * done
    return [_shape(rng, backdrop_hue, Track(x, y, _constant(radius), _constant(_any_angle(rng))))]


def approaching(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing grows 1.6 to 2.6 times as large, as one that comes nearer does."""
    first_radius, growth = rng.uniform(9, 13), rng.uniform(1.6, 2.6)
    radius = (first_radius * growth ** _progress(rng)).astype(np.float32)
    x = _room(rng, WIDTH, 0.8 * radius[-1]) + _wobble(rng, 1.5)
    y = _room(rng, HEIGHT, 0.8 * radius[-1]) + _wobble(rng, 1.5)
    return [_shape(rng, backdrop_hue, Track(x, y, radius, _constant(_any_angle(rng))))]


def turning_clockwise(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A thing turns 60 to 160 degrees clockwise on the spot."""
    radius, turn = rng.uniform(15, 24), np.deg2rad(rng.uniform(60, 160))
    # The angle is that at half the turn: a backwards film then starts no other way than a mirrored one.
    angle = _any_angle(rng) + (turn * (_progress(rng) - 0.5)).astype(np.float32)
    x = _room(rng, WIDTH, radius) + _wobble(rng, 1.5)
    y = _room(rng, HEIGHT, radius) + _wobble(rng, 1.5)
    # A disc's or ring's outline does not turn; a hexagon's looks the same every 60 degrees.
    names = ("crescent", "cross", "triangle", "square", "star")
    return [_shape(rng, backdrop_hue, Track(x, y, _constant(radius), angle), names)]


def opening(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A box, book, cupboard or shell opens."""
    open_thing = _OPENINGS[int(rng.integers(len(_OPENINGS)))]
    return [open_thing(rng, backdrop_hue, _progress(rng)[:, None, None])]


def covering(rng: np.random.Generator, backdrop_hue: float) -> list[Thing]:
    """A cloth slides from any side over a thing that lies still, until it hides it."""
    radius = rng.uniform(10, 14)
    cloth_radius = 1.2 * radius + 1
    x = _room(rng, WIDTH, radius + 6) + _wobble(rng, 1)
    y = _room(rng, HEIGHT, radius + 6) + _wobble(rng, 1)
    heading, way = _any_angle(rng), rng.uniform(1.6, 2.0) * (radius + cloth_radius) / 1.6
    left_to_go = way * (1 - _progress(rng))
    cloth_x = (x - np.cos(heading) * left_to_go).astype(np.float32)
    cloth_y = (y - np.sin(heading) * left_to_go).astype(np.float32)
    thing = _shape(rng, backdrop_hue, Track(x, y, _constant(radius), _constant(_any_angle(rng))))
    cloth_track = Track(cloth_x, cloth_y, _constant(cloth_radius), _constant(_any_angle(rng)))
    return [thing, _cloth(rng, backdrop_hue, cloth_track)]


def _cloth(rng: np.random.Generator, backdrop_hue: float, track: Track) -> Thing:
    paint = _paint(rng, backdrop_hue)
    sway_u, sway_v = np.float32(_any_angle(rng)), np.float32(_any_angle(rng))

    def outline(u: Array, v: Array) -> Array:
        wavy_u = np.abs(u + np.float32(0.06) * np.sin(5 * v + sway_u))
        wavy_v = np.abs(v + np.float32(0.06) * np.sin(5 * u + sway_v))
        return np.maximum(wavy_u, wavy_v) - 1

    return Thing(f"{paint.name} cloth", (Part(outline, paint),), track, reach=1.6)


# ---- things that open: `progress` has shape (NUM_FRAMES, 1, 1) and runs along with (u, v) ----


def _standing(rng: np.random.Generator, radius: float, tilt: float) -> Track:
    """The track of a thing that stays where it is, tilted by at most `tilt` radians."""
    x = _room(rng, WIDTH, radius) + _wobble(rng, 1)
    y = _room(rng, HEIGHT, radius) + _wobble(rng, 1)
    return Track(x, y, _constant(radius), _constant(_around_zero(rng, tilt)))


def _between(rng: np.random.Generator, low: float, high: float, progress: Array) -> Array:
    """A quantity that grows from about `low` to about `high`, each off by up to a tenth of the way."""
    slack = 0.1 * (high - low)
    first, last = low + rng.uniform(0, slack), high - rng.uniform(0, slack)
    return np.float32(first) + np.float32(last - first) * progress


def _inside(backdrop_hue: float, brightness: float) -> Paint:
    """The plain paint of what shows when a thing is open."""
    colour = _colour(backdrop_hue + 0.5, 0.25, brightness)
    return Paint("plain", lambda u, v: np.zeros_like(u), colour, colour)


def _box(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """Seen from the side; the lid turns about one end."""
    paint, hinge_side = _paint(rng, backdrop_hue), rng.choice([-1, 1])
    lift = _between(rng, np.deg2rad(5), np.deg2rad(110), progress)
    cos, sin = np.cos(lift), np.sin(lift)

    def lid_coordinates(u: Array, v: Array) -> tuple[Array, Array]:
        from_hinge, above = 0.95 + hinge_side * u, -v
        return cos * from_hinge + sin * above, cos * above - sin * from_hinge

    lid = _rectangle(-0.05, 1.95, 0.0, 0.25)
    parts = (
        Part(_rectangle(-0.9, 0.9, 0.0, 0.9), paint),
        Part(lambda u, v: lid(*lid_coordinates(u, v)), paint),
    )
    track = _standing(rng, rng.uniform(17, 22), tilt=0.2)
    lowered = Track(track.x, track.y + np.float32(6), track.radius, track.angle)
    return Thing(f"{paint.name} box", parts, lowered, reach=2.2)


def _book(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """Seen from above; the cover turns about the spine and its free edge rises towards the camera."""
    paint, spine_side = _paint(rng, backdrop_hue), rng.choice([-1, 1])
    swing = _between(rng, np.deg2rad(20), np.deg2rad(160), progress)
    width, rise = np.cos(swing), 0.25 * np.sin(swing)

    def cover_coordinates(u: Array, v: Array) -> tuple[Array, Array]:
        safe_width = np.where(np.abs(width) < 0.02, np.float32(0.02), width)
        along = spine_side * u / safe_width
        return along, v / (1 + rise * np.clip(along, 0, 1))

    def cover(u: Array, v: Array) -> Array:
        along, across = cover_coordinates(u, v)
        return np.maximum(np.maximum(-along, along - 1) * np.abs(width), np.abs(across) - 0.8)

    outside = Paint(
        paint.name, lambda u, v: paint.pattern(*cover_coordinates(u, v)), paint.first, paint.second
    )
    page = _rectangle(0.0, 0.95, -0.75, 0.75)
    parts = (
        Part(lambda u, v: page(spine_side * u, v), _inside(backdrop_hue, 0.95)),
        Part(lambda u, v: np.where(width > 0, cover(u, v), np.float32(9)), outside),
        Part(lambda u, v: np.where(width > 0, np.float32(9), cover(u, v)), _inside(backdrop_hue, 0.8)),
    )
    return Thing(f"{paint.name} book", parts, _standing(rng, rng.uniform(24, 30), tilt=0.4), reach=1.2)


def _cupboard(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """Two doors slide apart."""
    paint = _paint(rng, backdrop_hue)
    gap = _between(rng, 0.05, 0.75, progress)

    def doors(u: Array, v: Array) -> Array:
        return np.maximum(np.maximum(gap - np.abs(u), np.abs(u) - 0.85), np.abs(v) - 0.85)

    sliding = Paint(
        paint.name, lambda u, v: paint.pattern(u - np.sign(u) * gap, v), paint.first, paint.second
    )
    parts = (
        Part(_rectangle(-1, 1, -1, 1), _inside(backdrop_hue, 0.25)),
        Part(doors, sliding),
    )
    return Thing(f"{paint.name} cupboard", parts, _standing(rng, rng.uniform(19, 26), tilt=np.pi), 1.5)


def _shell(rng: np.random.Generator, backdrop_hue: float, progress: Array) -> Thing:
    """A disc whose two halves part like jaws, towards any side."""
    paint = _paint(rng, backdrop_hue)
    half_gape = _between(rng, np.deg2rad(2), np.deg2rad(65), progress)
    cos, sin = np.cos(half_gape), np.sin(half_gape)

    def halves(u: Array, v: Array) -> Array:
        return np.maximum(_disc(u, v), sin * u - cos * np.abs(v))

    def turning_with_halves(u: Array, v: Array) -> Array:
        side = np.where(v < 0, np.float32(-1), np.float32(1))
        return paint.pattern(cos * u + side * sin * v, cos * v - side * sin * u)

    painted = Paint(paint.name, turning_with_halves, paint.first, paint.second)
    track = _standing(rng, rng.uniform(17, 25), tilt=np.pi)
    return Thing(f"{paint.name} shell", (Part(halves, painted),), track)


_OPENINGS = (_box, _book, _cupboard, _shell)


# ---- the frame ----


def _noise(rng: np.random.Generator, height: int, width: int) -> Array:
    """Smooth noise of four octaves, about -1 to 1; shape (height, width)."""
    noise = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = 3 * 2**octave
        knots = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
        noise += _blend(height, cells) @ knots @ _blend(width, cells).T / 1.6**octave
    return noise / 1.5


def _blend(length: int, cells: int) -> Array:
    """How much each of `cells` + 1 evenly spaced knots adds to each pixel; shape (length, cells + 1)."""
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
        pattern = _pattern(rng, _pick(rng, PATTERNS))(x + 0.08 * noise, y + 0.08 * noise)
        share = 0.5 * share + 0.5 * pattern
    saturation, value = rng.uniform(0.1, 0.4), rng.uniform(0.45, 0.8)
    first = _colour(hue, saturation, value)
    second = _colour(hue + _around_zero(rng, 0.1), saturation, value - rng.uniform(0.12, 0.25))
    return first[:, None, None] + share * (second - first)[:, None, None]


def _filmed(backdrop: Array, shake_x: Array, shake_y: Array) -> Array:
    """The backdrop as the shaking camera sees it; shape (3, NUM_FRAMES, HEIGHT, WIDTH)."""
    film = np.empty((3, NUM_FRAMES, HEIGHT, WIDTH), np.float32)
    for frame, (x, y) in enumerate(zip(BACKDROP_MARGIN - shake_x, BACKDROP_MARGIN - shake_y, strict=True)):
        left, top = int(x), int(y)
        seen = backdrop[:, top : top + HEIGHT + 1, left : left + WIDTH + 1]
        rows = seen[:, :-1] + (y - top) * (seen[:, 1:] - seen[:, :-1])
        film[:, frame] = rows[:, :, :-1] + (x - left) * (rows[:, :, 1:] - rows[:, :, :-1])
    return film


def _draw(film: Array, thing: Thing, shake_x: Array, shake_y: Array) -> None:
    """Paint a thing into every frame of the film (3, NUM_FRAMES, HEIGHT, WIDTH)."""
    track = thing.track
    centre_x, centre_y = track.x + shake_x, track.y + shake_y
    extent = thing.reach * track.radius + SHADOW_PIXELS
    columns = _pixels_within(centre_x, extent, WIDTH)
    rows = _pixels_within(centre_y, extent, HEIGHT)
    # From here on all arrays have the axes (frame, row, column).
    right = np.arange(WIDTH, dtype=np.float32)[None, None, columns] - centre_x[:, None, None]
    down = np.arange(HEIGHT, dtype=np.float32)[None, rows, None] - centre_y[:, None, None]
    radius = track.radius[:, None, None]
    cos, sin = (np.cos(track.angle)[:, None, None] / radius, np.sin(track.angle)[:, None, None] / radius)
    u, v = cos * right + sin * down, cos * down - sin * right
    for part in thing.parts:
        _draw_part(film[:, :, rows, columns], part, u, v, radius)


def _pixels_within(centre: Array, extent: Array, size: int) -> slice:
    """The pixels along one axis that are within `extent` of the centre in any frame."""
    first, last = int((centre - extent).min()), int((centre + extent).max()) + 2
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


def _distractor(rng: np.random.Generator, backdrop_hue: float) -> Thing:
    """A small thing that stays, sways or drifts to any side."""
    done = _progress(rng) - np.float32(0.5)
    drift, heading = _pick_drift(rng), _any_angle(rng)
    x = _room(rng, WIDTH, 4) + drift * np.cos(heading) * done + _wobble(rng, 1.5)
    y = _room(rng, HEIGHT, 4) + drift * np.sin(heading) * done + _wobble(rng, 1.5)
    track = Track(
        x.astype(np.float32),
        y.astype(np.float32),
        _constant(rng.uniform(4, 6.5)),
        _any_angle(rng) + _wobble(rng, 0.5),
    )
    return _shape(rng, backdrop_hue, track)


def _pick_drift(rng: np.random.Generator) -> float:
    return float(rng.uniform(8, 28)) if rng.random() < 0.6 else 0.0


def _light(rng: np.random.Generator) -> Array:
    """Brightness that falls off towards one side; shape (HEIGHT, WIDTH)."""
    fall, heading = rng.uniform(0, 0.15), _any_angle(rng)
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    return np.float32(1) + np.float32(fall) * (
        np.float32(np.cos(heading)) * x + np.float32(np.sin(heading)) * y
    )


Motion = Callable[[np.random.Generator, float], list[Thing]]


def render(motion: Motion, rng: np.random.Generator) -> RenderedClip:
    """Draw one clip of an action played forwards."""
    backdrop_hue = float(rng.random())
    shake_x, shake_y = _wobble(rng, SHAKE_PIXELS), _wobble(rng, SHAKE_PIXELS)
    film = _filmed(_backdrop(rng, backdrop_hue), shake_x, shake_y)
    actors = motion(rng, backdrop_hue)
    distractors = [_distractor(rng, backdrop_hue) for _ in range(rng.integers(3))]
    for thing in [*distractors, *actors]:
        _draw(film, thing, shake_x, shake_y)
    grain = rng.standard_normal((NUM_FRAMES, HEIGHT, WIDTH), dtype=np.float32)
    film *= _light(rng)
    film += np.float32(rng.uniform(1.5, 4)) * grain
    frames = np.clip(np.rint(film), 0, 255).astype(np.uint8)
    return RenderedClip(
        np.ascontiguousarray(frames.transpose(1, 2, 3, 0)), tuple(thing.name for thing in actors)
    )
