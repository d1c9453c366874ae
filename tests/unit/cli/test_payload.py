"""Payloads as people see them."""

from __future__ import annotations

import pytest

from walnats.cli import _payload


@pytest.mark.parametrize('payload', [b'{"a":[1]}', b'null', b'1', b'"\xc3\xa9"', b' {} '])
def test_what_is_json(payload: bytes) -> None:
    assert _payload.is_json(payload)
    assert 'payload' in _payload.describe(payload)


@pytest.mark.parametrize(
    'payload',
    [b'', b'{', b'{} {}', b'NaN', b'"\xff"', b'\x89PNG', b'[' * 100_000 + b']' * 100_000],
    ids=['empty', 'open', 'two', 'nan', 'latin', 'binary', 'deep'],
)
def test_anything_else_is_shown_as_bytes(payload: bytes) -> None:
    assert not _payload.is_json(payload)
    assert _payload.describe(payload) == {'payload_hex': payload.hex()}
    start = f'00000000  {payload[:16].hex(" ")}' if payload else '(empty)'
    assert _payload.show(payload).startswith(start)
