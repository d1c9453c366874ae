"""Payloads that are bytes already."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, EncodeError
from walnats.serializers import BytesSerializer


@given(st.binary())
def test_bytes_are_the_payload(message: bytes) -> None:
    serializer = BytesSerializer(bytes)
    assert serializer.encode(message) == message
    assert serializer.decode(message) == message


@pytest.mark.parametrize('message', ['text', 5, None, bytearray(b'x'), memoryview(b'x')])
def test_what_is_no_bytes_is_refused(message: Any) -> None:
    with pytest.raises(EncodeError, match=f'expected bytes, got {type(message).__name__}'):
        BytesSerializer(bytes).encode(message)


@pytest.mark.parametrize('schema', [str, bytearray, bytes | None])
def test_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(DeclarationError, match='BytesSerializer needs bytes'):
        BytesSerializer(schema)
