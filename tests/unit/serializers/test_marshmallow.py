"""JSON by marshmallow schemas."""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import marshmallow
import pytest
from hypothesis import given, strategies as st
from marshmallow import fields, validate

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import MarshmallowSerializer

TEXTS = st.text(st.characters(exclude_categories=['Cs']))


class LegSchema(marshmallow.Schema):
    to = fields.String(required=True)


class FlightSchema(marshmallow.Schema):
    number = fields.Integer(required=True, strict=True)
    carrier = fields.String(load_default='UA', data_key='carrierCode')
    delay = fields.Float(allow_none=True)
    leg = fields.Nested(LegSchema)
    legs = fields.List(fields.Nested(LegSchema))
    by_name = fields.Dict(keys=fields.String(), values=fields.Nested(LegSchema))
    pair = fields.Tuple((fields.Nested(LegSchema), fields.Integer()))
    moment = fields.AwareDateTime()
    day = fields.Date()
    amount = fields.Decimal()
    uid = fields.UUID()
    anything = fields.Raw()


class TreeSchema(marshmallow.Schema):
    name = fields.String(required=True)
    child = fields.Nested(lambda: TreeSchema())  # noqa: PLW0108 -- it isn't there yet


LEGS = st.fixed_dictionaries({'to': TEXTS})
FLIGHTS = st.fixed_dictionaries(
    {'number': st.integers()},
    optional={
        'carrier': TEXTS,
        'delay': st.none() | st.floats(allow_nan=False, allow_infinity=False),
        'leg': LEGS,
        'legs': st.lists(LEGS, max_size=3),
        'by_name': st.dictionaries(TEXTS, LEGS, max_size=3),
        'pair': st.tuples(LEGS, st.integers()),
        'moment': st.datetimes(timezones=st.just(UTC)),
        'day': st.dates(),
        'amount': st.decimals(allow_nan=False, allow_infinity=False),
        'uid': st.uuids(),
        'anything': st.recursive(st.integers() | TEXTS, st.lists),
    },
)


@given(FLIGHTS)
def test_dicts_come_back_with_defaults_for_what_is_missing(message: dict[str, Any]) -> None:
    serializer: MarshmallowSerializer[Any] = MarshmallowSerializer(FlightSchema)
    assert serializer.decode(serializer.encode(message)) == {'carrier': 'UA', **message}


def test_the_wire_has_an_object_of_the_fields() -> None:
    serializer: MarshmallowSerializer[Any] = MarshmallowSerializer(FlightSchema)
    data = serializer.encode({'number': 5, 'carrier': 'UA', 'amount': Decimal('1.10')})
    assert data == b'{"number":5,"carrierCode":"UA","amount":"1.10"}'


@dataclass
class Airport:
    code: str
    elevation: float | None = None
    gates: list[str] = field(default_factory=list)

    class Schema(marshmallow.Schema):
        code = fields.String(required=True)
        elevation = fields.Float(allow_none=True)
        gates = fields.List(fields.String())

        @marshmallow.post_load
        def make(self, data: dict[str, Any], **_: Any) -> 'Airport':
            return Airport(**data)


class Plain:
    def __init__(self, number: int) -> None:
        self.number = number

    class Schema(marshmallow.Schema):
        number = fields.Integer()

        @marshmallow.post_load
        def make(self, data: dict[str, Any], **_: Any) -> 'Plain':
            return Plain(**data)


@given(
    st.builds(
        Airport,
        TEXTS,
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.lists(TEXTS, max_size=3),
    )
)
def test_instances_of_a_class_with_a_schema_come_back(message: Airport) -> None:
    serializer = MarshmallowSerializer(Airport)
    assert serializer.decode(serializer.encode(message)) == message


def test_a_class_without_equality_comes_back() -> None:
    serializer = MarshmallowSerializer(Plain)
    assert serializer.decode(serializer.encode(Plain(5))).number == 5


class OrderedLegSchema(LegSchema):
    dict_class = OrderedDict
    moment = fields.AwareDateTime()


class OrderedFlightSchema(OrderedLegSchema):
    leg = fields.Nested(OrderedLegSchema)


