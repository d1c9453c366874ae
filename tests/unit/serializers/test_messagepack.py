"""MessagePack without extension types."""

import enum
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import MessagePackSerializer

MOMENT = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=['Cs']))
INTEGERS = st.integers(-(2**63), 2**64 - 1)
ZONES = st.none() | st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439)
)


class Color(enum.Enum):
    RED = 'red'


class Position(NamedTuple):
    lat: float
    label: str = ''


@dataclass
class Reading:
    moment: datetime
    clock: time | None = None
    day: date | None = None
    span: timedelta | None = None
    raw: bytes = b''
    number: int = 0
    ratio: float = 0.0
    amount: Decimal = Decimal(0)
    uid: uuid.UUID | None = None
    color: Color = Color.RED
    position: Position | None = None
    by_number: dict[int, bytes] = field(default_factory=dict)
    anything: Any = None


@dataclass
class Plain:
    number: int
    name: str = 'none'
    raw: bytes = b''


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | TEXTS | st.binary(),
    lambda children: st.lists(children) | st.dictionaries(TEXTS | INTEGERS | st.binary(), children),
    max_leaves=10,
)
READINGS = st.builds(
    Reading,
    moment=st.datetimes(timezones=ZONES),
    clock=st.none() | st.times(timezones=ZONES),
    day=st.none() | st.dates(),
    span=st.none() | st.timedeltas(),
    raw=st.binary(),
    number=INTEGERS,
    ratio=st.floats(allow_nan=False),
    amount=st.decimals(allow_nan=False),
    uid=st.none() | st.uuids(),
    position=st.none() | st.builds(Position, st.floats(allow_nan=False), TEXTS),
    by_number=st.dictionaries(INTEGERS, st.binary(), max_size=3),
    anything=PLAIN_VALUES,
)


def has_extension(data: bytes) -> bool:
    """Tell whether there is an extension type anywhere in the payload."""
    found = []

    def hook(code: int, _data: memoryview) -> None:
        found.append(code)

    value = msgspec.msgpack.Decoder(ext_hook=hook).decode(data)
    return bool(found) or 'datetime.datetime' in repr(value)


@given(READINGS)
def test_messages_come_back_without_an_extension_type_on_the_wire(message: Reading) -> None:
    serializer = MessagePackSerializer(Reading)
    data = serializer.encode(message)
    assert not has_extension(data)
    decoded = serializer.decode(data)
    assert decoded == message
    assert decoded.moment.utcoffset() == message.moment.utcoffset()


@given(INTEGERS | st.floats(allow_nan=False) | TEXTS | st.none() | st.booleans())
def test_scalars_come_back(message: Any) -> None:
    serializer = MessagePackSerializer(int | float | str | bool | None)
    assert repr(serializer.decode(serializer.encode(message))) == repr(message)


def test_nan_comes_back() -> None:
    serializer = MessagePackSerializer(list[float])
    decoded = serializer.decode(serializer.encode([math.nan, math.inf, -0.0]))
    assert str(decoded) == '[nan, inf, -0.0]'


def test_the_wire_has_a_map_of_the_fields() -> None:
    data = MessagePackSerializer(Plain).encode(Plain(5, 'a', b'\xff'))
    assert data == b'\x83\xa6number\x05\xa4name\xa1a\xa3raw\xc4\x01\xff'


def test_a_moment_is_a_string_on_the_wire() -> None:
    data = MessagePackSerializer(dict[str, datetime]).encode({'a': MOMENT})
    assert msgspec.msgpack.decode(data) == {'a': '2013-01-01T05:15:00Z'}


