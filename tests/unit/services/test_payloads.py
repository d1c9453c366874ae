"""What is published as the JSON Schema of a payload is what is sent."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings, strategies as st
from jsonschema import Draft7Validator, ValidationError
from tests.unit.services.payloads import EVENTS, TEXTS

from walnats import Event, Events, Services
from walnats.serializers import (
    FernetSerializer,
    GZipSerializer,
    HMACSerializer,
    MessagePackSerializer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FIELD = descriptor_pb2.FieldDescriptorProto


def describe(*events: Event[Any]) -> dict[str, Any]:
    return Services().add('s', emits=Events(*events)).get_async_api()


def describe_payload(event: Event[Any]) -> dict[str, Any]:
    """Give the schema of the event's payload, with all that it refers to."""
    components = describe(event)['components']
    (message,) = components['messages'].values()
    schema = {'allOf': [message['payload']], 'components': components}
    Draft7Validator.check_schema(schema)
    return schema


@cache
def find_schema(name: str) -> dict[str, Any]:
    return describe_payload(EVENTS[name][0])


@cache
def find_validator(name: str) -> Draft7Validator:
    return Draft7Validator(find_schema(name), format_checker=Draft7Validator.FORMAT_CHECKER)


def find_component(event: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = find_schema(event)['components']['schemas'][name]
    return found


def test_all_of_them_make_a_valid_document(
    check_document: Callable[[dict[str, Any]], None],
) -> None:
    document = describe(*(event for event, _ in EVENTS.values()))
    check_document(document)
    content_types = {
        message['contentType'] for message in document['components']['messages'].values()
    }
    assert content_types == {'application/json'}


@pytest.mark.parametrize('name', EVENTS)
@given(data=st.data())
@settings(max_examples=25)
def test_what_is_sent_is_valid(name: str, data: st.DataObject) -> None:
    event, messages = EVENTS[name]
    payload = event.encode(data.draw(messages))
    find_validator(name).validate(json.loads(payload))


@pytest.mark.parametrize(
    ('name', 'payload'),
    [
        ('str', 1),
        ('int', 1.5),
        ('none', 0),
        ('list', {}),
        ('dataclass', {'name': 'a'}),
        ('generic', {'items': [{'number': 1}]}),
        ('classes', {'order': 1}),
        ('attrs', {'name': 1}),
        ('tagged', {'type': 'Cow'}),
        ('tagged', {'type': 'Cat', 'nine_lives': 9}),
        ('array', ['a']),
        ('typed-dict', {'size': 1}),
        ('named-tuple', []),
        ('named-tuple', [1, 'a']),
        ('items', [{}]),
        ('union', 1.5),
        ('pydantic-items', [{'sku': 'a'}]),
        ('pydantic-items', [{'SKU': ''}]),
        ('marshmallow', {'number': 1}),
        ('marshmallow', {'flightNumber': 1, 'leg': {}}),
        ('marshmallow', {'flightNumber': 1, 'day': None}),
        ('marshmallow', {'flightNumber': 1, 'color': 'red'}),
        ('marshmallow', {'flightNumber': 1, 'next': {}}),
    ],
    ids=repr,
)
def test_what_could_not_be_decoded_is_not_valid(name: str, payload: Any) -> None:
    with pytest.raises(ValidationError):
        find_validator(name).validate(payload)


def test_descriptions_of_fields_are_kept() -> None:
    limited = find_component('dataclass', 'User')['properties']['limited']
    assert (limited['description'], limited['minimum']) == ('Never negative.', 0)
    sku = find_component('pydantic-items', 'Item')['properties']['SKU']
    assert (sku['description'], sku['minLength']) == ('The number.', 1)
    to = find_component('marshmallow', 'LegSchema')['properties']['to']
    assert to == {'type': 'string', 'description': 'Where it goes.'}


def test_a_schema_that_is_nested_in_part() -> None:
    nested = find_component('marshmallow', 'FlightSchema')['properties']['next']
    assert nested == {'$ref': '#/components/schemas/FlightSchema-2'}
    part = find_component('marshmallow', 'FlightSchema-2')['properties']
    assert part == {'flightNumber': {'type': 'integer'}}


# --- Draft 07 ----------------------------------------------------------------


def test_references_stand_alone() -> None:
    """What is beside a `$ref` is ignored in draft 07."""
    first = find_component('pydantic', 'Account')['properties']['first']
    assert first['allOf'] == [{'$ref': '#/components/schemas/Item'}]
    assert first['description'] == 'Of them.'
    assert '$ref' not in first


def test_arrays_of_different_items() -> None:
    user = find_component('dataclass', 'User')
    assert user['properties']['pair'] == {
        'type': 'array',
        'items': [{'type': 'integer'}, {'type': 'string'}],
        'additionalItems': False,
        'minItems': 2,
        'maxItems': 2,
    }


def test_no_discriminator_of_openapi() -> None:
    for name in ('tagged', 'pydantic'):
        assert '"discriminator"' not in json.dumps(find_schema(name))


def test_properties_that_are_called_like_keywords() -> None:
    keywords: dict[str, Any] = dict.fromkeys(
        ('discriminator', 'default', 'items', 'prefixItems', 'allOf'), (int, 1)
    )
    model = pydantic.create_model('Model', **keywords)
    schema = describe_payload(Event('e', model))['components']['schemas']['Model']
    assert schema['properties'].keys() == keywords.keys()


def test_defaults_that_look_like_schemas_or_are_no_json(
    check_document: Callable[[dict[str, Any]], None],
) -> None:
    @dataclass
    class Odd:
        ref: dict[str, Any] = field(default_factory=dict)
        not_a_number: float = math.nan

    class Model(pydantic.BaseModel):
        like: dict[str, Any] = {'$ref': '#/$defs/Nothing', 'prefixItems': 1}

    document = describe(Event('a', Odd), Event('b', Model))
    check_document(document)
    schemas = document['components']['schemas']
    assert 'default' not in schemas['Odd']['properties']['not_a_number']
    assert schemas['Model']['properties']['like']['default'] == {
        '$ref': '#/$defs/Nothing',
        'prefixItems': 1,
    }


class Thing:
    pass


@dataclass
class WithThing:
    thing: Any = field(default_factory=Thing)
    other: Any = Thing


@pytest.mark.parametrize(
    'serializer', [None, MessagePackSerializer(WithThing)], ids=['json', 'msgpack']
)
def test_a_class_that_msgspec_cannot_describe(serializer: Any) -> None:
    payload = describe_payload(Event('e', WithThing, serializer))['allOf'][0]
    assert payload['description'].endswith('there is no JSON Schema.')


# --- pydantic ----------------------------------------------------------------


def test_computed_fields_are_not_sent_and_not_described() -> None:
    account = find_component('pydantic', 'Account')
    assert 'count' not in account['properties']
    assert 'count' not in account['required']


def test_a_model_that_pydantic_cannot_describe() -> None:
    class Model(pydantic.BaseModel):
        thing: pydantic.InstanceOf[Thing] = pydantic.Field(default_factory=Thing)

    payload = describe_payload(Event('e', Model))['allOf'][0]
    assert payload == {'description': 'What PydanticSerializer writes: there is no JSON Schema.'}


# --- Other formats -----------------------------------------------------------


@pytest.mark.parametrize(('schema', 'form'), [(datetime, 'date-time'), (date, 'date')])
def test_moments_are_text(schema: type[date], form: str) -> None:
    message = describe(Event('e', schema))['components']['messages']['e']
    assert message['contentType'] == 'text/plain'
    assert message['payload'] == {'type': 'string', 'format': form}


def test_bytes() -> None:
    message = describe(Event('e', bytes))['components']['messages']['e']
    assert message['contentType'] == 'application/octet-stream'
    assert message['payload'] == {'type': 'string', 'format': 'binary'}


def test_message_pack_has_plain_bytes() -> None:
    event = Event('e', list[bytes], MessagePackSerializer(list[bytes]))
    message = describe(event)['components']['messages']['e']
    assert message['contentType'] == 'application/vnd.msgpack'
    assert message['payload'] == {
        'type': 'array',
        'items': {'type': 'string', 'format': 'binary'},
    }


@pytest.mark.parametrize(
    ('serializer', 'content_type', 'how'),
    [
        (GZipSerializer(int, None), 'application/gzip', 'Compressed with gzip.'),
        (
            FernetSerializer(int, None, b'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='),
            'application/octet-stream',
            'Encrypted and signed with Fernet.',
        ),
        (
            HMACSerializer(int, None, b'key', 'sha256'),
            'application/octet-stream',
            'An HMAC digest of 32 bytes (sha256), then what is signed.',
        ),
    ],
    ids=['gzip', 'fernet', 'hmac'],
)
def test_wrappers(serializer: Any, content_type: str, how: str) -> None:
    message = describe(Event('e', int, serializer))['components']['messages']['e']
    assert message['contentType'] == content_type
    assert message['payload'] == {
        'type': 'string',
        'format': 'binary',
        'description': how,
        'contentMediaType': 'application/json',
        'contentSchema': {'type': 'integer'},
    }


# --- Protocol Buffers --------------------------------------------------------


def build_class(syntax: str) -> Any:
    """Make what `protoc` makes from a file with a message of all sorts of fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f'{syntax}.proto',
        package=syntax,
        syntax=syntax,
        dependency=[Timestamp.DESCRIPTOR.file.name],
    )
    color = file.enum_type.add(name='Color')
    color.value.add(name='RED', number=0)
    color.value.add(name='BLUE', number=1)
    flight = file.message_type.add(name='Flight')
    entry = flight.nested_type.add(name='ByNameEntry')
    entry.options.map_entry = True
    own = f'.{syntax}.Flight'
    for owner, name, kind, type_name, label in [
        (entry, 'key', FIELD.TYPE_STRING, None, FIELD.LABEL_OPTIONAL),
        (entry, 'value', FIELD.TYPE_INT32, None, FIELD.LABEL_OPTIONAL),
        (flight, 'number', FIELD.TYPE_INT64, None, FIELD.LABEL_OPTIONAL),
        (flight, 'carrier', FIELD.TYPE_STRING, None, FIELD.LABEL_OPTIONAL),
        (flight, 'delay', FIELD.TYPE_DOUBLE, None, FIELD.LABEL_OPTIONAL),
        (flight, 'done', FIELD.TYPE_BOOL, None, FIELD.LABEL_OPTIONAL),
        (flight, 'data', FIELD.TYPE_BYTES, None, FIELD.LABEL_OPTIONAL),
        (flight, 'codes', FIELD.TYPE_UINT32, None, FIELD.LABEL_REPEATED),
        (flight, 'color', FIELD.TYPE_ENUM, f'.{syntax}.Color', FIELD.LABEL_OPTIONAL),
        (flight, 'next', FIELD.TYPE_MESSAGE, own, FIELD.LABEL_OPTIONAL),
        (flight, 'others', FIELD.TYPE_MESSAGE, own, FIELD.LABEL_REPEATED),
        (flight, 'by_name', FIELD.TYPE_MESSAGE, f'{own}.ByNameEntry', FIELD.LABEL_REPEATED),
        (
            flight,
            'moment',
            FIELD.TYPE_MESSAGE,
            '.google.protobuf.Timestamp',
            FIELD.LABEL_OPTIONAL,
        ),
    ]:
        number = len(owner.field) + 1
        owner.field.add(name=name, number=number, type=kind, type_name=type_name, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(Timestamp.DESCRIPTOR.file.serialized_pb)
    if syntax == 'proto2':
        flight.field[0].label = FIELD.LABEL_REQUIRED
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f'{syntax}.Flight'))


Flight = build_class('proto3')
FLIGHT = Event('flight', Flight)
FLIGHTS: st.SearchStrategy[Any] = st.deferred(
    lambda: st.builds(
        Flight,
        number=st.integers(-(2**63), 2**63 - 1),
        carrier=TEXTS,
        delay=st.floats(allow_nan=False, allow_infinity=False),
        done=st.booleans(),
        data=st.binary(max_size=3),
        codes=st.lists(st.integers(0, 9), max_size=2),
        color=st.sampled_from([0, 1]),
        next=st.none() | FLIGHTS,
        others=st.lists(FLIGHTS, max_size=1),
        by_name=st.dictionaries(TEXTS, st.integers(0, 9), max_size=2),
        moment=st.none() | st.just({'seconds': 5}),
    )
)
FLIGHT_VALIDATOR = Draft7Validator(describe_payload(FLIGHT))


def as_json(payload: bytes) -> Any:
    return MessageToDict(FLIGHT.decode(payload), preserving_proto_field_name=True)


@given(FLIGHTS)
@settings(max_examples=25)
def test_protobuf_is_described_in_its_json_form(flight: Any) -> None:
    FLIGHT_VALIDATOR.validate(as_json(FLIGHT.encode(flight)))


@pytest.mark.parametrize(
    'wrong', [{'number': 1}, {'color': 1}, {'next': []}, {'codes': 1}, {'by_name': {'a': 'b'}}]
)
def test_what_is_no_json_form_of_protobuf_is_not_valid(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FLIGHT_VALIDATOR.validate(wrong)


def test_protobuf_has_its_names_and_numbers(
    check_document: Callable[[dict[str, Any]], None],
) -> None:
    document = describe(FLIGHT, Event('strict', build_class('proto2')), Event('at', Timestamp))
    check_document(document)
    messages, schemas = document['components']['messages'], document['components']['schemas']
    assert messages['flight']['contentType'] == 'application/protobuf'
    assert messages['flight']['title'] == 'Flight'
    assert messages['at']['payload'] == {'type': 'string', 'format': 'date-time'}
    assert schemas.keys() == {'message-headers', 'proto3.Flight', 'proto2.Flight'}
    assert schemas['proto2.Flight']['required'] == ['number']
    assert 'required' not in schemas['proto3.Flight']
    numbers = {
        name: described['x-protobuf-number']
        for name, described in schemas['proto3.Flight']['properties'].items()
    }
    assert (numbers['number'], numbers['by_name'], numbers['moment']) == (1, 10, 11)
