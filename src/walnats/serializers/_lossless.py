"""Finds what a format would change without a word: NaN, odd time zones, tuples in `Any`.

A check is compiled once per schema, for the parts of it where something can be lost. Most
schemas have few of them or none, and where there is none there is no check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from operator import attrgetter
from typing import Any

import msgspec.inspect as mi

from ._reasons import Lossy, type_name
from ._tree import ClassNode, children, class_of, reachable

Check = Callable[[Iterable[Any]], None]
"""Raises Lossy if one of the values would be changed; passes values of other types."""

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Carries:
    """What a format has of its own, without a schema's help."""

    name: str
    scalars: tuple[type, ...]
    keys: tuple[type, ...]
    non_finite: bool


JSON = Carries(
    name='JSON',
    scalars=(str, int, float, bool, type(None)),
    keys=(str,),
    non_finite=False,
)
MESSAGE_PACK = Carries(
    name='MessagePack',
    scalars=(str, int, float, bool, type(None), bytes),
    keys=(str, int, float, bool, type(None), bytes),
    non_finite=True,
)


def compile_check(tree: mi.Type, carries: Carries) -> Callable[[Any], None] | None:
    """Make the check of a schema's messages, one by one; None if nothing in them can be lost."""
    check = _Compiler(carries).compile(tree)
    if check is None:
        return None
    if isinstance(check, _Fields) and isinstance(tree, ClassNode):
        return check.check_message
    return lambda message: check((message,))


class _Compiler:
    def __init__(self, carries: Carries) -> None:
        self._check_scalars = _check_moments if carries.non_finite else _check_scalars
        self._plain = _Plain(carries, self._check_scalars)
        moments = (mi.DateTimeType, mi.TimeType)
        self._scalars = moments if carries.non_finite else (*moments, mi.FloatType)
        self._done: dict[int, Check] = {}

    def compile(self, node: mi.Type) -> Check | None:
        if not any(isinstance(part, (*self._scalars, mi.AnyType)) for part in reachable(node)):
            return None
        key = id(node)
        if key not in self._done:
            # A class that refers to itself finds this in place of the check that isn't ready.
            self._done[key] = lambda values: self._done[key](values)  # noqa: PLW0108 -- it changes
            self._done[key] = self._make(node)
        return self._done[key]

    def _make(self, node: mi.Type) -> Check:
        if isinstance(node, mi.AnyType):
            return self._plain.check
        if isinstance(node, self._scalars):
            return self._check_scalars
        if isinstance(node, mi.DictType):
            return _dict(self._compile_keys(node.key_type), self.compile(node.value_type))
        parts = [(label, self.compile(part)) for label, part in children(node)]
        if isinstance(node, mi.TupleType):
            return _tuple([check for _, check in parts])
        checks = [(label, check) for label, check in parts if check is not None]
        if isinstance(node, mi.TypedDictType):
            return _typed_dict(checks)
        if isinstance(node, ClassNode):
            return _Fields(class_of(node), checks, self._check_scalars)
        if isinstance(node, mi.CollectionType):
            return _collection(checks[0][1])
        return _all_of([check for _, check in checks])

    def _compile_keys(self, node: mi.Type) -> Check | None:
        return self._plain.check_keys if isinstance(node, mi.AnyType) else self.compile(node)


class _Fields:
    """The check of a class's instances, field by field."""

    def __init__(self, cls: type, checks: list[tuple[str, Check]], check_scalars: Check) -> None:
        self._class = cls
        self.check_message = _message_check(checks, check_scalars)

    def __call__(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, self._class):
                self.check_message(value)


def _message_check(checks: list[tuple[str, Check]], check_scalars: Check) -> Callable[[Any], None]:
    get_scalars = _getter([name for name, check in checks if check is check_scalars])
    others = [(name, check) for name, check in checks if check is not check_scalars]

    # It runs for every message, so all scalars are checked at once, and a failure is looked
    # for again to say where it is.
    def check_message(message: Any) -> None:
        try:
            check_scalars(get_scalars(message))
            for name, check in others:
                check((getattr(message, name),))
        except Lossy:
            for name, check in checks:
                _check_named(name, getattr(message, name), check)

    return check_message


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    # For a single name attrgetter gives the bare value, so one is asked for twice.
    return attrgetter(*names) if len(names) > 1 else attrgetter(*names, *names)


def _check_named(name: str, value: Any, check: Check) -> None:
    try:
        check((value,))
    except Lossy as lossy:
        lossy.path.append(name)
        raise


def _typed_dict(checks: list[tuple[str, Check]]) -> Check:
    def check(values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, dict):
                for name, check_field in checks:
                    _check_named(name, value.get(name), check_field)

    return check


def _collection(check_items: Check) -> Check:
    def check(values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, (list, tuple, set, frozenset)):
                check_items(value)

    return check


def _tuple(checks: list[Check | None]) -> Check:
    def check(values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, tuple):
                for check_item, item in zip(checks, value, strict=False):
                    if check_item is not None:
                        check_item((item,))

    return check


def _dict(check_keys: Check | None, check_values: Check | None) -> Check:
    def check(values: Iterable[Any]) -> None:
        for value in values:
            if not isinstance(value, dict):
                continue
            if check_keys is not None:
                check_keys(value)
            if check_values is not None:
                check_values(value.values())

    return check


def _all_of(checks: list[Check]) -> Check:
    # Checks pass values of other types, so an optional float has the check of a float.
    if len(checks) == 1:
        return checks[0]

    def check(values: Iterable[Any]) -> None:
        for check_values in checks:
            check_values(values)

    return check


class _Plain:
    """The check of values that have no schema: they must be what the format has of its own."""

    def __init__(self, carries: Carries, check_scalars: Check) -> None:
        self._carries = carries
        self._check_scalars = check_scalars

    def check(self, values: Iterable[Any]) -> None:
        self._check_scalars(values)
        for value in values:
            cls = value.__class__
            if cls in self._carries.scalars:
                continue
            if isinstance(value, list):
                self.check(value)
            elif isinstance(value, dict):
                self.check_keys(value)
                self.check(value.values())
            elif not isinstance(value, self._carries.scalars):
                raise Lossy(
                    f"{self._carries.name} has no {type_name(value)}, and the schema doesn't"
                    ' say that there is one'
                )

    def check_keys(self, keys: Iterable[Any]) -> None:
        for key in keys:
            if not isinstance(key, self._carries.keys):
                raise Lossy(
                    f'a dict has a key of type {type_name(key)}, and {self._carries.name} would'
                    ' make something else of it'
                )


def _check_scalars(values: Iterable[Any]) -> None:
    for value in values:
        cls = value.__class__
        if cls is float:
            if value - value != 0.0:  # for NaN and the infinities it's NaN
                raise Lossy('a number is NaN or infinite, and JSON has no such numbers')
        elif (cls is datetime or cls is time) and value.tzinfo is not UTC:
            _check_zone(value)


def _check_moments(values: Iterable[Any]) -> None:
    for value in values:
        cls = value.__class__
        if (cls is datetime or cls is time) and value.tzinfo is not UTC:
            _check_zone(value)


def _check_zone(value: datetime | time) -> None:
    offset = value.utcoffset()
    if offset is None:
        if value.tzinfo is not None:
            raise Lossy('a time zone has no fixed offset, and would be lost')
    elif offset % _MINUTE:
        raise Lossy('a time zone is off by seconds, and RFC 3339 has no way to say so')
