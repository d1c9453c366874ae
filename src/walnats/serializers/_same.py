"""Compares a message with what it is read back as."""

from __future__ import annotations

import dataclasses
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find_change(original: Any, copy: Any, where: str = '$') -> str | None:
    """Give the path to the first value that the copy has differently; None if there is none.

    Classes are compared by the fields of the copy's class, which may be a base of the
    original's. Values of a class that defines no equality are taken for equal.
    """
    if isinstance(copy, (datetime, time)):
        return None if _is_same_moment(original, copy) else where
    if type(original) is type(copy) and original == copy:
        return None
    if isinstance(copy, float):
        return None if _is_same_number(original, copy) else where
    # A dict of any kind will do for one of another kind: marshmallow can make ordered ones.
    if not isinstance(original, dict if isinstance(copy, dict) else type(copy)):
        return where
    if isinstance(copy, (dict, list, tuple)) and len(original) != len(copy):
        return where
    fields = _field_names(type(copy))
    if fields is None and not isinstance(copy, (dict, list, tuple)):
        return None if _is_equal(original, copy) else where
    parts = _parts(original, copy, fields)
    found = (find_change(old, new, where + step) for step, old, new in parts)
    return next((path for path in found if path is not None), None)


_MISSING = object()


def _parts(
    original: Any, copy: Any, fields: Sequence[str] | None
) -> Iterator[tuple[str, Any, Any]]:
    if fields is not None:
        for name in fields:
            yield f'.{name}', getattr(original, name), getattr(copy, name)
    elif isinstance(copy, dict):
        for key, value in copy.items():
            yield '[...]', original.get(key, _MISSING), value
    else:
        for index, (old, new) in enumerate(zip(original, copy, strict=True)):
            yield f'[{index}]', old, new


def _field_names(cls: Any) -> Sequence[str] | None:
    if hasattr(cls, '__struct_fields__'):
        return tuple(cls.__struct_fields__)
    if hasattr(cls, '__attrs_attrs__'):
        return [field.name for field in cls.__attrs_attrs__]
    if hasattr(cls, 'model_fields') and hasattr(cls, '__pydantic_core_schema__'):
        kept = [name for name, field in cls.model_fields.items() if not field.exclude]
        return [*kept, '__pydantic_extra__']
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    return None


def _is_equal(original: Any, copy: Any) -> bool:
    has_equality = any('__eq__' in vars(base) for base in type(copy).__mro__[:-1])
    return bool(original == copy) or _is_nan(original, copy) or not has_equality


def _is_same_number(original: Any, copy: float) -> bool:
    is_number = isinstance(original, (int, float))
    return is_number and (original == copy or _is_nan(original, copy))


def _is_nan(original: Any, copy: Any) -> bool:
    return bool(original != original and copy != copy)  # noqa: PLR0124 -- a NaN equals nothing


def _is_same_moment(original: Any, copy: Any) -> bool:
    # Not just `==`: it is never true in the fold of a time zone, and times of day that have
    # a time zone but no offset equal the ones without.
    return (
        isinstance(original, type(copy))
        and original.replace(tzinfo=None) == copy.replace(tzinfo=None)
        and original.utcoffset() == copy.utcoffset()
        and (original.tzinfo is None) == (copy.tzinfo is None)
    )
