"""JSON for the types that JSON itself has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DeclarationTypeError
from ._msgspec import MsgspecSerializer
from ._tree import name_of

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar('T')

PRIMITIVES = (str, int, float, bool, list, dict, None, type(None))


class PrimitiveSerializer(MsgspecSerializer[T]):
    """JSON for `str`, `int`, `float`, `bool`, `list`, `dict` and `None`.

    A string is in quotes on the wire: `"EWR"`. A list or a dict may hold what JSON has,
    at any depth, and keys are strings: everything else in it is an EncodeError, because it
    would come out as something else. A `bool` is no `int`; an `int` may stand for a `float`.
    """

    def __init__(self, schema: TypeForm[T]) -> None:
        if not is_primitive(schema):
            raise DeclarationTypeError(
                'PrimitiveSerializer needs str, int, float, bool, list, dict or None,'
                f' not {name_of(schema)}'
            )
        super().__init__(schema)


def is_primitive(schema: Any) -> bool:
    """Tell whether the schema is one of the types that JSON has."""
    return any(schema is primitive for primitive in PRIMITIVES)
