"""Chooses the serializer for a schema."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DeclarationError, DeclarationTypeError, SerializerNotFoundError
from ._base import Serializer
from ._bytes import BytesSerializer
from ._classes import is_alias
from ._dataclass import DataclassSerializer, is_dataclass_schema
from ._datetime import DatetimeSerializer
from ._marshmallow import MarshmallowSerializer, find_marshmallow_schema
from ._msgspec import MsgspecSerializer
from ._primitive import PrimitiveSerializer, is_primitive
from ._protobuf import ProtobufSerializer, is_protobuf
from ._pydantic import PydanticSerializer, has_pydantic_model
from ._tree import name_of
from ._union import UnionSerializer, is_union_of_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm

T = TypeVar('T')


def get_serializer(schema: TypeForm[T]) -> Serializer[T]:
    """Give the serializer that fits the schema.

    :raises SerializerNotFoundError: none does, or the schema has a part that can't be encoded.
    """
    try:
        return _choose(schema)(schema)
    except DeclarationError as exc:
        raise SerializerNotFoundError(
            f'no serializer fits the schema {name_of(schema)}: {exc}. Pass one of your own as'
            ' `serializer`, an instance of a subclass of walnats.serializers.Serializer'
        ) from None


def resolve(schema: TypeForm[T], serializer: Serializer[T] | None) -> Serializer[T]:
    """Give the serializer that a wrapper wraps: the one passed, or the one that fits the schema."""
    if serializer is None:
        return get_serializer(schema)
    if not isinstance(serializer, Serializer):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
        raise DeclarationTypeError(
            f'serializer must be an instance of Serializer or None, not {serializer!r:.80}'
        )
    return serializer


def _choose(schema: Any) -> Callable[[Any], Serializer[Any]]:
    for fits, serializer in _CHOICES:
        if fits(schema):
            return serializer
    return MsgspecSerializer


# A class may be several of these: a marshmallow class is a dataclass as well.
_CHOICES: tuple[tuple[Callable[[Any], object], Callable[[Any], Serializer[Any]]], ...] = (
    (is_alias, lambda alias: get_serializer(alias.__value__)),
    (is_primitive, PrimitiveSerializer),
    (lambda schema: schema is bytes, BytesSerializer),
    (lambda schema: schema is datetime or schema is date, DatetimeSerializer),
    (is_protobuf, ProtobufSerializer),
    (find_marshmallow_schema, MarshmallowSerializer),
    (has_pydantic_model, PydanticSerializer),
    (is_dataclass_schema, DataclassSerializer),
    (is_union_of_classes, UnionSerializer),
)
