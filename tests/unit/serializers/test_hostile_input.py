"""Whatever arrives, decode gives a message or raises DecodeError, and never quotes it."""

import gzip
import json
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, TypedDict

import attrs
import marshmallow
import msgspec
import pydantic
import pytest
from cryptography.fernet import Fernet, InvalidToken
from google.protobuf.struct_pb2 import Struct
from hypothesis import example, given, strategies as st

from walnats.errors import DecodeError
from walnats.serializers import (
    FernetSerializer,
    GZipSerializer,
    HMACSerializer,
    MessagePackSerializer,
    Serializer,
    get_serializer,
)

SECRET = 'zq7secret'
SECRET_NUMBER = 739_173_917_391
FIELDS = ['number', 'name', 'when', 'legs', 'by_name', 'kind', 'anything', 'type', 'moment']


class Kind(Enum):
    SHORT = 'short'
    LONG = 'long'


@dataclass
class Leg:
    name: str
    number: int = 0


@dataclass
class Airport:
    type: str
    name: str = ''


class Place(NamedTuple):
    name: str
    number: float = 0


@dataclass
class Flight:
    number: int
    name: str = ''
    when: datetime | None = None
    legs: list[Leg] = field(default_factory=list)
    by_name: dict[str, Place] = field(default_factory=dict)
    kind: Kind = Kind.SHORT
    anything: Any = None

    def __post_init__(self) -> None:
        if self.number == SECRET_NUMBER:
            raise ValueError(f'{self.name} {self.number}')


@attrs.define
class Gate:
    name: str = attrs.field(validator=attrs.validators.matches_re('[A-Z]+[0-9]+'))
    number: float = 0


