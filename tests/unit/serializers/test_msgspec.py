"""JSON for what msgspec knows by type."""

import enum
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, NewType, NotRequired, TypedDict
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import MsgspecSerializer

MOMENT = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=['Cs']))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


class Plane(msgspec.Struct):
    tail: str
    seats: int = 0
    weight: float | None = None


class Landed(msgspec.Struct, tag=True):
    at: str


class Diverted(msgspec.Struct, tag=True):
    to: str
    wait: float = 0.0


class Heavy(Landed, tag='heavy'):
    weight: int = 0


class Renamed(msgspec.Struct, rename='camel', forbid_unknown_fields=True):
    tail_number: str


class Row(msgspec.Struct, array_like=True):
    name: str
    value: int = 0


@attrs.define
class Gate:
    name: str
    floor: int = 1
    opened: int = attrs.field(default=5, init=False)
    level: int = attrs.field(default=1, validator=attrs.validators.gt(0))


@attrs.frozen
class Tower:
    name: str


@attrs.define
class PrivateGate:
    _name: str


class Crew(TypedDict):
    pilot: str
    age: NotRequired[float]


class Position(NamedTuple):
    lat: float
    lon: float
    label: str = ''


class Old(NamedTuple):
    name: str


@dataclass
class Route:
    stops: list[Position]
    by_name: dict[str, Position]
    pair: tuple[Position, int]
    maybe: Position | None = None
    row: Row | None = None
    anything: Any = None


class Pair(msgspec.Struct, tag=True):
    names: Old


class Many(msgspec.Struct, tag=True):
    names: list[str]
    owner: Old


