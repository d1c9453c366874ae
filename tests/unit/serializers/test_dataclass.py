"""JSON for dataclasses."""

import enum
import functools
import json
import math
import uuid
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar, Generic, Literal, TypeVar

import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import DataclassSerializer

T = TypeVar('T')
TEXTS = st.text(st.characters(exclude_categories=['Cs']))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ZONES = st.none() | st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439)
)


def unfold(moment: Any) -> Any:
    """Without `fold`, which is on no wire; `==` doesn't see it."""
    return moment.replace(fold=0)


class Color(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Airport:
    code: str
    elevation: float | None = None


@dataclass
class Everything:
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
    level: Level
    kind: Literal['a', 'b']
    airport: Airport
    maybe: Airport | None
    either: int | str
    airports: list[Airport]
    pair: tuple[int, str]
    many: tuple[float, ...]
    unique: set[int]
    frozen: frozenset[str]
    by_name: dict[str, Airport]
    by_number: dict[int, float]
    by_day: dict[date, list[int]]
    nothing: None = None
    _private: int = 7


AIRPORTS = st.builds(Airport, code=TEXTS, elevation=st.none() | FLOATS)
EVERYTHING = st.builds(
    Everything,
    text=TEXTS,
    ratio=FLOATS,
    moment=st.datetimes(timezones=ZONES).map(unfold),
    clock=st.times(timezones=ZONES).map(unfold),
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    airport=AIRPORTS,
    maybe=st.none() | AIRPORTS,
    either=st.integers() | TEXTS,
    airports=st.lists(AIRPORTS, max_size=3),
    pair=st.tuples(st.integers(), TEXTS),
    many=st.lists(FLOATS, max_size=3).map(tuple),
    unique=st.sets(st.integers(), max_size=3),
    frozen=st.frozensets(TEXTS, max_size=3),
    by_name=st.dictionaries(TEXTS, AIRPORTS, max_size=3),
    by_number=st.dictionaries(st.integers(), FLOATS, max_size=3),
    by_day=st.dictionaries(st.dates(), st.lists(st.integers(), max_size=2), max_size=3),
    _private=st.integers(),
)


@given(EVERYTHING)
def test_every_kind_of_field_comes_back(message: Everything) -> None:
    serializer = DataclassSerializer(Everything)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded == message
    assert decoded.moment.utcoffset() == message.moment.utcoffset()
    assert decoded.clock.utcoffset() == message.clock.utcoffset()
    assert str(decoded.amount) == str(message.amount)
    assert type(decoded.pair) is tuple


def test_the_wire_has_an_object_of_the_fields() -> None:
    @dataclass
    class Flight:
        origin: Airport
        number: int
        when: datetime

    message = Flight(Airport('EWR', 5.5), 1545, datetime(2013, 1, 1, 5, 15, tzinfo=UTC))
    assert DataclassSerializer(Flight).encode(message) == (
        b'{"origin":{"code":"EWR","elevation":5.5},"number":1545,"when":"2013-01-01T05:15:00Z"}'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    number: int


@dataclass
class Parent:
    number: int


@dataclass
class Child(Parent):
    name: str = 'child'
    shared: ClassVar[int] = 5

    @functools.cached_property
    def cached(self) -> int:
        return self.number + 1


@dataclass
class Late:
    number: int
    double: int = field(init=False)

    def __post_init__(self) -> None:
        self.double = self.number * 2


@dataclass(eq=False)
class WithoutEquality:
    items: list[Parent] = field(default_factory=list)


@dataclass
class Tree:
    name: str
    weight: float = 0.0
    children: 'list[Tree]' = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    content: T


@pytest.mark.parametrize(
    'message',
    [
        Slotted(number=2),
        Child(2),
        Child(2, 'name'),
        Late(5),
        Tree('a', 1.5, [Tree('b', 2.5, [Tree('c')]), Tree('d')]),
    ],
)
def test_every_kind_of_dataclass_comes_back(message: Any) -> None:
    serializer = DataclassSerializer(type(message))
    assert serializer.decode(serializer.encode(message)) == message


def test_what_is_no_field_stays_here() -> None:
    message = Child(2)
    assert message.cached == 3
    message.extra = 'extra'  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] -- wrong on purpose
    assert DataclassSerializer(Child).encode(message) == b'{"number":2,"name":"child"}'


def test_a_dataclass_without_equality_comes_back() -> None:
    serializer = DataclassSerializer(WithoutEquality)
    decoded = serializer.decode(serializer.encode(WithoutEquality([Parent(1)])))
    assert decoded.items == [Parent(1)]


def test_a_generic_dataclass_knows_its_parameters() -> None:
    serializer = DataclassSerializer(Box[Parent])
    assert serializer.decode(serializer.encode(Box(Parent(1)))) == Box(Parent(1))
    with pytest.raises(EncodeError):
        serializer.encode(Box('text'))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose


def test_an_instance_of_a_subclass_is_read_as_the_schema_class() -> None:
    serializer = DataclassSerializer(Parent)
    assert serializer.decode(serializer.encode(Child(2, 'name'))) == Parent(2)


@dataclass
class Loose:
    anything: Any = None
    items: list = field(default_factory=list)  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument] -- wrong on purpose
    extra: dict[str, Any] = field(default_factory=dict)
    wanted: float | None = None
    moment: datetime | None = None
    clock: time | None = None
    nested: 'list[Loose]' = field(default_factory=list)
    prices: dict[str, list[float]] = field(default_factory=dict)
    pair: tuple[int, float] | None = None
    weights: dict[float, int] = field(default_factory=dict)
    mixed: dict[int | str, int] = field(default_factory=dict)


