"""The twelve classes of the motion set: six pairs, each class the other's time reversal."""

from __future__ import annotations

from dataclasses import dataclass

from stmnet.motion import actions
from stmnet.motion.rendering import Action


@dataclass(frozen=True)
class Pair:
    """Two labels that are each other's time reversal, and the drawing of the first."""

    forwards: str
    backwards: str
    action: Action


PAIRS = (
    Pair("Moving something left", "Moving something right", actions.moving_left),
    Pair("Moving something up", "Moving something down", actions.moving_up),
    Pair(
        "Something approaching the camera",
        "Something receding from the camera",
        actions.approaching,
    ),
    Pair(
        "Turning something clockwise",
        "Turning something anticlockwise",
        actions.turning_clockwise,
    ),
    Pair("Opening something", "Closing something", actions.opening),
    Pair("Covering something with something", "Uncovering something", actions.covering),
)

LABEL_NAMES: tuple[str, ...] = tuple(
    name for pair in PAIRS for name in (pair.forwards, pair.backwards)
)
"""The class id is the position; the two classes of a pair are neighbors."""

REVERSED: dict[str, str] = {pair.forwards: pair.backwards for pair in PAIRS} | {
    pair.backwards: pair.forwards for pair in PAIRS
}
"""What each class becomes when its clip is played backwards."""
