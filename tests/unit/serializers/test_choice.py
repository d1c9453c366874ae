"""Which serializer get_serializer gives for which schema."""

import enum
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple, NewType, TypedDict

import attrs
import marshmallow
import msgspec
import pydantic
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import TypeAliasType

from walnats import serializers
from walnats.errors import SerializerNotFoundError
from walnats.serializers import get_serializer


@dataclass
class Flight:
    number: int


@dataclass
class Delay:
    minutes: int


@attrs.define
class Gate:
    name: str


class Plane(msgspec.Struct):
    tail: str


class Crew(TypedDict):
    pilot: str


class Position(NamedTuple):
    lat: float
    lon: float


class Color(enum.Enum):
    RED = 'red'


class Model(pydantic.BaseModel):
    x: int


class OtherModel(pydantic.BaseModel):
    y: int


@pydantic.dataclasses.dataclass
class PydanticDataclass:
    x: int


@dataclass
class WithModel:
    model: Model


class FlightSchema(marshmallow.Schema):
    number = marshmallow.fields.Integer()


@dataclass
class WithSchema:
    number: int
    Schema = FlightSchema


class Unknown:
    pass


@dataclass
class WithUnknown:
    part: list[Unknown]


Number = NewType('Number', int)
NamedModel = NewType('NamedModel', Model)
Raw = TypeAliasType('Raw', bytes)
Either = TypeAliasType('Either', Flight | Gate)
EitherToo = TypeAliasType('EitherToo', Either)
Odd = TypeAliasType('Odd', complex)


@pytest.mark.parametrize(
    ('schema', 'expected'),
    [
        (str, serializers.PrimitiveSerializer),
        (int, serializers.PrimitiveSerializer),
        (float, serializers.PrimitiveSerializer),
        (bool, serializers.PrimitiveSerializer),
        (list, serializers.PrimitiveSerializer),
        (dict, serializers.PrimitiveSerializer),
        (None, serializers.PrimitiveSerializer),
        (type(None), serializers.PrimitiveSerializer),
        (bytes, serializers.BytesSerializer),
        (datetime, serializers.DatetimeSerializer),
        (date, serializers.DatetimeSerializer),
        (Flight, serializers.DataclassSerializer),
        (Model, serializers.PydanticSerializer),
        (PydanticDataclass, serializers.PydanticSerializer),
        (WithModel, serializers.PydanticSerializer),
        (list[Model], serializers.PydanticSerializer),
        (Model | OtherModel, serializers.PydanticSerializer),
        (NamedModel, serializers.PydanticSerializer),
        (Model | None, serializers.PydanticSerializer),
        (Timestamp, serializers.ProtobufSerializer),
        (FlightSchema, serializers.MarshmallowSerializer),
        (WithSchema, serializers.MarshmallowSerializer),
        (Plane, serializers.MsgspecSerializer),
        (Gate, serializers.MsgspecSerializer),
        (Crew, serializers.MsgspecSerializer),
        (Position, serializers.MsgspecSerializer),
        (Color, serializers.MsgspecSerializer),
        (uuid.UUID, serializers.MsgspecSerializer),
        (Decimal, serializers.MsgspecSerializer),
        (Number, serializers.MsgspecSerializer),
        (list[Flight], serializers.MsgspecSerializer),
        (dict[str, Plane], serializers.MsgspecSerializer),
        (Flight | None, serializers.MsgspecSerializer),
        (int | str, serializers.MsgspecSerializer),
        (Flight | Delay, serializers.UnionSerializer),
        (Flight | Gate, serializers.UnionSerializer),
        (Either, serializers.UnionSerializer),
        (EitherToo, serializers.UnionSerializer),
        (Raw, serializers.BytesSerializer),
    ],
)
def test_the_schema_decides(schema: Any, expected: type) -> None:
    assert type(get_serializer(schema)) is expected


@pytest.mark.parametrize(
    ('schema', 'name'),
    [
        (Unknown, 'Unknown'),
        (WithUnknown, 'WithUnknown.part'),
        (list[Unknown], 'Unknown'),
        (complex, 'complex'),
        (Odd, 'complex'),
        (bytes | str, 'bytes | str'),
        (42, '42'),
        ('Flight', 'Flight'),
    ],
)
def test_a_schema_that_nothing_fits_is_named_with_the_way_out(schema: Any, name: str) -> None:
    with pytest.raises(SerializerNotFoundError, match='serializer') as caught:
        get_serializer(schema)
    assert isinstance(caught.value, LookupError)
    assert name in str(caught.value)
    assert 'walnats.serializers.Serializer' in str(caught.value)


def test_everything_public_is_exported() -> None:
    assert set(serializers.__all__) == {
        'BytesSerializer',
        'DataclassSerializer',
        'DatetimeSerializer',
        'FernetSerializer',
        'GZipSerializer',
        'HMACSerializer',
        'MarshmallowSerializer',
        'MessagePackSerializer',
        'MsgspecSerializer',
        'PrimitiveSerializer',
        'ProtobufSerializer',
        'PydanticSerializer',
        'Serializer',
        'UnionSerializer',
        'get_serializer',
    }
    assert all(hasattr(serializers, name) for name in serializers.__all__)


def test_importing_it_imports_no_optional_package() -> None:
    code = (
        'import sys, walnats.serializers\n'
        "extras = {'pydantic', 'google.protobuf', 'marshmallow', 'cryptography', 'attrs'}\n"
        'print(sorted(extras & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


@pytest.mark.parametrize(
    ('call', 'package'),
    [
        ('PydanticSerializer(object)', 'pydantic'),
        ('ProtobufSerializer(object)', 'protobuf'),
        ('MarshmallowSerializer(object)', 'marshmallow'),
        ("FernetSerializer(str, None, b'key')", 'cryptography'),
    ],
)
def test_a_missing_package_is_named_with_its_extra(call: str, package: str) -> None:
    # The child process sees none of the optional packages, as in a plain installation.
    code = (
        'import sys\n'
        'class Absent:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        "        if name.split('.')[0] in {'pydantic', 'google', 'marshmallow', 'cryptography'}:\n"
        '            raise ModuleNotFoundError(name)\n'
        'sys.meta_path.insert(0, Absent())\n'
        'from walnats.serializers import *\n'
        f'try:\n    {call}\n'
        'except ImportError as exc:\n    print(exc)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert f"pip install 'walnats[{package}]'" in done.stdout
    assert call.split('(', maxsplit=1)[0] in done.stdout
