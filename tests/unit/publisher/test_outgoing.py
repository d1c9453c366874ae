"""A message made ready to be sent: its exact size is known."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

import walnats
from walnats import MaxPayloadError
from walnats._publisher.outgoing import prepare

EVENT = walnats.Event('sized', bytes)
MAX_PAYLOAD = 2000

values = st.text('abc%~ ').filter(lambda value: value == value.strip())
metas = st.dictionaries(
    st.from_regex(r'X-[A-Za-z]{1,20}', fullmatch=True), values, max_size=5
).filter(lambda meta: len({name.lower() for name in meta}) == len(meta))
uids = st.none() | st.text('ab-', min_size=1)


def on_the_wire(payload: bytes, headers: dict[str, str] | None) -> bytes:
    """What counts for the server: as nats-py writes it."""
    if headers is None:
        return payload
    lines = ['NATS/1.0', *(f'{name}: {value}' for name, value in headers.items()), '']
    return ''.join(line + '\r\n' for line in lines).encode() + payload


def ready(payload: bytes, uid: str | None, meta: dict[str, str], most: int) -> bytes:
    return on_the_wire(*prepare(EVENT, payload, max_payload=most, uid=uid, meta=meta))


@given(payload=st.binary(max_size=300), uid=uids, meta=metas)
def test_the_largest_that_passes(payload: bytes, uid: str | None, meta: dict[str, str]) -> None:
    size = len(ready(payload, uid, meta, MAX_PAYLOAD * 10))
    assert len(ready(payload, uid, meta, size)) == size
    if size:
        with pytest.raises(MaxPayloadError, match=f"event 'sized': the message has {size} bytes"):
            ready(payload, uid, meta, size - 1)


@given(extra=st.integers(-50, 50))
def test_the_smaller_limit_counts(extra: int) -> None:
    limits = walnats.Limits(message_size=MAX_PAYLOAD)
    event = walnats.Event('sized', bytes, limits=limits)
    least = min(MAX_PAYLOAD, MAX_PAYLOAD + extra)
    prepare(event, bytes(least), max_payload=MAX_PAYLOAD + extra)
    with pytest.raises(MaxPayloadError, match=f'of the {"server" if extra < 0 else "event"} is'):
        prepare(event, bytes(least + 1), max_payload=MAX_PAYLOAD + extra)
