"""Encryption."""

import pickle
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import FernetSerializer

KEY, NEW_KEY, OTHER_KEY = (Fernet.generate_key() for _ in range(3))
TOKEN = FernetSerializer(str, None, KEY).encode('text')


@given(st.binary())
def test_messages_come_back(message: bytes) -> None:
    serializer = FernetSerializer(bytes, None, KEY)
    data = serializer.encode(message)
    assert serializer.decode(data) == message
    assert Fernet(KEY).decrypt(data) == message


def test_a_peer_may_encrypt_it() -> None:
    data = Fernet(KEY).encrypt(b'"text"')
    assert FernetSerializer(str, None, KEY.decode()).decode(data) == 'text'


def test_keys_rotate() -> None:
    both = FernetSerializer(str, None, [NEW_KEY, KEY])
    assert both.decode(TOKEN) == 'text'
    assert FernetSerializer(str, None, NEW_KEY).decode(both.encode('text')) == 'text'
    with pytest.raises(InvalidToken):
        FernetSerializer(str, None, KEY).decode(both.encode('text'))


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'"text"',
        b'\xff\xfe',
        TOKEN[:-1],
        TOKEN[:-4],
        TOKEN + b'x',
        TOKEN + TOKEN,
        TOKEN + b'=',
        TOKEN + b'\n',
        b' ' + TOKEN,
        b'A' + TOKEN[1:],
        Fernet(OTHER_KEY).encrypt(b'"text"'),
    ],
)
def test_a_forged_token_is_both_a_decode_error_and_cryptographys(data: bytes) -> None:
    with pytest.raises(InvalidToken) as caught:
        FernetSerializer(str, None, [NEW_KEY, KEY]).decode(data)
    assert isinstance(caught.value, DecodeError)
    assert isinstance(caught.value, ValueError)
    assert 'forged, altered or encrypted with another key' in str(caught.value)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_every_changed_byte_is_found(place: int, change: int) -> None:
    data = bytearray(TOKEN)
    data[place % len(data)] ^= change
    with pytest.raises(InvalidToken):
        FernetSerializer(str, None, KEY).decode(bytes(data))


def test_the_error_survives_a_trip_to_another_process() -> None:
    with pytest.raises(InvalidToken) as caught:
        FernetSerializer(str, None, KEY).decode(b'')
    caught.value.add_note('a note')
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 -- it's our own
    assert (type(copy), str(copy)) == (type(caught.value), str(caught.value))


def test_an_encrypted_payload_may_still_be_broken() -> None:
    with pytest.raises(DecodeError, match='ends too early') as caught:
        FernetSerializer(str, None, KEY).decode(Fernet(KEY).encrypt(b'"te'))
    assert type(caught.value) is DecodeError


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(EncodeError, match='expected str, got int'):
        FernetSerializer[Any](str, None, KEY).encode(5)


@pytest.mark.parametrize(
    'key',
    [b'', 'short', b'x' * 44, 'é' * 44, [], [KEY, b'short'], [KEY, None], None, 5, {KEY}],
)
def test_a_wrong_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(DeclarationError, match='key must ') as caught:
        FernetSerializer(str, None, key)
    assert 'short' not in str(caught.value)
    assert KEY.decode() not in str(caught.value)


def test_a_wrong_serializer_is_named() -> None:
    with pytest.raises(DeclarationError, match=r'^serializer must be'):
        FernetSerializer(str, 'json', KEY)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
