"""JSON for marshmallow schemas."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..errors import DeclarationError, DeclarationTypeError, DecodeError
from ._base import Serializer
from ._optional import missing_package
from ._reasons import changed, decode_error, encode_error, type_name, wrong_type
from ._same import find_change
from ._tree import name_of

if TYPE_CHECKING:
    from marshmallow import Schema, ValidationError

T = TypeVar('T')


class MarshmallowSerializer(Serializer[T]):
    """JSON by a marshmallow schema.

    The event's schema is a class that has its marshmallow schema in the attribute `Schema`
    (the package marshmallow_dataclass makes such classes), or is a marshmallow schema
    itself. The messages are what `load` gives: instances of the class, or dicts.

    The fields' own rules decide what is read. Unknown fields are ignored, unless a schema
    says otherwise in its `Meta`. Every payload is read again before it's sent and must give
    the message back: a key that the schema doesn't know, a field that is `dump_only` or
    `load_only`, or one that rounds, is an EncodeError.

    It needs the package `marshmallow`: `pip install 'walnats[marshmallow]'`.
    """

    content_type = 'application/json'

    def __init__(self, schema: type[T]) -> None:
        try:
            import marshmallow  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package('MarshmallowSerializer', 'marshmallow') from exc
        schema_class = find_marshmallow_schema(schema)
        if schema_class is None:
            raise DeclarationTypeError(
                'MarshmallowSerializer needs a marshmallow schema, or a class that has one in'
                f' its attribute `Schema`, not {name_of(schema)}'
            )
        try:
            self._schema = schema_class()
        except Exception as exc:  # whatever the class has against it
            raise DeclarationError(f'{name_of(schema)}: {exc}') from None
        self._load: Any = self._schema.load  # it gives whatever the schema makes
        self._class = None if schema_class is schema else schema
        self._relax = _Relaxer(marshmallow)
        self._refused = marshmallow.ValidationError
        self._read = msgspec.json.Decoder().decode
        self._write = msgspec.json.Encoder().encode

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""
        if self._class is not None and not isinstance(message, self._class):
            raise wrong_type(message, name_of(self._class))
        try:
            data = self._write(self._schema.dump(message))
            self._compare(message, self.decode(data))
        except Exception as exc:  # the schema's own code may raise anything
            raise encode_error(exc) from None
        return data

    def decode(self, data: bytes) -> T:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""
        try:
            if not data.isascii():
                data.decode()
            value = self._read(data)
            self._relax.schema(self._schema, value)
            message: T = self._load(value)
        except Exception as exc:  # the schema's own code may raise anything
            if isinstance(exc, self._refused):
                raise DecodeError(self._describe(exc)) from None
            raise decode_error(exc, data) from None
        return message

    def json_schema(self) -> dict[str, Any]:
        """Describe the fields. One of a class that marshmallow doesn't have may hold anything."""
        from ._marshmallow_schema import describe  # noqa: PLC0415 -- of an extra

        return describe(self._schema)

    def _compare(self, message: T, copy: T) -> None:
        if not isinstance(message, dict if isinstance(copy, dict) else type(copy)):
            raise wrong_type(message, type_name(copy))
        where = find_change(_filled(message, copy), copy)
        if where is not None:
            raise changed(where)

    def _describe(self, error: ValidationError) -> str:
        # Not its texts, and of the keys only those of the schema: the rest is of the payload.
        names = {*self._schema.fields, *(f.data_key for f in self._schema.fields.values())}
        wrong = [f'`{key}`' for key in error.messages if key in names]
        return f'{", ".join(wrong) or "the value"} is wrong'


class _Relaxer:
    """Has unknown fields ignored by a schema and by the ones nested in it.

    `load(unknown=…)` doesn't reach the nested ones. They are met along the data, because
    a schema may nest itself.
    """

    def __init__(self, marshmallow: Any) -> None:
        self._exclude = marshmallow.EXCLUDE
        self._fields = marshmallow.fields

    def schema(self, schema: Schema, value: Any) -> None:
        if not hasattr(schema.Meta, 'unknown'):
            schema.unknown = self._exclude
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                for name, field in schema.load_fields.items():
                    self._field(field, item.get(field.data_key or name))

    def _field(self, field: Any, value: Any) -> None:
        if isinstance(field, self._fields.Nested):
            self.schema(field.schema, value)
        elif isinstance(field, self._fields.List) and isinstance(value, list):
            for item in value:
                self._field(field.inner, item)
        elif isinstance(field, self._fields.Mapping) and isinstance(value, dict):
            for item in value.values():
                self._field(field.value_field, item)
        elif isinstance(field, self._fields.Tuple) and isinstance(value, list):
            for part, item in zip(field.tuple_fields, value, strict=False):
                self._field(part, item)


def find_marshmallow_schema(schema: Any) -> type[Schema] | None:
    """Give the marshmallow schema in the event's schema, if any, without importing the package."""
    module = sys.modules.get('marshmallow')
    if module is None or not isinstance(schema, type):
        return None
    for candidate in (schema, getattr(schema, 'Schema', None)):
        if isinstance(candidate, type) and issubclass(candidate, module.Schema):
            return candidate
    return None


def _filled(message: Any, copy: Any) -> Any:
    """Give the message with the defaults that its copy has for what is missing in dicts."""
    if isinstance(message, dict) and isinstance(copy, dict):
        kept = {key: _filled(value, copy.get(key)) for key, value in message.items()}
        return {**copy, **kept}
    if isinstance(message, list) and isinstance(copy, list) and len(message) == len(copy):
        return list(map(_filled, message, copy))
    return message
