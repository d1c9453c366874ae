"""JSON Schemas of marshmallow schemas."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

_NUMBER = {'type': 'number'}
_TEXT = {'type': 'string'}
_MOMENT = {'type': 'string', 'format': 'date-time'}
# Only these classes themselves: one that is derived from them may write something else.
_TYPES: dict[type, dict[str, Any]] = {
    fields.AwareDateTime: _MOMENT,
    fields.Boolean: {'type': 'boolean'},
    fields.Date: {'type': 'string', 'format': 'date'},
    fields.DateTime: _MOMENT,
    fields.Decimal: {'type': 'string', 'format': 'decimal'},
    fields.Email: {'type': 'string', 'format': 'email'},
    fields.Float: _NUMBER,
    fields.Integer: {'type': 'integer'},
    fields.NaiveDateTime: _MOMENT,
    fields.String: _TEXT,
    fields.Time: {'type': 'string', 'format': 'time'},
    fields.TimeDelta: _NUMBER,
    fields.UUID: {'type': 'string', 'format': 'uuid'},
    fields.Url: {'type': 'string', 'format': 'uri'},
}


def describe(schema: Schema) -> dict[str, Any]:
    """Describe the schema and those that are nested in it."""
    shared = _Definitions()
    described = shared.describe_schema(schema)
    return {**described, '$defs': shared.definitions}


class _Definitions:
    """The schemas met so far, which other ones refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self._names: dict[object, str] = {}

    def describe_schema(self, schema: Schema) -> dict[str, Any]:
        # The same class may be nested in several ways: with `only`, with `exclude`.
        key = (type(schema), frozenset(schema.load_fields))
        if key not in self._names:
            self._names[key] = name = self._new_name(type(schema).__name__)
            self.definitions[name] = {}  # a schema may nest itself
            self.definitions[name] = self._describe_fields(schema)
        described = {'$ref': f'#/$defs/{self._names[key]}'}
        return {'type': 'array', 'items': described} if schema.many else described

    def _new_name(self, name: str) -> str:
        same = sum(taken.partition('-')[0] == name for taken in self.definitions)
        return f'{name}-{same + 1}' if same else name

    def _describe_fields(self, schema: Schema) -> dict[str, Any]:
        named = {field.data_key or name: field for name, field in schema.load_fields.items()}
        described = {
            'title': type(schema).__name__,
            'type': 'object',
            'properties': {name: self._describe_field(field) for name, field in named.items()},
        }
        required = [name for name, field in named.items() if field.required]
        return {**described, 'required': required} if required else described

    def _describe_field(self, field: Any) -> dict[str, Any]:
        described = self._describe_value(field)
        if field.allow_none and described:
            described = {'anyOf': [described, {'type': 'null'}]}
        text = field.metadata.get('description')
        return {**described, 'description': text} if isinstance(text, str) else described

    def _describe_value(self, field: Any) -> dict[str, Any]:
        kind = type(field)
        if kind is fields.Nested:
            return self.describe_schema(field.schema)
        if kind is fields.List:
            return {'type': 'array', 'items': self._describe_field(field.inner)}
        if kind is fields.Tuple:
            items = [self._describe_field(part) for part in field.tuple_fields]
            return {'type': 'array', 'prefixItems': items, 'minItems': len(items)}
        if kind is fields.Dict:
            values = {} if field.value_field is None else self._describe_field(field.value_field)
            return {'type': 'object', 'additionalProperties': values}
        if kind is fields.Enum and not field.by_value:
            return {'enum': [member.name for member in field.enum]}
        return _describe_scalar(field)


def _describe_scalar(field: Any) -> dict[str, Any]:
    described = _TYPES.get(type(field), {})
    if getattr(field, 'as_string', False):
        return _TEXT
    form = getattr(field, 'format', None)
    if form in {None, 'iso', 'iso8601'}:
        return described
    return _NUMBER if form in {'timestamp', 'timestamp_ms'} else _TEXT
