"""Signing."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import HMACSerializer

KEY = b'a key that only the tests have'
ALGORITHMS = sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith('shake'))


@given(st.binary())
def test_messages_come_back(message: bytes) -> None:
    serializer = HMACSerializer(bytes, None, KEY)
    assert serializer.decode(serializer.encode(message)) == message


def test_the_digest_is_in_front_of_the_payload() -> None:
    data = HMACSerializer(str, None, KEY).encode('text')
    digest = hmac.new(KEY, b'"text"', 'sha512').digest()
    assert data == digest + b'"text"'


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_each_algorithm_of_hashlib_can_be_used(algorithm: str) -> None:
    serializer = HMACSerializer(str, None, KEY, algorithm)
    data = serializer.encode('text')
    assert data == hmac.new(KEY, b'"text"', algorithm).digest() + b'"text"'
    assert serializer.decode(data) == 'text'


@given(st.integers(min_value=0), st.integers(1, 255))
def test_every_changed_byte_is_found(place: int, change: int) -> None:
    serializer = HMACSerializer(str, None, KEY, 'sha256')
    data = bytearray(serializer.encode('text'))
    data[place % len(data)] ^= change
    with pytest.raises(DecodeError) as caught:
        serializer.decode(bytes(data))
    assert str(caught.value) == 'the message is corrupted or altered'
    assert isinstance(caught.value, ValueError)


@given(st.binary())
def test_what_is_not_signed_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match=r'^the message is corrupted or altered$'):
        HMACSerializer(bytes, None, KEY).decode(data)


def test_another_key_or_algorithm_is_refused() -> None:
    data = HMACSerializer(str, None, KEY).encode('text')
    for other in (HMACSerializer(str, None, b'x'), HMACSerializer(str, None, KEY, 'sha256')):
        with pytest.raises(DecodeError, match='corrupted or altered'):
            other.decode(data)


def test_a_signed_payload_may_still_be_broken() -> None:
    data = HMACSerializer(bytes, None, KEY).encode(b'"te')
    with pytest.raises(DecodeError, match='ends too early'):
        HMACSerializer(str, None, KEY).decode(data)


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(EncodeError, match='expected str, got int'):
        HMACSerializer[Any](str, None, KEY).encode(5)


@pytest.mark.parametrize(
    ('arguments', 'name'),
    [
        ({'key': 'text'}, 'key'),
        ({'key': b''}, 'key'),
        ({'key': None}, 'key'),
        ({'key': [KEY]}, 'key'),
        ({'hash_algorithm': 'sha513'}, 'hash_algorithm'),
        ({'hash_algorithm': ''}, 'hash_algorithm'),
        ({'hash_algorithm': 'shake_128'}, 'hash_algorithm'),
        ({'hash_algorithm': hashlib.sha256}, 'hash_algorithm'),
        ({'serializer': 'json'}, 'serializer'),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(DeclarationError, match=f'^{name} must ') as caught:
        HMACSerializer(str, **{'serializer': None, 'key': KEY, **arguments})
    assert 'only the tests' not in str(caught.value)
