"""Checks a network's options against the annotations of the function that builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stmnet.errors import UnknownModelError

# `build_model` has these by itself; they are no options.
FIXED = ("num_classes", "num_frames")


def check_options(name: str, builder: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise `UnknownModelError` for an option that `builder` does not take, or not as this type.

    `name` is the network's, for the message.
    """
    allowed = [option for option in inspect.signature(builder).parameters if option not in FIXED]
    kinds = get_type_hints(builder.func if isinstance(builder, partial) else builder)
    for option, value in options.items():
        if option not in allowed:
            raise UnknownModelError(f"{name} has no option {option!r}.{nearest(option, allowed)}")
        if not fits(value, kinds[option]):
            raise UnknownModelError(
                f"{name}: {option} is {value!r}. Give {in_words(kinds[option])}."
            )


def nearest(word: str, known: list[str]) -> str:
    """The end of a message about a word that is not known."""
    matches = get_close_matches(word.lower(), known, n=1) or get_close_matches(word, known, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else f" Known: {', '.join(known)}."


def fits(value: Any, kind: Any) -> bool:
    """Whether `value` is of the annotated type. A list may stand for a tuple, as in YAML."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in parts
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is not None:
        return isinstance(value, list | tuple) and all(fits(each, parts[0]) for each in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def in_words(kind: Any) -> str:
    """An annotated type as a message says it."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (Union, UnionType):
        return " or ".join(in_words(part) for part in parts)
    if origin is not None:
        return f"a list, each {in_words(parts[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
    return names.get(kind, f"a {kind}")