NEPAL_BEFORE_1920 = timezone(timedelta(hours=5, minutes=41, seconds=16))


@pytest.mark.parametrize(
    ('message', 'reason'),
    [
        (Loose(wanted=math.nan), '`wanted`: a number is NaN'),
        (Loose(wanted=math.inf), '`wanted`: a number is NaN or infinite'),
        (Loose(prices={'a': [1.0, -math.inf]}), '`prices`: a number is NaN or infinite'),
        (Loose(pair=(1, math.nan)), '`pair`: a number is NaN'),
        (Loose(weights={math.nan: 1}), '`weights`: a number is NaN'),
        (Loose(nested=[Loose(), Loose(nested=[Loose(wanted=math.nan)])]), '`nested.nested.wanted`'),
        (Loose(anything=(1, 2)), '`anything`: JSON has no tuple'),
        (Loose(anything={'a': [Decimal(1)]}), '`anything`: JSON has no Decimal'),
        (Loose(anything=Airport('EWR')), '`anything`: JSON has no Airport'),
        (Loose(items=[b'bytes']), '`items`: JSON has no bytes'),
        (Loose(items=[math.nan]), '`items`: a number is NaN'),
        (Loose(extra={'a': {1: 'a'}}), '`extra`: a dict has a key of type int'),
        (Loose(moment=datetime(1900, 1, 1, tzinfo=NEPAL_BEFORE_1920)), '`moment`: a time zone'),
        (Loose(clock=time(1, 2, tzinfo=NEPAL_BEFORE_1920)), '`clock`: a time zone'),
        (Loose(mixed={1: 1}), 'a different value at `$.mixed[...]`'),
        (Loose(anything='\ud800'), 'surrogate'),
        (Loose(anything=object()), "a value of type object can't be encoded"),
    ],
)
def test_what_would_change_is_refused_with_its_place(message: Loose, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        DataclassSerializer(Loose).encode(message)
    assert reason in str(caught.value)
    assert caught.value.__suppress_context__


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXTS,
    lambda children: st.lists(children) | st.dictionaries(TEXTS, children),
    max_leaves=10,
)


@given(st.builds(Loose, anything=PLAIN, items=st.lists(PLAIN), extra=st.dictionaries(TEXTS, PLAIN)))
def test_fields_that_say_nothing_take_what_json_has(message: Loose) -> None:
    serializer = DataclassSerializer(Loose)
    assert repr(serializer.decode(serializer.encode(message))) == repr(message)


