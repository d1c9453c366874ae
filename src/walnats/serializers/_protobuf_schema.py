"""JSON Schemas of Protocol Buffers messages, in the JSON form that Protocol Buffers define."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto as Field

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

_INT = {'type': 'integer', 'format': 'int32'}
_UINT = {'type': 'integer', 'format': 'uint32'}
_LONG = {'type': 'string', 'format': 'int64'}
_ULONG = {'type': 'string', 'format': 'uint64'}
_SCALARS: dict[int, dict[str, Any]] = {
    Field.TYPE_DOUBLE: {'type': 'number', 'format': 'double'},
    Field.TYPE_FLOAT: {'type': 'number', 'format': 'float'},
    Field.TYPE_BOOL: {'type': 'boolean'},
    Field.TYPE_STRING: {'type': 'string'},
    Field.TYPE_BYTES: {'type': 'string', 'contentEncoding': 'base64'},
    **dict.fromkeys((Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32), _INT),
    **dict.fromkeys((Field.TYPE_UINT32, Field.TYPE_FIXED32), _UINT),
    **dict.fromkeys((Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64), _LONG),
    **dict.fromkeys((Field.TYPE_UINT64, Field.TYPE_FIXED64), _ULONG),
}
# These have a JSON form of their own, which their fields don't tell.
_KNOWN: dict[str, dict[str, Any]] = {
    'google.protobuf.Any': {
        'type': 'object',
        'properties': {'@type': {'type': 'string'}},
        'required': ['@type'],
    },
    'google.protobuf.BoolValue': _SCALARS[Field.TYPE_BOOL],
    'google.protobuf.BytesValue': _SCALARS[Field.TYPE_BYTES],
    'google.protobuf.DoubleValue': _SCALARS[Field.TYPE_DOUBLE],
    'google.protobuf.Duration': {'type': 'string', 'pattern': r'^-?[0-9]+(\.[0-9]+)?s$'},
    'google.protobuf.FieldMask': {'type': 'string'},
    'google.protobuf.FloatValue': _SCALARS[Field.TYPE_FLOAT],
    'google.protobuf.Int32Value': _INT,
    'google.protobuf.Int64Value': _LONG,
    'google.protobuf.ListValue': {'type': 'array'},
    'google.protobuf.StringValue': _SCALARS[Field.TYPE_STRING],
    'google.protobuf.Struct': {'type': 'object'},
    'google.protobuf.Timestamp': {'type': 'string', 'format': 'date-time'},
    'google.protobuf.UInt32Value': _UINT,
    'google.protobuf.UInt64Value': _ULONG,
    'google.protobuf.Value': {},
}


def describe(message: Descriptor) -> dict[str, Any]:
    """Describe the message and those in its fields, by their full names."""
    definitions: dict[str, dict[str, Any]] = {}
    return {**_describe_type(message, definitions), '$defs': definitions}


def _describe_type(message: Descriptor, definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = message.full_name
    if name in _KNOWN:
        return _KNOWN[name]
    if name not in definitions:
        definitions[name] = {}  # a message may hold itself
        definitions[name] = _describe_fields(message, definitions)
    return {'$ref': f'#/$defs/{name}'}


def _describe_fields(message: Descriptor, definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    declared = DescriptorProto()
    message.CopyToProto(declared)
    properties: dict[str, dict[str, Any]] = {}
    for field, declaration in zip(message.fields, declared.field, strict=True):
        described = _describe_field(field, definitions)
        if declaration.label == Field.LABEL_REPEATED and not _map_values(field):
            described = {'type': 'array', 'items': described}
        properties[field.name] = {**described, 'x-protobuf-number': field.number}
    required = [field.name for field in declared.field if field.label == Field.LABEL_REQUIRED]
    described = {'title': message.name, 'type': 'object', 'properties': properties}
    return {**described, 'required': required} if required else described


def _describe_field(
    field: FieldDescriptor, definitions: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    values = _map_values(field)
    if values is not None:
        return {'type': 'object', 'additionalProperties': _describe_field(values, definitions)}
    if field.message_type is not None:
        return _describe_type(field.message_type, definitions)
    if field.enum_type is not None:
        return {'enum': [value.name for value in field.enum_type.values]}
    return _SCALARS[field.type]


def _map_values(field: FieldDescriptor) -> FieldDescriptor | None:
    kind = field.message_type
    return kind.fields_by_name['value'] if kind and kind.GetOptions().map_entry else None
