"""Events of every kind of JSON, each with a strategy for its messages."""

# The classes are in a module of their own because msgspec, pydantic and hypothesis read their
# annotations: they must be there at run time.

import enum
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import marshmallow
import msgspec
import pydantic
from hypothesis import strategies as st
from marshmallow import fields

from walnats import Event

T = TypeVar('T')

TEXTS = st.text(st.characters(exclude_categories=['Cs']), max_size=5)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=2, max_value=1000)
MOMENTS = st.datetimes(timezones=st.just(UTC))
SPANS = st.timedeltas(timedelta(0), timedelta(days=100))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXTS, part, max_size=3),
    max_leaves=5,
)


class Color(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: float
    y: float = 0


@dataclass
class Address:
    street: str
    floor: int | None = None


@dataclass
class User:
    id: uuid.UUID
    name: str
    address: Address
    color: Color
    level: Level
    point: Point
    pair: tuple[int, str]
    born: date
    seen: datetime
    wakes: time
    walked: timedelta
    money: Decimal
    photo: bytes
    friends: list['User'] = field(default_factory=list)
    tags: frozenset[str] = frozenset()
    scores: dict[str, float] = field(default_factory=dict)
    by_number: dict[int, bool] = field(default_factory=dict)
    kind: Literal['a', 'b'] = 'a'
    extra: Any = None
    limited: Annotated[int, msgspec.Meta(ge=0, description='Never negative.')] = 0
    home: Address = field(default_factory=lambda: Address('Main'))


@dataclass
class Page(Generic[T]):
    items: list[T]
    more: bool = False


@dataclass
class Paid:
    order: int
    amount: float


@dataclass
class Refunded:
    order: int
    reason: str


@attrs.define
class Gate:
    name: str
    number: int = 1


class Cat(msgspec.Struct, tag=True, rename='camel'):
    nine_lives: int


class Dog(msgspec.Struct, tag=True, omit_defaults=True):
    name: str = 'Rex'
    friend: 'Cat | Dog | None' = None


class Row(msgspec.Struct, array_like=True):
    a: int
    b: str = ''


class Options(TypedDict):
    name: str
    size: NotRequired[int]


class Item(pydantic.BaseModel):
    sku: str = pydantic.Field(alias='SKU', min_length=1, description='The number.')
    price: Decimal = Decimal(1)

    model_config = pydantic.ConfigDict(validate_by_name=True)


class Square(pydantic.BaseModel):
    kind: Literal['square'] = 'square'
    side: int


class Circle(pydantic.BaseModel):
    kind: Literal['circle'] = 'circle'
    radius: int


class Account(pydantic.BaseModel):
    id: uuid.UUID
    items: list[Item]
    color: Color
    seen: pydantic.AwareDatetime
    pair: tuple[int, str] = (1, 'a')
    scores: dict[str, int] = {}
    shape: Annotated[Square | Circle, pydantic.Field(discriminator='kind')]
    parent: 'Account | None' = None
    first: Item = pydantic.Field(default_factory=lambda: Item(SKU='x'), description='Of them.')

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def count(self) -> int:
        return len(self.items)


class LegSchema(marshmallow.Schema):
    to = fields.String(required=True, metadata={'description': 'Where it goes.'})


class FlightSchema(marshmallow.Schema):
    number = fields.Integer(required=True, data_key='flightNumber')
    delay = fields.Float(allow_none=True)
    leg = fields.Nested(LegSchema, allow_none=True)
    legs = fields.List(fields.Nested(LegSchema))
    many = fields.Nested(LegSchema, many=True)
    by_name = fields.Dict(keys=fields.String(), values=fields.Nested(LegSchema))
    pair = fields.Tuple((fields.Nested(LegSchema), fields.Integer()))
    moment = fields.AwareDateTime()
    stamp = fields.DateTime(format='timestamp')
    day = fields.Date()
    amount = fields.Decimal()
    text = fields.Integer(as_string=True)
    uid = fields.UUID()
    done = fields.Boolean()
    color = fields.Enum(Color)
    anything = fields.Raw(allow_none=True)
    next = fields.Nested(lambda: FlightSchema(only=('number',)))


ADDRESSES = st.builds(Address, TEXTS, st.none() | st.integers())
USERS: st.SearchStrategy[User] = st.deferred(
    lambda: st.builds(
        User,
        id=st.uuids(),
        name=TEXTS,
        address=ADDRESSES,
        color=st.sampled_from(Color),
        level=st.sampled_from(Level),
        point=st.builds(Point, NUMBERS, NUMBERS),
        pair=st.tuples(st.integers(), TEXTS),
        born=st.dates(),
        seen=MOMENTS,
        wakes=st.times(),
        walked=SPANS,
        money=DECIMALS,
        photo=st.binary(max_size=4),
        friends=st.lists(USERS, max_size=1),
        tags=st.frozensets(TEXTS, max_size=2),
        scores=st.dictionaries(TEXTS, NUMBERS, max_size=2),
        by_number=st.dictionaries(st.integers(0, 9), st.booleans(), max_size=2),
        kind=st.sampled_from(['a', 'b']),
        extra=JSON,
        limited=st.integers(min_value=0),
        home=ADDRESSES,
    )
)
CATS = st.builds(Cat, st.integers())
DOGS: st.SearchStrategy[Dog] = st.deferred(lambda: st.builds(Dog, TEXTS, st.none() | CATS | DOGS))
ITEMS = st.builds(lambda sku, price: Item(SKU=sku, price=price), TEXTS.filter(bool), DECIMALS)
SHAPES = st.builds(Square, side=st.integers()) | st.builds(Circle, radius=st.integers())
ACCOUNTS: st.SearchStrategy[Account] = st.deferred(
    lambda: st.builds(
        Account,
        id=st.uuids(),
        items=st.lists(ITEMS, max_size=2),
        color=st.sampled_from(Color),
        seen=MOMENTS,
        pair=st.tuples(st.integers(), TEXTS),
        scores=st.dictionaries(TEXTS, st.integers(), max_size=2),
        shape=SHAPES,
        parent=st.none() | ACCOUNTS,
    )
)
LEGS = st.fixed_dictionaries({'to': TEXTS})
FLIGHTS = st.fixed_dictionaries(
    {'number': st.integers()},
    optional={
        'delay': st.none() | NUMBERS,
        'leg': st.none() | LEGS,
        'legs': st.lists(LEGS, max_size=2),
        'many': st.lists(LEGS, max_size=2),
        'by_name': st.dictionaries(TEXTS, LEGS, max_size=2),
        'pair': st.tuples(LEGS, st.integers()),
        'moment': MOMENTS,
        'stamp': st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 -- marshmallow reads it as a naive one
            lambda moment: moment.replace(microsecond=0)
        ),
        'day': st.dates(),
        'amount': DECIMALS,
        'text': st.integers(),
        'uid': st.uuids(),
        'done': st.booleans(),
        'color': st.sampled_from(Color),
        'anything': JSON,
        'next': st.fixed_dictionaries({'number': st.integers()}),
    },
)

