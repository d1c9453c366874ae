"""Unions of dataclasses or attrs classes."""

from __future__ import annotations

import types
import typing
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import msgspec.inspect as mi

from ..errors import DeclarationError, DeclarationTypeError, DecodeError, EncodeError
from ._base import Serializer
from ._json_schema import describe
from ._msgspec import MsgspecSerializer
from ._reasons import decode_error, encode_error, wrong_type
from ._tree import class_of, name_of, parse

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar('T')


class UnionSerializer(Serializer[T]):
    """JSON for a union of dataclasses or attrs classes, told apart by their fields.

    Each class but one must have a required field whose name no other class of the union
    has; the one without is taken where none of the others' is there. Nothing is added to
    the payload. Where that isn't enough, `msgspec.Struct` classes with a tag are.
    """

    content_type = 'application/json'

    def __init__(self, schema: TypeForm[T]) -> None:
        self._name = name_of(schema)
        if not is_union_of_classes(schema):
            raise DeclarationTypeError(
                f'UnionSerializer needs a union of dataclasses or attrs classes, not {self._name}'
            )
        trees = [_parse_member(member) for member in _members(schema)]
        self._classes = [tree.cls for tree in trees]
        self._serializers = {class_of(tree): MsgspecSerializer[Any](tree.cls) for tree in trees}
        self._marks = {class_of(tree): _marks(tree, trees) for tree in trees}
        unmarked = [cls for cls, marks in self._marks.items() if not marks]
        if len(unmarked) > 1 or len(self._serializers) < len(trees):
            raise DeclarationError(
                f"{self._name} can't be told apart on the wire: more than one of the classes has"
                ' no required field of its own. Use msgspec.Struct classes with `tag=True`'
            )
        self._unmarked = unmarked[0] if unmarked else None
        self._read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""
        for cls in type(message).__mro__:
            serializer = self._serializers.get(cls)
            if serializer is not None:
                data = serializer.encode(message)
                if cls is not type(message):
                    self._check_class(data, cls)
                return data
        raise wrong_type(message, self._name)

    def decode(self, data: bytes) -> T:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""
        decoded: T = self._serializers[self._find_class(data)].decode(data)
        return decoded

    def json_schema(self) -> dict[str, Any] | None:
        """Describe each class as msgspec does, None where it can't: a default is no JSON."""
        return describe(self._classes)

    def _check_class(self, data: bytes, cls: type) -> None:
        # What a subclass has beyond its class may be what another one is known by.
        try:
            found = self._find_class(data)
        except DecodeError as exc:
            raise encode_error(exc) from None
        if found is not cls:
            raise EncodeError(f'the message would be read back as {name_of(found)}')

    def _find_class(self, data: bytes) -> type:
        try:
            names = self._read_object(data).keys()
        except Exception as exc:  # it may be a RecursionError
            raise decode_error(exc, data) from None
        found = [cls for cls, marks in self._marks.items() if not marks.isdisjoint(names)]
        if len(found) > 1:
            raise DecodeError(f'the payload has fields of more than one class of {self._name}')
        chosen = found[0] if found else self._unmarked
        if chosen is None:
            raise DecodeError(f'the payload has the required fields of no class of {self._name}')
        return chosen


def is_union_of_classes(schema: Any) -> bool:
    """Tell whether the schema is a union of dataclasses or attrs classes, and of nothing else."""
    return bool(_members(schema)) and all(map(_is_class_of_fields, _members(schema)))


def _is_class_of_fields(member: Any) -> bool:
    cls = typing.get_origin(member) or member
    return isinstance(cls, type) and (is_dataclass(cls) or hasattr(cls, '__attrs_attrs__'))


def _members(schema: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(schema) in {typing.Union, types.UnionType}
    return typing.get_args(schema) if is_union else ()


def _parse_member(member: Any) -> mi.DataclassType:
    tree = parse(member)
    if not isinstance(tree, mi.DataclassType):  # it is what is_union_of_classes has let pass
        raise DeclarationTypeError(f'{name_of(member)} is no dataclass or attrs class')
    return tree


def _marks(tree: mi.DataclassType, trees: list[mi.DataclassType]) -> set[str]:
    required = {field.encode_name for field in tree.fields if field.required}
    others = {field.encode_name for other in trees if other is not tree for field in other.fields}
    return required - others