class Color(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


class Mixed(enum.Enum):
    ONE = 1
    TWO = 'two'


Number = NewType('Number', int)
Positive = Annotated[int, msgspec.Meta(gt=0)]


@pytest.mark.parametrize(
    ('schema', 'message', 'data'),
    [
        (Plane, Plane('N14228'), b'{"tail":"N14228","seats":0,"weight":null}'),
        (Renamed, Renamed('N14228'), b'{"tailNumber":"N14228"}'),
        (Row, Row('a', 1), b'["a",1]'),
        (Landed | Diverted, Diverted('EWR'), b'{"type":"Diverted","to":"EWR","wait":0.0}'),
        (Landed | Diverted, Landed('EWR'), b'{"type":"Landed","at":"EWR"}'),
        (Tower, Tower('T1'), b'{"name":"T1"}'),
        (Crew, Crew(pilot='Ann'), b'{"pilot":"Ann"}'),
        (Position, Position(1.5, 2.5), b'[1.5,2.5,""]'),
        (Color, Color.RED, b'"red"'),
        (Right, Right.READ | Right.WRITE, b'3'),
        (uuid.UUID, uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Decimal, Decimal('1.10'), b'"1.10"'),
        (Decimal, Decimal('NaN'), b'"NaN"'),
        (timedelta, timedelta(hours=1), b'"PT3600S"'),
        (time, time(5, 15), b'"05:15:00"'),
        (Number, Number(5), b'5'),
        (Positive, 5, b'5'),
        (list[Plane], [Plane('a')], b'[{"tail":"a","seats":0,"weight":null}]'),
        (dict[int, Color], {1: Color.RED}, b'{"1":"red"}'),
        (dict[int | str, int], {'a': 1}, b'{"a":1}'),
        (tuple[int, str], (1, 'a'), b'[1,"a"]'),
        (set[int], {1}, b'[1]'),
        (frozenset[datetime], frozenset([MOMENT]), b'["2013-01-01T05:15:00Z"]'),
        (int | str, 'a', b'"a"'),
        (float | None, 1.5, b'1.5'),
        (float | None, 1, b'1'),
        (Plane | None, None, b'null'),
        (Any, {'a': [1, None]}, b'{"a":[1,null]}'),
    ],
)
def test_the_wire_has_json(schema: Any, message: Any, data: bytes) -> None:
    serializer: MsgspecSerializer[Any] = MsgspecSerializer(schema)
    assert serializer.encode(message) == data
    decoded = serializer.decode(data)
    assert decoded == message or decoded != decoded  # noqa: PLR0124 -- Decimal('NaN')
    assert str(decoded) == str(message) or isinstance(message, int)


POSITIONS = st.builds(Position, FLOATS, FLOATS, TEXTS)
ROUTES = st.builds(
    Route,
    stops=st.lists(POSITIONS, max_size=3),
    by_name=st.dictionaries(TEXTS, POSITIONS, max_size=3),
    pair=st.tuples(POSITIONS, st.integers()),
    maybe=st.none() | POSITIONS,
    row=st.none() | st.builds(Row, TEXTS, st.integers()),
)
PLANES = st.builds(Plane, TEXTS, st.integers(), st.none() | FLOATS)


@given(st.lists(PLANES | st.none()))
def test_lists_of_structs_come_back(message: list[Plane | None]) -> None:
    serializer = MsgspecSerializer(list[Plane | None])
    assert serializer.decode(serializer.encode(message)) == message


@given(st.builds(Gate, TEXTS, st.integers(), level=st.integers(min_value=1)), st.integers())
def test_attrs_classes_come_back(message: Gate, opened: int) -> None:
    message.opened = opened
    serializer = MsgspecSerializer(Gate)
    assert serializer.decode(serializer.encode(message)) == message


@given(ROUTES)
def test_named_tuples_come_back(message: Route) -> None:
    serializer = MsgspecSerializer(Route)
    assert serializer.decode(serializer.encode(message)) == message


@given(st.builds(Landed, TEXTS) | st.builds(Diverted, TEXTS, FLOATS))
def test_members_of_a_union_come_back(message: Landed | Diverted) -> None:
    serializer = MsgspecSerializer(Landed | Diverted)
    assert serializer.decode(serializer.encode(message)) == message


@given(st.uuids() | st.none())
def test_uuids_come_back(message: uuid.UUID | None) -> None:
    serializer = MsgspecSerializer(uuid.UUID | None)
    assert serializer.decode(serializer.encode(message)) == message


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_come_back_with_their_digits(message: Decimal) -> None:
    serializer = MsgspecSerializer(Decimal)
    assert str(serializer.decode(serializer.encode(message))) == str(message)


@given(st.timedeltas())
def test_durations_come_back(message: timedelta) -> None:
    serializer = MsgspecSerializer(timedelta)
    assert serializer.decode(serializer.encode(message)) == message


@given(st.dictionaries(st.integers() | FLOATS, FLOATS))
def test_number_keys_come_back_or_are_refused(message: dict[int | float, float]) -> None:
    serializer = MsgspecSerializer(dict[int | float, float])
    try:
        data = serializer.encode(message)
    except EncodeError:
        return
    assert serializer.decode(data) == message


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (Plane, Gate('A1'), 'expected Plane, got Gate'),
        (Plane, {'tail': 'a'}, 'expected Plane, got dict'),
        (Plane, Plane('a', weight=math.nan), '`weight`: a number is NaN'),
        (Landed, Heavy('EWR'), 'invalid value at `$.type`'),
        (Landed | Diverted, Plane('a'), 'missing required field `type`'),
        (Crew, {'pilot': 5}, 'expected `str`, got `int` at `$.pilot`'),
        (Crew, {}, 'missing required field `pilot`'),
        (Crew, {'pilot': 'a', 'extra': 5}, 'a different value at `$'),
        (Crew, {'pilot': 'a', 'age': math.inf}, '`age`: a number is NaN or infinite'),
        (Position, (1.5, 2.5, ''), 'expected Position, got tuple'),
        (Position, Position(math.nan, 1.0), '`lat`: a number is NaN'),
        (Color, 'red', 'expected Color, got str'),
        (uuid.UUID, 'text', 'expected UUID, got str'),
        (Decimal, 1.5, 'expected Decimal, got float'),
        (Positive, -5, 'expected `int` >= 1'),
        (time, time(5, tzinfo=ZoneInfo('Europe/Berlin')), 'no fixed offset'),
        (list[int], [1, 'a'], 'expected `int`, got `str` at `$[1]`'),
        (list[int], (1, 2), 'a different value at `$'),
        (list[list[int]], [(1, 2)], 'a different value at `$[0]`'),
        (list[float], [1.0, math.nan], 'a number is NaN'),
        (list[float] | None, [1.0, math.nan], 'a number is NaN'),
        (set[int], [1, 2], 'a different value at `$'),
        (dict[int | str, int], {1: 1}, 'a different value at `$'),
        (dict[str, Any], {'a': Plane('a')}, 'JSON has no Plane'),
        (tuple[float, ...], (math.nan,), 'a number is NaN'),
        (tuple[int, float], (1, math.nan), 'a number is NaN'),
        (int | str, 1.5, 'expected `int | str`, got `float`'),
        (int | None, True, 'got `bool`'),
        (Any, (1, 2), 'JSON has no tuple'),
        (list[Plane], [Plane('a', weight=math.nan)], '`weight`: a number is NaN'),
    ],
)
def test_what_would_change_is_refused(schema: Any, message: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        MsgspecSerializer[Any](schema).encode(message)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ('schema', 'data', 'message'),
    [
        (Plane, b'{"new":[1],"tail":"a"}', Plane('a')),
        (Gate, b'{"new":[1],"name":"A1"}', Gate('A1')),
        (Crew, b'{"new":[1],"pilot":"Ann"}', Crew(pilot='Ann')),
        (Row, b'["a",5,"new"]', Row('a', 5)),
        (Row, b'["a"]', Row('a', 0)),
        (Position, b'[1.5,2.5]', Position(1.5, 2.5)),
        (Position, b'[1.5,2.5,"a","new",{"newer":1}]', Position(1.5, 2.5, 'a')),
        (Old, b'["a",1]', Old('a')),
        (list[Old], b'[["a",1],["b"]]', [Old('a'), Old('b')]),
        (Old | None, b'["a",1]', Old('a')),
        (Landed | Diverted, b'{"new":1,"type":"Diverted","to":"EWR"}', Diverted('EWR')),
    ],
)
def test_unknown_fields_are_ignored_and_missing_ones_take_their_default(
    schema: Any, data: bytes, message: Any
) -> None:
    assert MsgspecSerializer[Any](schema).decode(data) == message


