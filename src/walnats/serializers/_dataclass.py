"""JSON for dataclasses."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, TypeGuard, TypeVar

from ..errors import DeclarationTypeError
from ._msgspec import MsgspecSerializer
from ._tree import name_of

T = TypeVar('T')


class DataclassSerializer(MsgspecSerializer[T]):
    """JSON for dataclasses, of which the fields may be dataclasses too.

    A dataclass is an object of its fields' names. The rules are those of
    `MsgspecSerializer`.
    """

    def __init__(self, schema: type[T]) -> None:
        if not is_dataclass_schema(schema):
            raise DeclarationTypeError(
                f'DataclassSerializer needs a dataclass, not {name_of(schema)}'
            )
        super().__init__(schema)


def is_dataclass_schema(schema: Any) -> TypeGuard[type]:
    """Tell whether the schema is a dataclass, maybe one with its type parameters given."""
    cls = getattr(schema, '__origin__', schema)
    return isinstance(cls, type) and is_dataclass(cls)
