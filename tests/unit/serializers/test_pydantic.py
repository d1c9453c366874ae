"""JSON for pydantic models."""

import enum
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import PydanticSerializer

T = TypeVar('T')
TEXTS = st.text(st.characters(exclude_categories=['Cs']))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ZONES = st.none() | st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439)
)


class Color(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


class Airport(BaseModel):
    code: str
    elevation: float | None = None


class Everything(BaseModel):
    text: str
    number: int
    ratio: float
    flag: bool
    raw: bytes
    moment: datetime
    clock: time
    day: date
    span: timedelta
    amount: Decimal
    uid: uuid.UUID
    color: Color
    kind: Literal['a', 1]
    airport: Airport
    either: int | str | None
    airports: list[Airport]
    pair: tuple[int, str]
    unique: set[int]
    frozen: frozenset[str]
    by_name: dict[str, Airport]
    by_number: dict[int, float]
    maybe: Airport | None = None


AIRPORTS = st.builds(Airport, code=TEXTS, elevation=st.none() | FLOATS)
EVERYTHING = st.builds(
    Everything,
    text=TEXTS,
    ratio=FLOATS,
    raw=TEXTS.map(str.encode),
    moment=st.datetimes(timezones=ZONES),
    clock=st.times(timezones=ZONES),
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    airport=AIRPORTS,
    either=st.none() | st.integers() | TEXTS,
    airports=st.lists(AIRPORTS, max_size=3),
    pair=st.tuples(st.integers(), TEXTS),
    unique=st.sets(st.integers(), max_size=3),
    frozen=st.frozensets(TEXTS, max_size=3),
    by_name=st.dictionaries(TEXTS, AIRPORTS, max_size=3),
    by_number=st.dictionaries(st.integers(), FLOATS, max_size=3),
)


@given(EVERYTHING)
def test_every_kind_of_field_comes_back(message: Everything) -> None:
    serializer = PydanticSerializer(Everything)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded == message
    assert decoded.moment.utcoffset() == message.moment.utcoffset()


class Flight(BaseModel):
    number: int
    name: str = 'none'
    tags: list[str] = []


def test_the_wire_has_an_object_of_the_fields() -> None:
    data = PydanticSerializer(Flight).encode(Flight(number=5))
    assert data == b'{"number":5,"name":"none","tags":[]}'


class Aliased(BaseModel):
    by_alias: int = Field(alias='byAlias')
    by_choice: int = Field(default=0, validation_alias=AliasChoices('choice', 'other'))


def test_fields_are_written_under_their_alias_and_read_under_each_name() -> None:
    serializer = PydanticSerializer(Aliased)
    message = Aliased.model_validate({'byAlias': 1, 'choice': 2})
    assert serializer.encode(message) == b'{"byAlias":1,"by_choice":2}'
    for data in (
        b'{"byAlias":1,"choice":2}',
        b'{"by_alias":1,"other":2}',
        b'{"byAlias":1,"by_choice":2}',
    ):
        assert serializer.decode(data) == message


class Computed(BaseModel):
    model_config = ConfigDict(extra='forbid')
    number: int
    numbers: pydantic.Json[list[int]]
    _cached: int = pydantic.PrivateAttr(default=0)
    note: str = Field(default='', exclude=True)

    @pydantic.computed_field  # type: ignore[prop-decorator]  # pydantic wants both
    @property
    def double(self) -> int:
        return self.number * 2


def test_what_is_not_written_does_not_matter() -> None:
    serializer = PydanticSerializer(Computed)
    message = Computed.model_validate({'number': 2, 'numbers': '[1, 2]', 'note': 'mine'})
    message._cached = 5
    data = serializer.encode(message)
    assert data == b'{"number":2,"numbers":"[1,2]"}'
    assert serializer.decode(data).numbers == [1, 2]


class WithExtra(BaseModel):
    model_config = ConfigDict(extra='allow')


class Box(BaseModel, Generic[T]):
    content: T


class Tree(BaseModel):
    name: str
    children: list['Tree'] = []


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Strings(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan='strings')
    ratio: float


class Cat(BaseModel):
    kind: Literal['cat'] = 'cat'


class Dog(BaseModel):
    kind: Literal['dog'] = 'dog'


class Puppy(Dog):
    age: int = 1


@pydantic.dataclasses.dataclass
class Checked:
    number: Annotated[int, Field(gt=0)]


@dataclass
class Mixed:
    flight: Flight
    ratio: float = 0.5


@pytest.mark.parametrize(
    ('schema', 'message'),
    [
        (WithExtra, WithExtra.model_validate({'a': 1, 'b': [True, None]})),
        (Box[Flight], Box[Flight](content=Flight(number=5))),
        (Tree, Tree(name='a', children=[Tree(name='b', children=[Tree(name='c')])])),
        (Numbers, Numbers([1, 2])),
        (Strings, Strings(ratio=math.inf)),
        (Cat | Dog, Dog()),
        (Annotated[Cat | Dog, Field(discriminator='kind')], Cat()),
        (Cat | None, None),
        (list[Flight], [Flight(number=1), Flight(number=2)]),
        (dict[int, Flight], {1: Flight(number=1)}),
        (tuple[Flight, int], (Flight(number=1), 2)),
        (Checked, Checked(5)),
        (Mixed, Mixed(Flight(number=5), 1.5)),
    ],
)
def test_every_kind_of_schema_comes_back(schema: Any, message: Any) -> None:
    serializer: PydanticSerializer[Any] = PydanticSerializer(schema)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded == message
    assert type(decoded) is type(message)


def test_an_instance_of_a_subclass_is_read_as_the_schema_class() -> None:
    serializer = PydanticSerializer(Dog)
    assert serializer.decode(serializer.encode(Puppy())) == Dog()


class Loose(BaseModel):
    anything: Any = None
    ratio: float | None = None
    moment: datetime | None = None
    number: int = 0
    pet: Dog | None = None
    twins: 'Left | Right | None' = None
    by_pair: dict[tuple[int, int], int] = {}
    raw: bytes = b''


class Left(BaseModel):
    x: int


class Right(BaseModel):
    x: int


class Secret(BaseModel):
    password: pydantic.SecretStr


class Excluded(BaseModel):
    number: int = Field(exclude=True)


class OtherName(BaseModel):
    number: int = Field(serialization_alias='other')


class Constants(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan='constants')
    ratio: float


class Hashing(BaseModel):
    password: str

    @pydantic.field_validator('password')
    @classmethod
    def hash_password(cls, value: str) -> str:
        return f'hashed {value}'


@pytest.mark.parametrize(
    ('message', 'reason'),
    [
        (Loose(ratio=math.nan), 'a different value at `$.ratio`'),
        (Loose(ratio=-math.inf), 'a different value at `$'),
        (Loose(anything=[math.nan]), 'a different value at `$.anything[0]`'),
        (Loose(anything=(1, 2)), 'a different value at `$'),
        (Loose(anything=datetime(2013, 1, 1, tzinfo=UTC)), 'a different value at `$'),
        (Loose(anything={1: 2}), 'a different value at `$'),
        (Loose(anything='\ud800'), 'PydanticSerializationError'),
        (
            Loose(moment=datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=16)))),
            'a different value at `$',
        ),
        (Loose(number=10**5000), 'out of range'),
        (Loose(raw=b'\xff'), 'PydanticSerializationError'),
        (Loose(by_pair={(1, 2): 3}), '`$.by_pair[...][...]` is wrong (tuple_type)'),
        (Loose(pet=Dog.model_construct(kind='cow')), '`$.pet.kind` is wrong (literal_error)'),
        (Loose.model_construct(number='5'), 'a different value at `$'),
        (WithExtra.model_validate({'a': (1, 2)}), '`$.__pydantic_extra__[...]`'),
        (Loose.model_construct(number='98765x'), '`$.number` is wrong (int_parsing)'),
        (Loose.model_construct(pet={'kind': 'dog'}), 'a different value at `$'),
        (Loose(twins=Right(x=1)), 'a different value at `$'),
        (Secret(password=pydantic.SecretStr('98765')), 'a different value at `$.password`'),
        (Excluded(number=5), '`$.number` is wrong (missing)'),
        (OtherName(number=5), '`$.number` is wrong (missing)'),
        (Constants(ratio=math.nan), 'malformed'),
        (Hashing(password='98765'), 'a different value at `$'),
        (Numbers.model_construct(root=['98765x']), 'is wrong'),  # type: ignore[list-item] # pyright: ignore[reportArgumentType] -- wrong on purpose
    ],
)
def test_what_would_change_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        PydanticSerializer(type(message)).encode(message)
    assert reason in str(caught.value)
    assert '98765' not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (Flight, Dog(), 'expected Flight, got Dog'),
        (Flight, {'number': 5}, 'expected Flight, got dict'),
        (Flight, None, 'expected Flight, got NoneType'),
        (Left | Right, Right(x=1), 'a different value at `$'),
        (list[Flight], [Dog()], '`$[0].number` is wrong (missing)'),
        (list[Flight], Flight(number=1), '`$` is wrong (list_type)'),
        (Mixed, Flight(number=1), 'expected Mixed, got Flight'),
    ],
)
def test_another_type_is_refused(schema: Any, message: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        PydanticSerializer[Any](schema).encode(message)
    assert isinstance(caught.value, TypeError)
    assert reason in str(caught.value)


def test_unknown_fields_are_ignored() -> None:
    data = b'{"new":{"deep":[1,2]},"number":5,"newer":null}'
    assert PydanticSerializer(Flight).decode(data) == Flight(number=5)


def test_missing_fields_take_their_defaults() -> None:
    decoded = PydanticSerializer(Flight).decode(b'{"number":5}')
    assert decoded == Flight(number=5, name='none', tags=[])


class StrictFlight(BaseModel):
    model_config = ConfigDict(strict=True, extra='forbid')
    number: int
    scores: dict[str, int] = {}


def test_the_model_decides_how_strict_it_is() -> None:
    assert PydanticSerializer(Flight).decode(b'{"number":"5"}') == Flight(number=5)
    with pytest.raises(DecodeError, match=r'`\$.number` is wrong \(int_type\)'):
        PydanticSerializer(StrictFlight).decode(b'{"number":"5"}')


class Picky(BaseModel):
    number: int = 0
    pets: list[Annotated[Cat | Dog, Field(discriminator='kind')]] = []

    @pydantic.field_validator('number')
    @classmethod
    def check_number(cls, value: int) -> int:
        if value == 1_98765:
            raise ValueError(value)
        if value == 2_98765:
            raise LookupError(value)
        if value == 3_98765:
            raise PydanticCustomError(f'number_{value}', 'not {value}', {'value': value})  # pyright: ignore[reportArgumentType] -- no literal on purpose
        if value == 4_98765:
            raise RecursionError(value)
        return value


@pytest.mark.parametrize(
    ('schema', 'data', 'reason', 'position'),
    [
        (Flight, b'', 'the payload ends too early (at byte 0)', 0),
        (Flight, b'{}', '`$.number` is wrong (missing)', None),
        (Flight, b'{"number":"98765x"}', '`$.number` is wrong (int_parsing)', None),
        (Flight, b'{"number":5,"tags":["a",98765]}', '`$.tags[1]` is wrong (string_type)', None),
        (Flight, b'98765', '`$` is wrong (model_type)', None),
        (Flight, b'{"number":5}}', 'trailing characters', 13),
        (Flight, b'{"number":5,"98765":NaN}', 'invalid character', 20),
        (Flight, b'{"number":5,"a":"\xff"}', 'a string is not UTF-8 (at byte 17)', 17),
        (Aliased, b'{"byAlias":1,"other":"a"}', '`$.other` is wrong (int_parsing)', None),
        (Loose, b'{"ratio":NaN}', 'invalid character', 9),
        (Loose, b'{"ratio":-Infinity}', 'invalid character', 10),
        (Loose, b'{"ratio":1e400}', 'number out of range', None),
        (Loose, b'{"number":' + b'1' * 5000 + b'}', 'integer value out of range', None),
        (Loose, rb'{"anything":"\ud800 and text"}', 'malformed', 19),
        pytest.param(Loose, b'{"anything":' + b'[' * 100_000, 'nested too deeply', None, id='deep'),
        pytest.param(
            Loose,
            b'{"anything":' + b'[' * 300 + b']' * 300 + b'}',
            '(json_invalid)',
            None,
            id='deeper than pydantic takes',
        ),
        (StrictFlight, b'{"number":5,"98765":1}', '`$[...]` is wrong (extra_forbidden)', None),
        (
            StrictFlight,
            b'{"number":5,"scores":{"98765":"a"}}',
            '`$.scores[...]` is wrong (int_type)',
            None,
        ),
        (Picky, b'{"number":198765}', '`$.number` is wrong (value_error)', None),
        (Picky, b'{"number":298765}', 'the schema refuses the payload with LookupError', None),
        (Picky, b'{"number":398765}', '`$.number` is wrong (custom)', None),
        (Picky, b'{"number":498765}', 'nested too deeply', None),
        (Picky, b'{"pets":[{"kind":"98765"}]}', '`$.pets[0]` is wrong (union_tag_invalid)', None),
        (
            Picky,
            b'{"pets":[1,2,3,4,5]}',
            '`$.pets[2]` is wrong (dict_type) and 2 more',
            None,
        ),
    ],
)
def test_a_broken_payload_is_a_decode_error_that_does_not_quote_it(
    schema: Any, data: bytes, reason: str, position: int | None
) -> None:
    with pytest.raises(DecodeError) as caught:
        PydanticSerializer[Any](schema).decode(data)
    assert type(caught.value) is DecodeError
    assert reason in str(caught.value)
    assert '98765' not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.position == position


class Plane(msgspec.Struct):
    tail: str


@dataclass
class WithBoth:
    plane: Plane
    flight: Flight


class WithTypo(BaseModel):
    number: 'Nmuber'  # type: ignore[name-defined] # noqa: F821 # pyright: ignore[reportUndefinedVariable] -- the typo itself


@pytest.mark.parametrize(
    ('schema', 'reason'),
    [
        (int, 'PydanticSerializer needs a pydantic model, not int'),
        (list[int], 'PydanticSerializer needs a pydantic model, not list[int]'),
        (Plane, 'PydanticSerializer needs a pydantic model, not Plane'),
        (Flight(number=5), 'PydanticSerializer needs a pydantic model'),
        (WithBoth, 'Plane'),
        (WithTypo, 'Nmuber'),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_at_once(schema: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        PydanticSerializer(schema)
    assert reason in str(caught.value)
