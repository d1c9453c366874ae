"""Drops the items of arrays that the NamedTuples of a schema don't know.

A NamedTuple is an array on the wire, so a field that a newer service has added is one
more item at its end. In all other classes msgspec ignores unknown fields; here it
refuses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec.inspect as mi

from ._tree import ClassNode, children, reachable

Trim = Callable[[Any], Any]
"""Takes a value decoded without schema, gives it without unknown items."""


def compile_trim(tree: mi.Type) -> Trim | None:
    """Make the function that trims a schema's payloads; None if there is nothing to trim."""
    return _Compiler().compile(tree)


class _Compiler:
    def __init__(self) -> None:
        self._done: dict[int, Trim] = {}

    def compile(self, node: mi.Type) -> Trim | None:
        if not any(isinstance(part, mi.NamedTupleType) for part in reachable(node)):
            return None
        key = id(node)
        if key not in self._done:
            # A class that refers to itself finds this in place of the function that isn't ready.
            self._done[key] = lambda value: self._done[key](value)  # noqa: PLW0108 -- it changes
            self._done[key] = self._make(node)
        return self._done[key]

    def _make(self, node: mi.Type) -> Trim:
        trims = [self.compile(part) or _keep for _, part in children(node)]
        if isinstance(node, mi.NamedTupleType):
            return _named_tuple(trims)
        if isinstance(node, mi.StructType) and node.array_like:
            return _array(trims if node.tag is None else [_keep, *trims])
        if isinstance(node, ClassNode):
            keys = [field.encode_name for field in node.fields]
            return _object(node, dict(zip(keys, trims, strict=True)))
        if isinstance(node, mi.CollectionType):
            return _collection(trims[0])
        if isinstance(node, mi.TupleType):
            return _array(trims)
        if isinstance(node, mi.DictType):
            return _dict(trims[1])
        return _one_after_another(trims)


def _keep(value: Any) -> Any:
    return value


def _named_tuple(trims: Sequence[Trim]) -> Trim:
    trim_items = _array(trims)

    def trim(value: Any) -> Any:
        return trim_items(value[: len(trims)]) if isinstance(value, list) else value

    return trim


def _array(trims: Sequence[Trim]) -> Trim:
    def trim(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        rest = value[len(trims) :]
        return [trim_item(item) for trim_item, item in zip(trims, value, strict=False)] + rest

    return trim


def _collection(trim_item: Trim) -> Trim:
    def trim(value: Any) -> Any:
        return [trim_item(item) for item in value] if isinstance(value, list) else value

    return trim


def _dict(trim_value: Trim) -> Trim:
    def trim(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: trim_value(item) for key, item in value.items()}

    return trim


def _object(node: ClassNode, trims: dict[str, Trim]) -> Trim:
    tag = None
    if isinstance(node, mi.StructType) and node.tag_field is not None:
        tag = (node.tag_field, node.tag)

    def trim(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if tag is not None and value.get(tag[0]) != tag[1]:
            return value  # it's of another class of the union
        return {key: trims.get(key, _keep)(item) for key, item in value.items()}

    return trim


def _one_after_another(trims: Sequence[Trim]) -> Trim:
    # The members of a union: each one passes what it isn't meant for.
    def trim(value: Any) -> Any:
        for trim_member in trims:
            value = trim_member(value)
        return value

    return trim
