"""Unions of dataclasses and attrs classes, told apart by their fields."""

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import attrs
import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import UnionSerializer

T = TypeVar('T')


@dataclass
class Departed:
    flight: str
    gate: str
    delay: float = 0.0


@dataclass
class Cancelled:
    flight: str
    reason: str = ''


@dataclass
class Delayed:
    flight: str
    reason: str = ''


@attrs.define
class Diverted:
    flight: str
    to: str


@attrs.define
class DivertedBack(Diverted):
    why: str = ''


@attrs.define
class DivertedAtGate(Diverted):
    gate: str = ''


@dataclass
class CancelledAtGate(Cancelled):
    gate: str = ''


@dataclass
class Empty:
    pass


@dataclass
class Box(Generic[T]):
    content: T


TEXTS = st.text(st.characters(exclude_categories=['Cs']))
MESSAGES = (
    st.builds(Departed, TEXTS, TEXTS, st.floats(allow_nan=False, allow_infinity=False))
    | st.builds(Cancelled, TEXTS, TEXTS)
    | st.builds(Diverted, TEXTS, TEXTS)
)


@given(MESSAGES)
def test_each_member_comes_back(message: Departed | Cancelled | Diverted) -> None:
    serializer = UnionSerializer(Departed | Cancelled | Diverted)
    assert serializer.decode(serializer.encode(message)) == message


def test_an_instance_of_a_subclass_is_read_as_the_member() -> None:
    serializer = UnionSerializer(Departed | Diverted)
    decoded = serializer.decode(serializer.encode(DivertedBack('UA1', 'EWR', 'fog')))
    assert decoded == Diverted('UA1', 'EWR')


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (Departed | Diverted, DivertedAtGate('UA1', 'EWR', 'A1'), 'fields of more than one class'),
        (Departed | Cancelled, CancelledAtGate('UA1', gate='A1'), 'would be read back as Departed'),
    ],
)
def test_a_subclass_with_a_field_of_another_member_is_refused(
    schema: Any, message: Any, reason: str
) -> None:
    with pytest.raises(EncodeError, match=reason):
        UnionSerializer(schema).encode(message)


def test_nothing_is_added_on_the_wire() -> None:
    serializer = UnionSerializer(Departed | Cancelled)
    assert serializer.encode(Cancelled('UA1')) == b'{"flight":"UA1","reason":""}'


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'{"flight":"UA1","gate":"A1","new":1}', Departed('UA1', 'A1')),
        (b'{"flight":"UA1","gate":"A1"}', Departed('UA1', 'A1')),
        (b'{"flight":"UA1","new":1}', Cancelled('UA1')),
        (b'{"flight":"UA1"}', Cancelled('UA1')),
    ],
)
def test_unknown_fields_are_ignored_and_missing_ones_take_their_default(
    data: bytes, message: Any
) -> None:
    assert UnionSerializer(Departed | Cancelled).decode(data) == message


@pytest.mark.parametrize(
    ('message', 'reason'),
    [
        ('UA1', 'expected Departed | Cancelled, got str'),
        (Empty(), 'got Empty'),
        (Departed('UA1', 'A1', math.nan), '`delay`: a number is NaN'),
    ],
)
def test_what_would_change_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        UnionSerializer(Departed | Cancelled).encode(message)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'ends too early'),
        (b'[]', 'expected `object`, got `array`'),
        (b'{"flight":"UA1"}', 'the required fields of no class'),
        (b'{"flight":"UA1","gate":"A1","to":"EWR"}', 'fields of more than one class'),
        (b'{"flight":5,"gate":"A1"}', 'expected `str`, got `int` at `$.flight`'),
        (b'{"gate":"A1"}', 'missing required field `flight`'),
        (b'{"flight":"UA1","gate":"A1"}}', 'trailing characters'),
        pytest.param(b'{"new":' * 100_000, 'nested too deeply', id='deep'),
    ],
)
def test_a_broken_payload_is_a_decode_error(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        UnionSerializer(Departed | Diverted).decode(data)
    assert type(caught.value) is DecodeError
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ('schema', 'reason'),
    [
        (Cancelled | Delayed, "can't be told apart"),
        (Box[int] | Box[str], "can't be told apart"),
        (Departed, 'UnionSerializer needs a union'),
        (Departed | None, 'UnionSerializer needs a union'),
        (int | str, 'UnionSerializer needs a union'),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_at_once(schema: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        UnionSerializer(schema)
    assert reason in str(caught.value)