@pytest.mark.parametrize('message', [None, {'number': 1}, Box(1), 5, Parent])
def test_another_type_is_refused(message: Any) -> None:
    with pytest.raises(EncodeError, match='expected Parent, got ') as caught:
        DataclassSerializer(Parent).encode(message)
    assert isinstance(caught.value, TypeError)


@dataclass
class Evolved:
    number: int
    name: str = 'none'
    tags: list[str] = field(default_factory=list)


def test_unknown_fields_are_ignored() -> None:
    data = b'{"new":{"deep":[1,2]},"number":5,"newer":null}'
    assert DataclassSerializer(Evolved).decode(data) == Evolved(5)


def test_missing_fields_take_their_defaults() -> None:
    assert DataclassSerializer(Evolved).decode(b'{"number":5}') == Evolved(5, 'none', [])


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'{}', 'missing required field `number`'),
        (b'{"number":"5"}', 'expected `int`, got `str` at `$.number`'),
        (b'{"number":5.5}', 'expected `int`, got `float` at `$.number`'),
        (b'{"number":null}', 'expected `int`, got `null` at `$.number`'),
        (b'{"number":5,"tags":["a",7]}', 'expected `str`, got `int` at `$.tags[1]`'),
        (b'[5]', 'expected `object`, got `array`'),
        (b'null', 'expected `object`, got `null`'),
        (b'{"number":5}}', 'trailing characters'),
        (b'{"number":5,"new":"\xff"}', 'not UTF-8'),
        (b'{"number":5,"new":NaN}', 'invalid character'),
        (b'{"number":5,"new":', 'ends too early'),
        pytest.param(b'{"number":5,"new":' + b'[' * 100_000, 'nested too deeply', id='deep'),
    ],
)
def test_a_broken_payload_is_a_decode_error(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        DataclassSerializer(Evolved).decode(data)
    assert type(caught.value) is DecodeError
    assert reason in str(caught.value)


@dataclass
class Strict:
    color: Color = Color.RED
    kind: Literal['a', 'b'] = 'a'
    scores: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f'{self.size} - at `$.secret`')
        if self.size > 100:
            raise LookupError(self.size)


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'{"color":"98765"}', 'invalid enum value at `$.color`'),
        (b'{"kind":"98765"}', 'invalid enum value at `$.kind`'),
        (b'{"scores":{"98765":"98765"}}', 'expected `int`, got `str` at `$.scores[...]`'),
        (b'{"size":-98765}', 'the schema refuses the value with ValueError'),
        (b'{"size":98765}', 'the schema refuses the payload with LookupError'),
    ],
)
def test_no_error_tells_what_is_in_the_payload(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        DataclassSerializer(Strict).decode(data)
    assert str(caught.value) == reason
    assert caught.value.__suppress_context__


class Custom:
    pass


@dataclass
class WithCustom:
    parts: dict[str, list[Custom]]


@dataclass
class WithInitVar:
    number: int
    start: InitVar[int]


@dataclass
class WithTypo:
    number: 'Nmuber'  # type: ignore[name-defined] # noqa: F821 # pyright: ignore[reportUndefinedVariable] -- the typo itself


@dataclass
class WithTwoArrays:
    either: list[int] | tuple[int, ...]


@pytest.mark.parametrize(
    ('schema', 'reason'),
    [
        (WithCustom, "WithCustom.parts can't be encoded: nobody knows what is in Custom"),
        (WithInitVar, 'WithInitVar'),
        (WithTypo, 'Nmuber'),
        (WithTwoArrays, 'array-like'),
        (int, 'DataclassSerializer needs a dataclass, not int'),
        (Parent(1), 'DataclassSerializer needs a dataclass'),
        (Custom, 'DataclassSerializer needs a dataclass, not Custom'),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_at_once(schema: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        DataclassSerializer(schema)
    assert reason in str(caught.value)


def test_peers_write_json_as_they_like() -> None:
    data = json.dumps({'tags': ['ü'], 'number': 5}, indent=4).encode()
    assert DataclassSerializer(Evolved).decode(data) == Evolved(5, tags=['ü'])