def test_the_timestamp_of_a_peer_is_read_where_a_moment_is_expected() -> None:
    data = msgspec.msgpack.encode({'moment': MOMENT})
    assert MessagePackSerializer(Reading).decode(data) == Reading(MOMENT)


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (Plain, Reading(MOMENT), 'expected Plain, got Reading'),
        (Plain, Plain(2**64), 'more than 64 bits'),
        (Plain, Plain(-(2**63) - 1), 'more than 64 bits'),
        (Plain, Plain(1, '\ud800'), 'surrogate'),
        (list[int], [1, 'a'], 'expected `int`, got `str`'),
        (list[int], (1, 2), 'a different value at `$'),
        (dict[str, Any], {'a': (1, 2)}, 'MessagePack has no tuple'),
        (dict[str, Any], {'a': MOMENT}, 'MessagePack has no datetime'),
        (dict[str, Any], {'a': {(1, 2): 3}}, 'a key of type tuple'),
        (
            datetime,
            datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=30))),
            'a time zone is off by seconds',
        ),
    ],
)
def test_what_would_change_is_refused(schema: Any, message: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        MessagePackSerializer[Any](schema).encode(message)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ('schema', 'value', 'message'),
    [
        (Plain, {'number': 5, 'new': {'deep': [1]}}, Plain(5)),
        (Plain, {'number': 5, 'new': msgspec.msgpack.Ext(5, b'ext')}, Plain(5)),
        (Position, [1.5], Position(1.5)),
        (Position, [1.5, 'a', 'new', {'newer': 1}], Position(1.5, 'a')),
    ],
)
def test_unknown_fields_are_ignored_and_missing_ones_take_their_default(
    schema: Any, value: Any, message: Any
) -> None:
    data = msgspec.msgpack.encode(value)
    assert MessagePackSerializer[Any](schema).decode(data) == message


@pytest.mark.parametrize(
    ('schema', 'data', 'reason', 'position'),
    [
        (Plain, b'', 'ends too early', 0),
        (Plain, b'\x80', 'missing required field `number`', None),
        (Plain, b'\x81\xa6number\xa59876\x35', 'expected `int`, got `str` at `$.number`', None),
        (Plain, b'\x81\xa6number', 'ends too early', 8),
        (Plain, b'\x81\xa6number\x05\x05', 'trailing characters', 9),
        (Plain, b'\x81\x01\x02', 'expected `str`, got `int`', None),
        (str, b'\xa1\xff', 'not UTF-8', None),
        (int, b'\xc1', 'malformed', 0),
        (dict, b'\x81\xa1a\xc7\x01\x05a', 'a value of the extension type 5', None),
        (list, b'\xdd\xff\xff\xff\xff\x01', 'ends too early', 6),
        (set[int], b'\xdd\xff\xff\xff\xff\x01', 'ends too early', 6),
        (bytes, b'\xc6\xff\xff\xff\xff\x01', 'ends too early', 6),
        (datetime, b'\xd7\xff' + b'\xff' * 8, 'invalid MessagePack timestamp', None),
        (datetime, b'\xc7\x0c\xff\0\0\0\0\x7f' + b'\xff' * 7, 'timestamp is out of range', None),
        pytest.param(list, b'\x91' * 100_000, 'nested too deeply', None, id='deep'),
        pytest.param(
            Plain, b'\x82\xa6number\x05\xa1a' + b'\x91' * 100_000, 'nested', None, id='deep-unknown'
        ),
    ],
)
def test_a_broken_payload_is_a_decode_error(
    schema: Any, data: bytes, reason: str, position: int | None
) -> None:
    with pytest.raises(DecodeError) as caught:
        MessagePackSerializer[Any](schema).decode(data)
    assert type(caught.value) is DecodeError
    assert reason in str(caught.value)
    assert '9876' not in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize('data', [b'\x81\x80\x01', b'\x81\x91\x80\x01'])
def test_a_key_that_can_not_be_one_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        MessagePackSerializer(dict).decode(data)


def test_a_schema_that_does_not_fit_is_refused_at_once() -> None:
    with pytest.raises(DeclarationError, match="object can't be encoded"):
        MessagePackSerializer(object)