KINDS: list[tuple[str, Any, st.SearchStrategy[Any]]] = [
    ('str', str, TEXTS),
    ('int', int, st.integers()),
    ('float', float, NUMBERS),
    ('bool', bool, st.booleans()),
    ('none', None, st.none()),
    ('list', list, st.lists(JSON, max_size=3)),
    ('dict', dict, st.dictionaries(TEXTS, JSON, max_size=3)),
    ('dataclass', User, USERS),
    ('generic', Page[Gate], st.builds(Page, st.lists(st.builds(Gate, TEXTS), max_size=2))),
    ('classes', Paid | Refunded, st.builds(Paid, amount=NUMBERS) | st.builds(Refunded)),
    ('attrs', Gate, st.builds(Gate, TEXTS, st.integers())),
    ('tagged', Cat | Dog, CATS | DOGS),
    ('array', Row, st.builds(Row, st.integers(), TEXTS)),
    ('typed-dict', Options, st.just({'name': 'a'}) | st.just({'name': 'a', 'size': 1})),
    ('named-tuple', Point, st.builds(Point, NUMBERS, NUMBERS)),
    ('items', list[Gate], st.lists(st.builds(Gate, TEXTS), max_size=2)),
    ('uuid', uuid.UUID, st.uuids()),
    ('decimal', Decimal, DECIMALS),
    ('union', int | str | None, st.integers() | TEXTS | st.none()),
    ('pydantic', Account, ACCOUNTS),
    ('pydantic-items', list[Item], st.lists(ITEMS, max_size=2)),
    ('marshmallow', FlightSchema, FLIGHTS),
]
EVENTS: dict[str, tuple[Event[Any], st.SearchStrategy[Any]]] = {
    name: (Event(name, schema), messages) for name, schema, messages in KINDS
}
