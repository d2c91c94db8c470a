"""Numbers with a range, as jsonargparse types: what a recipe's fields and arguments may be.

Calling a type validates a value: `PositiveInt(0)` raises
`ValueError("is 0; it must be at least 1.")`.
Type checkers see int and float.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from jsonargparse.typing import extend_base_type

LARGEST = 2**31
"""Whole numbers must be below it: what trains counts in 32 bits."""


def _number_type(
    name: str,
    base: type[int] | type[float],
    is_allowed: Callable[[float], bool],
    allowed: str,
    *,
    below: float = LARGEST,
) -> Any:
    """A number for which `is_allowed`, which `allowed` puts into words; a whole one is `below`."""

    # jsonargparse's own restricted types take infinity for a number, and name ranges as "v>0".
    def validate(_: type, value: Any) -> None:
        number = _as_number(base, value)
        if not math.isfinite(number):
            raise ValueError(f"is {number}; it must be a finite number.")
        if not is_allowed(number):
            raise ValueError(f"is {number}; it must be {allowed}.")
        if base is int and number >= below:
            raise ValueError(f"is {number}; it must be below {below}.")

    # jsonargparse has types of some of these names.
    return extend_base_type(f"Finite{name}", base, validate, register_key=("stmnet", name))


def _as_number(base: type[int] | type[float], value: Any) -> float:
    if isinstance(value, str):  # YAML's words for what Python calls nan and inf
        value = re.sub(r"^([+-]?)\.(nan|inf)$", r"\1\2", value.strip(), flags=re.IGNORECASE)
    if isinstance(value, float) and not math.isfinite(value):
        return value
    is_fraction = base is int and isinstance(value, float) and not value.is_integer()
    try:
        if isinstance(value, bool) or is_fraction:
            raise TypeError
        return base(value)
    except (TypeError, ValueError):
        raise ValueError(f"Expected a {base.__name__}. Got value: {value}") from None
    except OverflowError:  # a whole number too large for a float
        return math.inf


if TYPE_CHECKING:
    WholeNumber: TypeAlias = int
    NonNegativeInt: TypeAlias = int
    PositiveInt: TypeAlias = int
    ClassCount: TypeAlias = int
    Seed: TypeAlias = int
    FiniteFloat: TypeAlias = float
    NonNegativeFloat: TypeAlias = float
    PositiveFloat: TypeAlias = float
    ClosedUnitInterval: TypeAlias = float
    HalfOpenUnitInterval: TypeAlias = float
    Hue: TypeAlias = float
else:
    WholeNumber = _number_type("WholeNumber", int, lambda value: True, "a whole number")
    NonNegativeInt = _number_type("NonNegativeInt", int, lambda value: value >= 0, "at least 0")
    PositiveInt = _number_type("PositiveInt", int, lambda value: value >= 1, "at least 1")
    ClassCount = _number_type("ClassCount", int, lambda value: value >= 2, "at least 2")
    # NumPy takes no other.
    Seed = _number_type(
        "Seed", int, lambda value: 0 <= value < 2**32, "from 0 to 4294967295", below=math.inf
    )
    FiniteFloat = _number_type("Float", float, lambda value: True, "a finite number")
    NonNegativeFloat = _number_type(
        "NonNegativeFloat", float, lambda value: value >= 0, "at least 0"
    )
    PositiveFloat = _number_type("PositiveFloat", float, lambda value: value > 0, "above 0")
    ClosedUnitInterval = _number_type(
        "ClosedUnitInterval", float, lambda value: 0 <= value <= 1, "from 0 to 1"
    )
    # With a momentum of 1 steps grow without end; with all dropped there is nothing to learn from.
    HalfOpenUnitInterval = _number_type(
        "HalfOpenUnitInterval", float, lambda value: 0 <= value < 1, "from 0 up to, but not, 1"
    )
    # Half a turn either way is every hue there is.
    Hue = _number_type("Hue", float, lambda value: 0 <= value <= 0.5, "from 0 to 0.5")
