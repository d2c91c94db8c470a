"""Validates a network's options against the signature of the function that builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from inspect import Parameter
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from stmnet.errors import UnknownModelError

# `build_model` has these by itself; they are not options.
FIXED = ("num_classes", "num_frames")

BuilderT = TypeVar("BuilderT", bound=Callable[..., Any])


def with_options_of(options: type) -> Callable[[BuilderT], BuilderT]:
    """Give a builder's signature the fields of the dataclass `options` in place of `**options`."""

    def decorate(builder: BuilderT) -> BuilderT:
        signature = inspect.signature(builder, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind != Parameter.VAR_KEYWORD]
        types = get_type_hints(options)
        from_fields = [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=types[field.name],
            )
            for field in fields(options)
        ]
        signature = signature.replace(parameters=[*own, *from_fields])
        builder.__signature__ = signature  # type: ignore[attr-defined]
        return builder

    return decorate


def validate_options(name: str, builder: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise `UnknownModelError` for an option that `builder` does not take, or not of this type.

    `name` is the network's, for the message.
    """
    parameters = inspect.signature(builder, eval_str=True).parameters
    known = [option for option in parameters if option not in FIXED]
    for option, value in options.items():
        if option not in known:
            raise UnknownModelError(f"{name} has no option {option!r}.{nearest(option, known)}")
        annotation = parameters[option].annotation
        if not fits(value, annotation):
            raise UnknownModelError(
                f"{name}: {option} is {value!r}. Give {format_type(annotation)}."
            )


def nearest(word: str, known: list[str]) -> str:
    """The end of a message about a word that is not known."""
    matches = get_close_matches(word.lower(), known, n=1) or get_close_matches(word, known, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else f" Known: {', '.join(known)}."


def fits(value: Any, annotation: Any) -> bool:
    """Whether `value` is of the annotated type. A list may stand for a tuple, as in YAML."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return value in parts
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is not None:
        return isinstance(value, list | tuple) and all(fits(each, parts[0]) for each in value)
    if isinstance(value, bool):
        return annotation is bool
    return isinstance(value, (int, float) if annotation is float else annotation)


def format_type(annotation: Any) -> str:
    """An annotated type as a message says it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (Union, UnionType):
        return " or ".join(format_type(part) for part in parts)
    if origin is not None:
        return f"a list, each {format_type(parts[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
    return names.get(annotation, f"a {annotation}")
