"""Protocol Buffers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DeclarationTypeError, DecodeError, EncodeError
from ._base import Serializer
from ._optional import missing_package
from ._reasons import encode_error, wrong_type
from ._tree import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

M = TypeVar('M', bound='Message')

_VARINT = 0


class ProtobufSerializer(Serializer[M]):
    """The binary form of Protocol Buffers, for a message class that `protoc` has generated.

    The rules are those of Protocol Buffers: what is unknown is ignored, what is missing
    takes its default, so even an empty payload is a message. A field of a wrong type,
    which a parser of Protocol Buffers takes for an unknown one, is a DecodeError.

    It needs the package `protobuf`: `pip install 'walnats[protobuf]'`.
    """

    content_type = 'application/protobuf'

    def __init__(self, schema: type[M]) -> None:
        try:
            from google.protobuf.message import Message  # noqa: PLC0415 -- of an extra
            from google.protobuf.unknown_fields import UnknownFieldSet  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package('ProtobufSerializer', 'protobuf') from exc
        if not is_protobuf(schema) or schema is Message:
            raise DeclarationTypeError(
                f'ProtobufSerializer needs a generated message class, not {name_of(schema)}'
            )
        self._schema = schema
        self._message_class = Message
        self._unknown_fields = UnknownFieldSet

    def encode(self, message: M) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""
        if not isinstance(message, self._schema):
            raise wrong_type(message, name_of(self._schema))
        if not message.IsInitialized():
            raise EncodeError('a required field is not set')
        try:
            return message.SerializeToString()
        except Exception as exc:  # as many kinds as there are implementations of protobuf
            raise encode_error(exc) from None

    def decode(self, data: bytes) -> M:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""
        try:
            message = self._schema.FromString(data)
        except Exception:  # as many kinds as there are implementations of protobuf
            raise DecodeError(f'the payload is no {name_of(self._schema)}') from None
        if not message.IsInitialized():
            raise DecodeError('a required field is missing')
        for field in self._find_mistyped(message):
            raise DecodeError(f'`{field}` has a wrong type')
        return message

    def json_schema(self) -> dict[str, Any]:
        """Describe the message in its JSON form, with the names and numbers of its fields."""
        from ._protobuf_schema import describe  # noqa: PLC0415 -- of an extra

        descriptor: Any = self._schema.DESCRIPTOR  # of one of several implementations
        return describe(descriptor)

    def _find_mistyped(self, message: Message) -> Iterator[str]:
        known = message.DESCRIPTOR.fields_by_number
        unknown_fields: Any = self._unknown_fields(message)  # its type stub has no iteration
        for unknown in unknown_fields:
            field = known.get(unknown.field_number)
            if field is not None and not _is_newer_enum(field, unknown.wire_type):
                yield field.full_name
        for field, value in message.ListFields():
            if field.message_type is not None:
                for part in self._find_messages(value):
                    yield from self._find_mistyped(part)

    def _find_messages(self, value: Any) -> list[Message]:
        if isinstance(value, self._message_class):
            return [value]
        parts = value.values() if hasattr(value, 'values') else value
        return [part for part in parts if isinstance(part, self._message_class)]


def _is_newer_enum(field: Any, wire_type: int) -> bool:
    # In proto2 a value that the enum doesn't have is an unknown field, by the rules.
    return field.enum_type is not None and wire_type == _VARINT


def is_protobuf(schema: Any) -> bool:
    """Tell whether the schema is a message class of protobuf, without importing it."""
    module = sys.modules.get('google.protobuf.message')
    return module is not None and isinstance(schema, type) and issubclass(schema, module.Message)