@dataclass
class Account:
    owner: Old
    amount: Decimal
    children: 'list[Account]' = field(default_factory=list)


def test_unknown_items_are_ignored_at_any_depth_and_nothing_else_changes() -> None:
    amount = '0.1234567890123456789012345678901234567890'
    data = (
        f'{{"owner":["a",1],"amount":{amount},"children":['
        f'{{"owner":["b",[],{{}}],"amount":{amount},"new":1e400}}]}}'
    )
    decoded = MsgspecSerializer(Account).decode(data.encode())
    child = Account(Old('b'), Decimal(amount))
    assert decoded == Account(Old('a'), Decimal(amount), [child])


def test_unknown_items_are_ignored_wherever_a_named_tuple_is() -> None:
    position = '[1.5,2.5,"x","new"]'
    data = (
        f'{{"stops":[{position}],"by_name":{{"a":{position}}},"pair":[{position},7],'
        f'"maybe":{position},"row":["r",1,"new"],"anything":{position}}}'
    )
    here = Position(1.5, 2.5, 'x')
    assert MsgspecSerializer(Route).decode(data.encode()) == Route(
        stops=[here],
        by_name={'a': here},
        pair=(here, 7),
        maybe=here,
        row=Row('r', 1),
        anything=[1.5, 2.5, 'x', 'new'],
    )


def test_an_array_in_another_member_of_a_union_keeps_its_items() -> None:
    data = b'{"type":"Many","names":["a","b"],"owner":["c","new"]}'
    assert MsgspecSerializer(Pair | Many).decode(data) == Many(['a', 'b'], Old('c'))


def test_a_moment_that_is_there_twice_comes_back() -> None:
    moment = datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo('Europe/Berlin'))
    serializer = MsgspecSerializer(list[datetime])
    [decoded] = serializer.decode(serializer.encode([moment]))
    assert decoded.isoformat() == '2020-10-25T02:30:00+01:00'


@pytest.mark.parametrize(
    ('schema', 'data', 'reason'),
    [
        (Plane, b'{}', 'missing required field `tail`'),
        (Plane, b'{"tail":5}', 'expected `str`, got `int` at `$.tail`'),
        (Renamed, b'{"tailNumber":"a","98765":1}', 'object contains unknown field'),
        (Gate, b'{"name":"A1","level":-98765}', 'the schema refuses the value with ValueError'),
        (Crew, b'{"pilot":null}', 'expected `str`, got `null` at `$.pilot`'),
        (Position, b'[1.5]', 'expected `array` of length 2 to 3'),
        (Position, b'[1.5,"98765",""]', 'expected `float`, got `str` at `$[1]`'),
        (Position, b'[1.5,"98765","","new"]', 'expected `float`, got `str` at `$[1]`'),
        (Position, b'[1.5,2.5', 'the payload ends too early (at byte 8)'),
        (tuple[Old, int], b'[["a",1],1,2]', 'expected `array` of length 2'),
        (Landed | Diverted, b'{"type":"98765"}', 'invalid value at `$.type`'),
        (Landed | Diverted, b'{"to":"EWR"}', 'missing required field `type`'),
        (Color, b'"98765"', 'invalid enum value'),
        (uuid.UUID, b'"98765"', 'invalid UUID'),
        (Decimal, b'"98765x"', 'invalid decimal string'),
        (timedelta, b'"98765"', 'invalid ISO8601 duration'),
        (time, b'"98765"', 'invalid RFC3339 encoded time'),
        (datetime | None, b'"98765"', 'invalid RFC3339 encoded datetime'),
        (dict[str, int], b'{"98765":"98765"}', 'expected `int`, got `str` at `$[...]`'),
        (dict[int, int], b'{"98765x":1}', 'expected `int`, got `str` at `key` in `$`'),
        (dict[str, float], b'{"98765":1e400}', 'number out of range at `$[...]`'),
        (Positive, b'-98765', 'expected `int` >= 1'),
        (tuple[int, str], b'[1]', 'expected `array` of length 2'),
    ],
)
def test_a_broken_payload_is_a_decode_error_that_does_not_quote_it(
    schema: Any, data: bytes, reason: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        MsgspecSerializer[Any](schema).decode(data)
    assert type(caught.value) is DecodeError
    assert reason in str(caught.value)
    assert '98765' not in str(caught.value)
    assert caught.value.__suppress_context__


class Unknown:
    pass


@pytest.mark.parametrize(
    ('schema', 'reason'),
    [
        (Unknown, "Unknown can't be encoded"),
        (dict[str, Unknown], 'nobody knows what is in Unknown'),
        (PrivateGate, 'PrivateGate._name: a private field of an attrs class'),
        (msgspec.msgpack.Ext, 'extension types of MessagePack'),
        (Mixed, 'str'),
        (Plane | Renamed, 'tag'),
        (list[int] | tuple[int, ...], 'array-like'),
        (5, '5'),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_at_once(schema: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        MsgspecSerializer(schema)
    assert reason in str(caught.value)
