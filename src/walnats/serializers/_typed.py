"""What msgspec knows by type: the part that JSON and MessagePack share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec.inspect as mi

from ..errors import DeclarationError, EncodeError
from ._base import Serializer
from ._classes import class_to_test
from ._json_schema import describe
from ._lossless import Carries, compile_check
from ._reasons import changed, decode_error, encode_error, wrong_type
from ._same import find_change
from ._tree import ClassNode, class_of, name_of, parse, reachable
from ._trim import Trim, compile_trim

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm

T = TypeVar('T')


@dataclass(frozen=True)
class Format:
    """How msgspec writes and reads one format."""

    carries: Carries
    is_text: bool
    encoder: Callable[[mi.Type], Callable[[Any], bytes]]
    decoder: Callable[[Any], Callable[[bytes], Any]]
    """Gives the function that reads what the schema says."""
    loose_decoder: Callable[[], Callable[[bytes], Any]]
    """Gives the function that reads anything, as values that can be encoded again."""


class TypedSerializer(Serializer[T]):
    """Encodes messages of the schema's class as they are, and reads back all others.

    An instance of exactly the schema's class is encoded without a look at its fields,
    beyond what the format would change without a word: their types are the type checker's
    business. Where the class doesn't say enough (a subclass, `list[Model]`, a union, a
    TypedDict), the payload is decoded again and must come out the same.
    """

    def __init__(self, schema: TypeForm[T], wire: Format) -> None:
        tree = parse(schema)
        self._schema = schema
        self._name = name_of(schema)
        self._class = _class_of(schema, tree)
        self._exact = schema if _class_says_all(schema, tree) else _NoClass
        self._is_text = wire.is_text
        self._check = compile_check(tree, wire.carries)
        self._trim = compile_trim(tree)
        try:
            self._encode = wire.encoder(tree)
            self._decode = wire.decoder(schema)
            self._decode_loosely = wire.loose_decoder()
        except Exception as exc:  # whatever msgspec has against the schema
            raise DeclarationError(f'{self._name}: {exc}') from None

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""
        try:
            data = self._encode(message)
            if self._check is not None:
                self._check(message)
            if message.__class__ is not self._exact:
                self._read_back(message, data)
        except Exception as exc:  # the schema's own code may raise anything
            raise self._refusal(message, exc) from None
        return data

    def decode(self, data: bytes) -> T:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""
        try:
            if self._is_text and not data.isascii():
                data.decode()  # msgspec passes over what it ignores, UTF-8 or not
            message: T = self._decode(data)
        except Exception as exc:  # the schema's own code may raise anything
            if self._trim is None:
                raise decode_error(exc, data) from None
            return self._decode_trimmed(data, self._trim)
        return message

    def json_schema(self) -> dict[str, Any] | None:
        """Describe the schema as msgspec does, None where it can't: a default is no JSON."""
        return describe([self._schema])

    def _decode_trimmed(self, data: bytes, trim: Trim) -> T:
        try:
            message: T = self._decode(self._encode(trim(self._decode_loosely(data))))
        except Exception as exc:  # as above
            raise decode_error(exc, data) from None
        return message

    def _read_back(self, message: T, data: bytes) -> None:
        where = find_change(message, self.decode(data))
        if where is not None:
            raise changed(where)

    def _refusal(self, message: T, exc: Exception) -> EncodeError:
        if not isinstance(message, self._class):
            return wrong_type(message, self._name)
        return encode_error(exc)


_RECORDS = (mi.DataclassType, mi.StructType, mi.NamedTupleType)
_PLAIN = (str, int, float, bool, list, dict)


class _NoClass:
    """No message is an instance of it."""


def _class_of(schema: Any, tree: mi.Type) -> type:
    if isinstance(tree, ClassNode):
        return class_of(tree)
    return class_to_test(schema)


def _class_says_all(schema: Any, tree: mi.Type) -> bool:
    if any(schema is plain for plain in _PLAIN):
        return True
    if not isinstance(tree, _RECORDS) or not isinstance(schema, type):
        return False
    return not any(map(_is_ambiguous, reachable(tree)))


def _is_ambiguous(node: mi.Type) -> bool:
    # The keys of JSON are strings: where several types are possible, `1` may become `'1'`.
    return isinstance(node, mi.DictType) and isinstance(node.key_type, mi.UnionType)
