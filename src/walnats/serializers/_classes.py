"""Walks the classes that a schema is made of, as Python's annotations name them."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def reachable_classes(schema: Any) -> Iterator[type]:
    """Give every class in the schema once, those in its fields included."""
    seen: dict[int, Any] = {}  # keeps what it has seen alive, so that no id is used twice
    todo = [schema]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, type):
            yield part
        todo += _parts(part)


def is_alias(schema: Any) -> bool:
    """Tell whether it was made by a `type X = ...` statement, which older Pythons don't have."""
    return type(schema).__name__ == 'TypeAliasType'


def class_to_test(schema: Any) -> type:
    """Give what isinstance takes in place of the schema; `object` where it takes nothing."""
    if not isinstance(schema, type):
        return object
    try:
        isinstance(None, schema)
    except TypeError:  # a TypedDict, a Protocol, `Any`
        return dict if issubclass(schema, dict) else object
    return schema


def field_types(cls: type) -> dict[str, Any]:
    """Give the annotated types of the class's fields by their names; empty if it has none."""
    if not any(hasattr(cls, mark) for mark in _RECORD_MARKS):
        return {}
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # a name that isn't there (yet): whoever encodes the class says so
        return {}


_RECORD_MARKS = (
    '__dataclass_fields__',
    '__attrs_attrs__',
    '__struct_fields__',
    '__total__',  # of a TypedDict
    '__pydantic_fields__',
    '_fields',  # of a NamedTuple
)


def _parts(part: Any) -> list[Any]:
    if isinstance(part, typing.NewType):
        return [part.__supertype__]
    if is_alias(part):
        return [part.__value__]
    origin = typing.get_origin(part)
    if origin is not None:
        return [origin, *typing.get_args(part)]
    return list(field_types(part).values()) if isinstance(part, type) else []
