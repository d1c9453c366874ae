"""Protocol Buffers, with message classes built at run time."""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import ProtobufSerializer, get_serializer

FIELD = descriptor_pb2.FieldDescriptorProto
FILE = 'flights.proto'


def build_classes(syntax: str, *, required: bool = False) -> Any:
    """Make what `protoc` makes from a file with the messages Leg and Flight, and an enum."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package='flights', syntax=syntax)
    color = file.enum_type.add(name='Color')
    color.value.add(name='RED', number=0)
    color.value.add(name='BLUE', number=1)
    leg = file.message_type.add(name='Leg')
    leg.field.add(name='to', number=1, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    flight = file.message_type.add(name='Flight')
    entry = flight.nested_type.add(name='ByNameEntry')
    entry.options.map_entry = True
    for number, (owner, name, kind, label, type_name) in enumerate(
        [
            (entry, 'key', FIELD.TYPE_STRING, FIELD.LABEL_OPTIONAL, None),
            (entry, 'value', FIELD.TYPE_MESSAGE, FIELD.LABEL_OPTIONAL, '.flights.Leg'),
        ],
        start=1,
    ):
        owner.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)
    first = FIELD.LABEL_REQUIRED if required else FIELD.LABEL_OPTIONAL
    for number, (name, kind, label, type_name) in enumerate(
        [
            ('number', FIELD.TYPE_INT64, first, None),
            ('carrier', FIELD.TYPE_STRING, FIELD.LABEL_OPTIONAL, None),
            ('delay', FIELD.TYPE_DOUBLE, FIELD.LABEL_OPTIONAL, None),
            ('leg', FIELD.TYPE_MESSAGE, FIELD.LABEL_OPTIONAL, '.flights.Leg'),
            ('legs', FIELD.TYPE_MESSAGE, FIELD.LABEL_REPEATED, '.flights.Leg'),
            ('codes', FIELD.TYPE_INT32, FIELD.LABEL_REPEATED, None),
            ('color', FIELD.TYPE_ENUM, FIELD.LABEL_OPTIONAL, '.flights.Color'),
            ('by_name', FIELD.TYPE_MESSAGE, FIELD.LABEL_REPEATED, '.flights.Flight.ByNameEntry'),
        ],
        start=1,
    ):
        flight.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('flights.Flight'))


Flight = build_classes('proto3')
StrictFlight = build_classes('proto2', required=True)
TEXTS = st.text(st.characters(exclude_categories=['Cs']))


@given(
    number=st.integers(-(2**63), 2**63 - 1),
    carrier=TEXTS,
    delay=st.floats(allow_nan=False),
    leg=TEXTS,
    legs=st.lists(TEXTS, max_size=3),
    codes=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    by_name=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
def test_messages_come_back(
    leg: str, legs: list[str], by_name: dict[str, str], **scalars: Any
) -> None:
    message = Flight(leg={'to': leg}, legs=[{'to': to} for to in legs], **scalars)
    for name, to in by_name.items():
        message.by_name[name].to = to
    serializer = ProtobufSerializer(Flight)
    assert serializer.decode(serializer.encode(message)) == message


def test_the_wire_has_plain_protobuf() -> None:
    serializer = get_serializer(Flight)
    message = Flight(number=5, carrier='UA')
    assert serializer.encode(message) == message.SerializeToString() == b'\x08\x05\x12\x02UA'


def test_unknown_fields_are_ignored_and_missing_ones_take_their_default() -> None:
    decoded = ProtobufSerializer(Flight).decode(b'\x08\x05\xc8\x3e\x01')
    assert (decoded.number, decoded.carrier) == (5, '')
    assert ProtobufSerializer(Flight).decode(b'') == Flight()


def test_a_value_that_a_newer_enum_has_is_ignored() -> None:
    decoded = ProtobufSerializer(StrictFlight).decode(b'\x08\x05\x38\x09')
    assert (decoded.number, decoded.color) == (5, 0)


@pytest.mark.parametrize(
    ('message', 'reason'),
    [
        (None, 'expected Flight, got NoneType'),
        ({'number': 5}, 'expected Flight, got dict'),
        (StrictFlight(number=5), 'expected Flight, got Flight'),
    ],
)
def test_another_type_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(EncodeError, match=reason):
        ProtobufSerializer(Flight).encode(message)


def test_a_message_without_a_required_field_is_refused() -> None:
    with pytest.raises(EncodeError, match='a required field is not set'):
        ProtobufSerializer(StrictFlight).encode(StrictFlight(carrier='UA'))


@pytest.mark.parametrize(
    ('schema', 'data', 'reason'),
    [
        (Flight, b'\x08', 'the payload is no Flight'),
        (Flight, b'\xff\xff\xff', 'the payload is no Flight'),
        (Flight, b'\x12\x05UA', 'the payload is no Flight'),
        (Flight, b'\x12\x01\xff', 'the payload is no Flight'),
        (Flight, b'\x0a\x0598765', '`flights.Flight.number` has a wrong type'),
        (Flight, b'\x22\x02\x08\x05', '`flights.Leg.to` has a wrong type'),
        (Flight, b'\x2a\x02\x08\x05', '`flights.Leg.to` has a wrong type'),
        (Flight, b'\x42\x07\x0a\x01a\x12\x02\x08\x05', '`flights.Leg.to` has a wrong type'),
        (StrictFlight, b'', 'a required field is missing'),
        (StrictFlight, b'\x12\x02UA', 'a required field is missing'),
    ],
)
def test_a_broken_payload_is_a_decode_error(schema: Any, data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        ProtobufSerializer[Any](schema).decode(data)
    assert type(caught.value) is DecodeError


@pytest.mark.parametrize('schema', [int, Message, object, 'Flight', Flight()])
def test_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(DeclarationError, match='needs a generated message class'):
        ProtobufSerializer(schema)