class Landed(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    name: str
    amount: Decimal = Decimal(0)


class Diverted(msgspec.Struct, tag=True):
    name: str
    uid: uuid.UUID | None = None


class Crew(TypedDict):
    name: str
    number: int


class PydanticLeg(pydantic.BaseModel):
    name: str
    number: float = 0


class PydanticFlight(pydantic.BaseModel):
    number: int
    name: str = ''
    when: datetime | None = None
    legs: list[PydanticLeg | int] = []
    by_name: dict[str, PydanticLeg] = {}
    kind: Kind = Kind.SHORT
    anything: Any = None

    @pydantic.field_validator('number')
    @classmethod
    def check_number(cls, value: int) -> int:
        if value == SECRET_NUMBER:
            raise ValueError(value)
        return value


class LegSchema(marshmallow.Schema):
    name = marshmallow.fields.String(required=True)
    number = marshmallow.fields.Float()


class FlightSchema(marshmallow.Schema):
    number = marshmallow.fields.Integer(required=True)
    when = marshmallow.fields.DateTime()
    legs = marshmallow.fields.List(marshmallow.fields.Nested(LegSchema))
    by_name = marshmallow.fields.Dict(values=marshmallow.fields.Nested(LegSchema))
    kind = marshmallow.fields.Enum(Kind, by_value=True)


FLIGHT = Flight(
    number=1545,
    name='EWR→IAH',
    when=datetime(2013, 1, 1, 5, 15, tzinfo=UTC),
    legs=[Leg('a', 1), Leg('b', 2**70)],
    by_name={'x': Place('x', 1.5)},
    kind=Kind.LONG,
    anything={'a': [1, None, True, -2.5e-10, 'text']},
)
SMALL_FLIGHT = Flight(1545, 'EWR→IAH', FLIGHT.when, [Leg('a', 1)], {'x': Place('x')})
FERNET_KEY = Fernet.generate_key()
HMAC_KEY = b'a key of the tests'


def struct(**values: Any) -> Struct:
    message = Struct()
    message.update(values)
    return message


CASES: dict[str, tuple[Serializer[Any], Any]] = {
    'str': (get_serializer(str), 'a “text” with \n and \N{SNAKE}'),
    'int': (get_serializer(int), -(2**70)),
    'float': (get_serializer(float), 1.5e-300),
    'bool': (get_serializer(bool), True),
    'list': (get_serializer(list), [1, [2.5, {'a': None}], 'b']),
    'dict': (get_serializer(dict), {'a': [1, {'b': 'c'}], 'd': True}),
    'None': (get_serializer(None), None),
    'bytes': (get_serializer(bytes), b'bytes'),
    'datetime': (get_serializer(datetime), datetime(2013, 1, 1, 5, 15, tzinfo=UTC)),
    'date': (get_serializer(date), date(2013, 1, 1)),
    'dataclass': (get_serializer(Flight), FLIGHT),
    'attrs': (get_serializer(Gate), Gate('A1')),
    'struct union': (get_serializer(Landed | Diverted), Diverted('EWR', uuid.UUID(int=1))),
    'dataclass union': (get_serializer(Leg | Airport), Leg('a', 1)),
    'TypedDict': (get_serializer(Crew), {'name': 'Ann', 'number': 5}),
    'NamedTuple': (get_serializer(Place), Place('x', 1.5)),
    'Enum': (get_serializer(Kind), Kind.LONG),
    'list of dataclasses': (get_serializer(list[Flight]), [FLIGHT]),
    'pydantic': (
        get_serializer(PydanticFlight),
        PydanticFlight(number=5, legs=[1, PydanticLeg(name='a')], anything=[1, {'b': None}]),
    ),
    'marshmallow': (
        get_serializer(FlightSchema),
        {'number': 5, 'legs': [{'name': 'a', 'number': 1.5}], 'kind': Kind.LONG},
    ),
    'protobuf': (get_serializer(Struct), struct(a=[1, {'b': None}], c='text')),
    'MessagePack': (MessagePackSerializer(Flight), SMALL_FLIGHT),
    'MessagePack of Any': (MessagePackSerializer(dict), {'a': [1, {2: b'b'}, None]}),
    'gzip': (GZipSerializer(Flight, None), FLIGHT),
    'HMAC': (HMACSerializer(Flight, None, HMAC_KEY), FLIGHT),
    'Fernet': (FernetSerializer(Flight, None, FERNET_KEY), FLIGHT),
}
JSON_CASES = [
    *('str', 'int', 'float', 'bool', 'list', 'dict', 'None', 'dataclass', 'attrs', 'TypedDict'),
    *('struct union', 'dataclass union', 'NamedTuple', 'Enum', 'list of dataclasses'),
    *('pydantic', 'marshmallow'),
]
every_case = pytest.mark.parametrize('case', CASES)


def decode_or_refuse(serializer: Serializer[Any], data: bytes) -> None:
    try:
        serializer.decode(data)
    except DecodeError as error:
        assert type(error) is DecodeError or isinstance(error, InvalidToken)
        if error.position is not None:
            is_wrapper = isinstance(serializer, (GZipSerializer, HMACSerializer, FernetSerializer))
            assert error.position >= 0
            assert error.position <= len(data) or is_wrapper
        shown = str(error) + ''.join(traceback.format_exception(error))
        assert SECRET not in shown
        assert str(SECRET_NUMBER) not in shown


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Give a function that damages a payload in a few places."""
    edits = draw(
        st.lists(
            st.tuples(
                st.floats(0, 1),
                st.integers(0, 8),
                st.binary(max_size=4) | st.sampled_from([b'\xff', b'"', b'{', b']', b'NaN', b'\0']),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def mutate(data: bytes) -> bytes:
        for place, removed, inserted in edits:
            start = int(place * len(data))
            data = data[:start] + inserted + data[start + removed :]
        return data

    return mutate


SECRETS = st.just(SECRET) | st.just(SECRET_NUMBER) | st.just(float(SECRET_NUMBER))
JSON_VALUES = st.recursive(
    SECRETS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.sampled_from([*FIELDS, SECRET]), children, max_size=6)
    ),
    max_leaves=15,
)


@every_case
def test_the_sample_comes_back(case: str) -> None:
    serializer, message = CASES[case]
    assert serializer.decode(serializer.encode(message)) == message


@every_case
@given(data=st.binary(max_size=200))
@example(data=b'')
@example(data=b'[' * 50_000)
@example(data=b'{"number":' * 50_000)
@example(data=b'{"anything":' * 50_000)
@example(data=b'\x91' * 50_000)
@example(data=b'\x81\xa8anything' * 50_000)
@example(data=b'\xdd\xff\xff\xff\xff')
@example(data=b'\xdf\xff\xff\xff\xff')
@example(data=b'9' * 100_000)
@example(data=b'{"number":' + b'9' * 100_000 + b'}')
@example(data=b'\xff\xfe')
def test_random_bytes(case: str, data: bytes) -> None:
    decode_or_refuse(CASES[case][0], data)


@every_case
@given(mutate=mutations())
def test_damaged_payloads(case: str, mutate: Callable[[bytes], bytes]) -> None:
    serializer, message = CASES[case]
    decode_or_refuse(serializer, mutate(serializer.encode(message)))


@every_case
def test_payloads_that_end_too_early(case: str) -> None:
    serializer, message = CASES[case]
    data = serializer.encode(message)
    for length in range(len(data)):
        decode_or_refuse(serializer, data[:length])


@pytest.mark.parametrize('case', JSON_CASES)
@given(value=JSON_VALUES)
def test_json_of_other_shapes(case: str, value: Any) -> None:
    decode_or_refuse(CASES[case][0], json.dumps(value, ensure_ascii=False).encode())


@given(value=JSON_VALUES)
def test_messagepack_of_other_shapes(value: Any) -> None:
    try:
        data = msgspec.msgpack.encode(value)
    except OverflowError:  # more than 64 bits
        return
    for case in ('MessagePack', 'MessagePack of Any'):
        decode_or_refuse(CASES[case][0], data)


@given(data=st.binary(max_size=100) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_what_is_wrapped_correctly_may_still_be_hostile(data: bytes) -> None:
    decode_or_refuse(CASES['gzip'][0], gzip.compress(data))
    decode_or_refuse(CASES['HMAC'][0], HMACSerializer(bytes, None, HMAC_KEY).encode(data))
    decode_or_refuse(CASES['Fernet'][0], FernetSerializer(bytes, None, FERNET_KEY).encode(data))