def test_a_plain_dict_will_do_where_the_schema_makes_ordered_ones() -> None:
    # In this hour two moments of the same time aren't equal, so each value is compared.
    moment = datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo('Europe/Berlin'))
    message = {'to': 'EWR', 'leg': {'to': 'IAH', 'moment': moment}}
    serializer: MarshmallowSerializer[Any] = MarshmallowSerializer(OrderedFlightSchema)
    decoded = serializer.decode(serializer.encode(message))
    assert type(decoded) is OrderedDict
    assert decoded['leg']['moment'].isoformat() == '2020-10-25T02:30:00+01:00'


def test_unknown_fields_are_ignored_at_any_depth() -> None:
    leg = '{"to":"EWR","new":1}'
    data = (
        f'{{"number":5,"new":1,"leg":{leg},"legs":[{leg}],"by_name":{{"a":{leg}}},'
        f'"pair":[{leg},1]}}'
    )
    decoded = MarshmallowSerializer[Any](FlightSchema).decode(data.encode())
    assert decoded == {
        'number': 5,
        'carrier': 'UA',
        'leg': {'to': 'EWR'},
        'legs': [{'to': 'EWR'}],
        'by_name': {'a': {'to': 'EWR'}},
        'pair': ({'to': 'EWR'}, 1),
    }


def test_unknown_fields_are_ignored_in_a_schema_that_nests_itself() -> None:
    data = b'{"name":"a","new":1,"child":{"name":"b","new":1,"child":{"name":"c","new":1}}}'
    decoded = MarshmallowSerializer[Any](TreeSchema).decode(data)
    assert decoded == {'name': 'a', 'child': {'name': 'b', 'child': {'name': 'c'}}}


class ClosedSchema(marshmallow.Schema):
    class Meta:
        unknown = marshmallow.RAISE

    number = fields.Integer()


class OpenSchema(marshmallow.Schema):
    closed = fields.Nested(LegSchema, unknown=marshmallow.RAISE)
    also_closed = fields.Nested(ClosedSchema)

    class Meta:
        unknown = marshmallow.INCLUDE


def test_a_schema_may_say_otherwise() -> None:
    serializer: MarshmallowSerializer[Any] = MarshmallowSerializer(OpenSchema)
    assert serializer.decode(b'{"new":1}') == {'new': 1}
    for data in (b'{"closed":{"to":"EWR","new":1}}', b'{"also_closed":{"new":1}}'):
        with pytest.raises(DecodeError):
            serializer.decode(data)


