"""JSON for what JSON itself has."""

import enum
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import PrimitiveSerializer

INTEGERS = st.integers() | st.integers(-(10**4000), 10**4000)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=['Cs']))
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda children: st.lists(children) | st.dictionaries(TEXTS, children),
    max_leaves=20,
)


def is_same(left: Any, right: Any) -> bool:
    """Compare like ==, but tell 1 from 1.0 and True, and 0.0 from -0.0."""
    return repr(left) == repr(right)


@pytest.mark.parametrize(
    ('schema', 'message', 'data'),
    [
        (str, 'Ångström', '"Ångström"'.encode()),
        (str, '', b'""'),
        (int, -7, b'-7'),
        (float, 2.5, b'2.5'),
        (bool, True, b'true'),
        (list, [1, 'a', None], b'[1,"a",null]'),
        (dict, {'a': [True]}, b'{"a":[true]}'),
        (None, None, b'null'),
        (type(None), None, b'null'),
    ],
)
def test_the_wire_has_plain_json(schema: Any, message: Any, data: bytes) -> None:
    serializer: PrimitiveSerializer[Any] = PrimitiveSerializer(schema)
    assert serializer.encode(message) == data
    assert is_same(serializer.decode(data), message)


@given(TEXTS)
def test_strings_come_back(message: str) -> None:
    serializer = PrimitiveSerializer(str)
    data = serializer.encode(message)
    assert json.loads(data) == message
    assert serializer.decode(data) == message


@given(INTEGERS)
def test_integers_of_any_size_come_back(message: int) -> None:
    serializer = PrimitiveSerializer(int)
    assert serializer.decode(serializer.encode(message)) == message


@given(FLOATS)
def test_floats_come_back_to_the_last_bit(message: float) -> None:
    serializer = PrimitiveSerializer(float)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded.hex() == message.hex()


@given(VALUES.filter(lambda value: isinstance(value, dict)))
def test_dicts_come_back(message: dict[str, Any]) -> None:
    serializer = PrimitiveSerializer(dict)
    assert is_same(serializer.decode(serializer.encode(message)), message)


@given(VALUES.filter(lambda value: isinstance(value, list)))
def test_lists_come_back(message: list[Any]) -> None:
    serializer = PrimitiveSerializer(list)
    assert is_same(serializer.decode(serializer.encode(message)), message)


@given(st.integers())
def test_an_integer_for_a_float_comes_back_equal_or_is_refused(message: int) -> None:
    serializer = PrimitiveSerializer(float)
    try:
        data = serializer.encode(message)
    except EncodeError:
        assert float(message) != message
    else:
        assert serializer.decode(data) == message


class Color(enum.StrEnum):
    RED = 'red'


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (str, 5, 'expected str, got int'),
        (str, None, 'expected str, got NoneType'),
        (str, b'bytes', 'expected str, got bytes'),
        (str, 'lone \ud800', 'surrogate'),
        (int, True, 'expected `int`, got `bool`'),
        (int, 1.0, 'expected int, got float'),
        pytest.param(int, 10**5000, 'too many digits', id='huge'),
        (float, True, 'expected float, got bool'),
        (float, 2**53 + 1, 'expected float, got int'),
        (float, math.nan, 'NaN'),
        (float, -math.inf, 'infinite'),
        (bool, 1, 'expected bool, got int'),
        (list, (1, 2), 'expected list, got tuple'),
        (list, [1, (2, 3)], 'JSON has no tuple'),
        (list, [{'a': [math.nan]}], 'NaN'),
        (list, [datetime.now(UTC)], 'JSON has no datetime'),
        (list, [{1, 2}], 'JSON has no set'),
        (list, [b'bytes'], 'JSON has no bytes'),
        (list, [object()], "a value of type object can't be encoded"),
        (dict, {1: 'a'}, 'a key of type int'),
        (dict, {'a': {1.5: 'a'}}, 'a key of type float'),
        (dict, {(1, 2): 'a'}, 'key'),
        (dict, {'lone \ud800': 1}, 'surrogate'),
        (None, 0, '`null`'),
        (None, 'text', '`null`'),
    ],
)
def test_what_would_change_is_refused(schema: Any, message: Any, reason: str) -> None:
    serializer: PrimitiveSerializer[Any] = PrimitiveSerializer(schema)
    with pytest.raises(EncodeError) as caught:
        serializer.encode(message)
    assert isinstance(caught.value, TypeError)
    assert reason in str(caught.value)


def test_a_list_that_holds_itself_is_refused() -> None:
    message: list[Any] = []
    message.append(message)
    with pytest.raises(EncodeError, match='nested too deeply, or holds itself'):
        PrimitiveSerializer(list).encode(message)


def test_a_member_of_a_string_enum_is_a_string() -> None:
    serializer = PrimitiveSerializer(str)
    assert serializer.decode(serializer.encode(Color.RED)) == Color.RED


@pytest.mark.parametrize(
    ('schema', 'data', 'reason', 'position'),
    [
        (int, b'', 'ends too early', 0),
        (int, b'"5"', 'expected `int`, got `str`', None),
        (int, b'5.0', 'expected `int`, got `float`', None),
        (int, b'true', 'expected `int`, got `bool`', None),
        (int, b'5 6', 'trailing characters', 3),  # it has read the first one of them
        pytest.param(int, b'1' * 5000, 'out of range', None, id='huge'),
        (float, b'NaN', 'invalid character', 0),
        (float, b'-Infinity', 'invalid character', 1),
        (float, b'1e400', 'out of range', None),
        (float, b'"nan"', 'expected `float`, got `str`', None),
        (str, b'"abc', 'ends too early', 4),
        (str, b'"a\xffc"', 'not UTF-8', 2),
        (str, rb'"\ude00"', 'surrogate', 7),
        (str, rb'"\ud800 and text"', 'malformed', 7),
        (str, b'"\xed\xa0\x80"', 'not UTF-8', 1),
        (bool, b'1', 'expected `bool`, got `int`', None),
        pytest.param(list, b'[' * 100_000, 'nested too deeply', None, id='deep-open'),
        pytest.param(
            list, b'[' * 100_000 + b']' * 100_000, 'nested too deeply', None, id='deep-list'
        ),
        pytest.param(dict, b'{"a":' * 100_000, 'nested too deeply', None, id='deep-dict'),
        (dict, b'{"a":1', 'ends too early', 6),
        (dict, b'{"a":NaN}', 'invalid character', 5),
        (dict, b'\xef\xbb\xbf{}', 'invalid character', 0),
        (None, b'0', 'expected `null`, got `int`', None),
    ],
)
def test_a_broken_payload_is_a_decode_error(
    schema: Any, data: bytes, reason: str, position: int | None
) -> None:
    serializer: PrimitiveSerializer[Any] = PrimitiveSerializer(schema)
    with pytest.raises(DecodeError) as caught:
        serializer.decode(data)
    assert type(caught.value) is DecodeError
    assert isinstance(caught.value, ValueError)
    assert reason in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize('schema', [bytes, tuple, list[int], str | None, 'str', object()])
def test_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(DeclarationError, match='PrimitiveSerializer needs str, int'):
        PrimitiveSerializer(schema)
