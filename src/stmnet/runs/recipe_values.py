"""The values of a recipe: each of its field's type, and what is said where one is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

from stmnet.errors import RecipeError
from stmnet.runs.number_types import FiniteFloat, HalfOpenUnitInterval, PositiveInt, WholeNumber

OPTION_TYPES: Mapping[str, Any] = {"width": PositiveInt, "dropout": HalfOpenUnitInterval}
"""Of a network's options, those numbers that have a range."""


def explain_parser_error(error: Exception, source: str) -> str:
    """What the parser says, in our words: it names keys, types and ranges in its own way."""
    text = re.sub(r"Not of type \w+: ", "", " ".join(str(error).split()))
    if found := re.search(r'key "(.+?)":.*? (is \S+; it must be .+?\.)(?: |$)', text):
        return f"{found[1]} {found[2]}"
    text = re.sub(r'Parser key "(.+?)":', r"\1:", text)
    text = re.sub(r"<class '(?:NoneType|(.+?))'>", lambda found: found[1] or "null", text)
    text = re.sub(
        r"Does not validate against any of the Union subtypes.* Errors: - (.+) "
        r"Given value type: \S+ Given value: (.*)",
        lambda found: f"{found[1].replace(' - Expected a ', ' or ')}. Got value: {found[2]}",
        text,
    )
    text = re.sub(r"Expected a (?=[aeiou])", "Expected an ", text)
    return f"{source}: {text}"


def validate_option(option: str, value: Any) -> None:
    """Raise `RecipeError` for a number of a network's option that is out of its range.

    What else an option may be is the network's to say.
    """
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, str | bool):
            continue
        kind = OPTION_TYPES.get(option, FiniteFloat if isinstance(number, float) else WholeNumber)
        try:
            kind(number)
        except ValueError as e:
            raise RecipeError(f"model.options.{option} {e}") from e


def with_plain_numbers(value: Any) -> Any:
    """Numbers as int and float: YAML and JSON know no others."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {entry.name: getattr(value, entry.name) for entry in fields(value)}
        return replace(value, **{name: with_plain_numbers(part) for name, part in parts.items()})
    if isinstance(value, list):
        return [with_plain_numbers(part) for part in value]
    for kind in (int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)
    return value


def refuse_nulls(part: Any, source: str, prefix: str = "") -> None:
    """Raise `RecipeError` for a null that means nothing: the parser takes it for any key."""
    kinds = get_type_hints(type(part))
    for entry in fields(part):
        value, key = getattr(part, entry.name), f"{prefix}{entry.name}"
        if is_dataclass(value):
            refuse_nulls(value, source, f"{key}.")
        elif value is None and NoneType not in get_args(kinds[entry.name]):
            raise RecipeError(f"{source}: {key} is null. Give a value, or leave the key out.")