class PickySchema(marshmallow.Schema):
    number = fields.Integer(validate=validate.Range(max=10, error='{input} is too much'))
    scores = fields.Dict(values=fields.Integer())
    rounded = fields.Decimal(places=2)
    ratio = fields.Float(allow_nan=True, allow_none=True)
    shown = fields.String(dump_only=True)
    hidden = fields.String(load_only=True)
    broken = fields.String()

    @marshmallow.post_load
    def check(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if 'broken' in data:
            raise LookupError(data['broken'])
        return data


@pytest.mark.parametrize(
    ('schema', 'data', 'reason'),
    [
        (FlightSchema, b'', 'ends too early'),
        (FlightSchema, b'{}', '`number` is wrong'),
        (FlightSchema, b'[]', 'the value is wrong'),
        (FlightSchema, b'98765', 'the value is wrong'),
        (FlightSchema, b'null', 'the value is wrong'),
        (FlightSchema, b'{"number":98765.5}', '`number` is wrong'),
        (FlightSchema, b'{"number":"98765x","carrierCode":5}', '`number`, `carrierCode` is wrong'),
        (FlightSchema, b'{"number":5,"leg":{"to":98765}}', '`leg` is wrong'),
        (FlightSchema, b'{"number":5,"legs":{"to":"98765"}}', '`legs` is wrong'),
        (FlightSchema, b'{"number":5,"delay":NaN}', 'invalid character'),
        (FlightSchema, b'{"number":5,"delay":1e400}', 'number out of range'),
        (FlightSchema, b'{"number":5,"delay":' + b'1' * 400 + b'}', '`delay` is wrong'),
        (FlightSchema, b'{"number":5,"new":"\xff"}', 'a string is not UTF-8 (at byte 19)'),
        (FlightSchema, b'{"number":5} {}', 'trailing characters'),
        (ClosedSchema, b'{"98765":1}', 'the value is wrong'),
        (PickySchema, b'{"number":98765}', '`number` is wrong'),
        (PickySchema, b'{"scores":{"98765":"98765x"}}', '`scores` is wrong'),
        (PickySchema, b'{"broken":"98765"}', 'the schema refuses the payload with LookupError'),
        pytest.param(FlightSchema, b'{"new":' * 100_000, 'nested too deeply', id='deep'),
        pytest.param(
            TreeSchema,
            b'{"name":"a","child":' * 500 + b'{"name":"a"}' + b'}' * 500,
            'nested too deeply',
            id='deeper than marshmallow takes',
        ),
    ],
)
def test_a_broken_payload_is_a_decode_error_that_does_not_quote_it(
    schema: Any, data: bytes, reason: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        MarshmallowSerializer[Any](schema).decode(data)
    assert type(caught.value) is DecodeError
    assert reason in str(caught.value)
    assert '98765' not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (Airport, {'code': 'EWR'}, 'expected Airport, got dict'),
        (Airport, Airport(code=5), 'a different value at `$'),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
        (Airport, Airport('EWR', math.nan), 'a different value at `$.elevation`'),
        (Airport, Airport('\ud800'), 'surrogate'),
        (FlightSchema, 5, '`number` is wrong'),
        (FlightSchema, {}, '`number` is wrong'),
        (FlightSchema, {'number': '98765'}, 'a different value at `$'),
        (FlightSchema, {'number': '98765x'}, 'encoding fails with ValueError'),
        (FlightSchema, {'number': 5, 'typo': 1}, 'a different value at `$'),
        (FlightSchema, {'number': 5, 'leg': {'to': 'EWR', 'typo': 1}}, 'a different value at `$'),
        (FlightSchema, {'number': 5, 'legs': [{'to': 5}]}, 'a different value at `$'),
        (FlightSchema, {'number': 5, 'anything': (1, 2)}, 'a different value at `$'),
        (FlightSchema, {'number': 5, 'anything': {1, 2}}, 'a different value at `$'),
        (
            FlightSchema,
            {'number': 5, 'day': datetime(2013, 1, 1, 5, tzinfo=UTC)},
            'a different value at `$[...]`',
        ),
        (FlightSchema, Plain(5), 'expected dict, got Plain'),
        (PickySchema, 5, 'expected dict, got int'),
        (PickySchema, {'rounded': Decimal('1.234')}, 'a different value at `$'),
        (PickySchema, {'ratio': math.nan}, 'a different value at `$'),
        (PickySchema, {'shown': 'a'}, 'a different value at `$'),
        (PickySchema, {'hidden': 'a'}, 'a different value at `$'),
        (PickySchema, {'number': 98765}, '`number` is wrong'),
    ],
)
def test_what_would_change_is_refused(schema: Any, message: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        MarshmallowSerializer[Any](schema).encode(message)
    assert isinstance(caught.value, TypeError)
    assert reason in str(caught.value)
    assert '98765' not in str(caught.value)


class DemandingSchema(marshmallow.Schema):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@pytest.mark.parametrize(
    ('schema', 'reason'),
    [
        (int, 'MarshmallowSerializer needs a marshmallow schema'),
        (FlightSchema(), 'MarshmallowSerializer needs a marshmallow schema'),
        (timedelta, 'not timedelta'),
        (DemandingSchema, 'DemandingSchema'),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_at_once(schema: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        MarshmallowSerializer(schema)
    assert reason in str(caught.value)


def test_a_day_is_a_day() -> None:
    serializer: MarshmallowSerializer[Any] = MarshmallowSerializer(FlightSchema)
    message = {'number': 5, 'day': date(2013, 1, 1)}
    assert serializer.decode(serializer.encode(message))['day'] == date(2013, 1, 1)
