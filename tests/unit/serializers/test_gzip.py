"""Compression."""

import gzip
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import BytesSerializer, GZipSerializer, MessagePackSerializer


@given(st.binary())
def test_messages_come_back(message: bytes) -> None:
    serializer = GZipSerializer(bytes, None)
    assert serializer.decode(serializer.encode(message)) == message


@pytest.mark.parametrize('level', range(10))
def test_peers_can_unpack_each_level(level: int) -> None:
    message = b'flight ' * 1000
    assert gzip.decompress(GZipSerializer(bytes, None, level).encode(message)) == message


def test_a_higher_level_makes_it_smaller() -> None:
    message = bytes(range(256)) * 100
    sizes = [len(GZipSerializer(bytes, None, level).encode(message)) for level in (0, 1, 9)]
    assert sizes == sorted(sizes, reverse=True)


def test_equal_messages_have_equal_payloads() -> None:
    serializer = GZipSerializer(str, None)
    assert serializer.encode('a') == serializer.encode('a')
    assert serializer.encode('a')[4:8] == b'\0\0\0\0'


def test_it_wraps_the_serializer_that_it_is_given() -> None:
    inner = MessagePackSerializer(dict[str, int])
    serializer = GZipSerializer(dict[str, int], inner)
    assert gzip.decompress(serializer.encode({'a': 1})) == inner.encode({'a': 1})


def test_wrappers_can_be_nested() -> None:
    serializer = GZipSerializer(str, GZipSerializer(str, None), 1)
    assert serializer.decode(serializer.encode('text')) == 'text'


@pytest.mark.parametrize('size', [9, 10, 11])
def test_the_cap_is_exact(size: int) -> None:
    serializer = GZipSerializer(bytes, None, max_size=10)
    data = gzip.compress(bytes(size))
    if size <= 10:
        assert serializer.decode(data) == bytes(size)
        assert serializer.decode(serializer.encode(bytes(size))) == bytes(size)
    else:
        with pytest.raises(DecodeError, match='unpacks to more than max_size=10 bytes'):
            serializer.decode(data)
        with pytest.raises(EncodeError, match='has 11 bytes, more than max_size=10'):
            serializer.encode(bytes(size))


def test_a_bomb_is_an_error_and_not_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b''.join(packer.compress(bytes(2**20)) for _ in range(512)) + packer.flush()
    assert len(bomb) < 2**20
    serializer = GZipSerializer(bytes, None, max_size=2**20)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match='max_size'):
            serializer.decode(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_bomb_of_512_mb_is_an_error_by_default() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b''.join(packer.compress(bytes(2**20)) for _ in range(512)) + packer.flush()
    with pytest.raises(DecodeError, match='max_size=67108864'):
        GZipSerializer(bytes, None).decode(bomb)


PACKED = gzip.compress(b'"text"', mtime=0)


@pytest.mark.parametrize(
    ('data', 'reason', 'position'),
    [
        (b'', 'ends too early', 0),
        (b'"text"', 'no gzip', None),
        (PACKED[:-1], 'ends too early', len(PACKED) - 1),
        (PACKED[:5], 'ends too early', 5),
        (PACKED + b'x', 'goes on after the end', len(PACKED)),
        (PACKED + PACKED, 'goes on after the end', len(PACKED)),
        (PACKED[:-8] + b'\0' * 8, 'damaged', None),
        (zlib.compress(b'"text"'), 'no gzip', None),
        (gzip.compress(b'"te'), 'ends too early', 3),
        (gzip.compress(b'5'), 'expected `str`, got `int`', None),
    ],
)
def test_a_broken_payload_is_a_decode_error(data: bytes, reason: str, position: int | None) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        GZipSerializer(str, None).decode(data)
    assert type(caught.value) is DecodeError
    assert caught.value.position == position


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(EncodeError, match='expected str, got int'):
        GZipSerializer[Any](str, None).encode(5)


@pytest.mark.parametrize(
    ('arguments', 'name'),
    [
        ({'level': 10}, 'level'),
        ({'level': -1}, 'level'),
        ({'level': 5.0}, 'level'),
        ({'level': True}, 'level'),
        ({'level': None}, 'level'),
        ({'max_size': 0}, 'max_size'),
        ({'max_size': 2**80}, 'max_size'),
        ({'max_size': '5'}, 'max_size'),
        ({'serializer': BytesSerializer}, 'serializer'),
        ({'serializer': 'json'}, 'serializer'),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(DeclarationError, match=rf'^(GZipSerializer: )?{name} must be '):
        GZipSerializer(str, **{'serializer': None, **arguments})


def test_a_schema_that_nothing_fits_is_refused() -> None:
    with pytest.raises(LookupError, match='complex'):
        GZipSerializer(complex, None)
