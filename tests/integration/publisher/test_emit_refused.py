"""What `emit` refuses before anything is sent; and that the connection doesn't mind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import nats.errors
import pytest

import walnats
from walnats import (
    DeclarationError,
    DeclarationTypeError,
    EncodeError,
    HeaderError,
    HeaderTypeError,
    MaxPayloadError,
    NotRegisteredError,
)

from .conftest import peer_on

if TYPE_CHECKING:
    from walnats.types import ConnectedEvents

    from .conftest import Peer

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS, medium=walnats.Medium.MEMORY)


@dataclass(frozen=True)
class Order:
    number: int


# --- The event and the message -----------------------------------------------


async def check_refused(
    conn: ConnectedEvents, error: type[Exception], text: str, event: Any, message: Any
) -> None:
    """Check that whatever emits refuses it."""
    for emit in (conn.emit, partial(conn.emit, sync=True), conn.request):
        with pytest.raises(error, match=text):
            await emit(event, message)


async def test_an_event_that_is_not_registered(server_url: str, peer: Peer, unique: str) -> None:
    event = walnats.Event(unique, Order, storage=KEPT)
    other = walnats.Event('other', Order).with_response(int)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await check_refused(conn, NotRegisteredError, f"'other'.*{unique}", other, Order(1))
        with pytest.raises(LookupError, match="'other'"):
            await conn.emit_many(other, [Order(1)])
        await conn.emit(event, Order(1), sync=True)
    assert await peer.count(event) == 1


OTHERWISE: list[dict[str, Any]] = [
    {'schema': int},
    {'description': 'placed'},
    {'limits': walnats.Limits(age=60)},
    {'storage': walnats.Storage()},
]


@pytest.mark.parametrize('change', OTHERWISE, ids=lambda change: next(iter(change)))
async def test_an_event_that_is_declared_otherwise(
    server_url: str, unique: str, change: dict[str, Any]
) -> None:
    event = walnats.Event(unique, Order, storage=KEPT)
    other = walnats.Event(**{'name': unique, 'schema': Order, 'storage': KEPT, **change})
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        message = 1 if 'schema' in change else Order(1)
        text = f"'{unique}' is declared otherwise"
        await check_refused(conn, NotRegisteredError, text, other, message)
        with pytest.raises(NotRegisteredError, match=text):
            await conn.emit_many(other, [message])


async def test_an_event_that_is_declared_twice_in_the_same_way(
    server_url: str, peer: Peer, unique: str
) -> None:
    event, again = (walnats.Event(unique, Order, storage=KEPT) for _ in range(2))
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(again, Order(1))
        await conn.emit(again, Order(2), sync=True)
        await conn.emit_many(again, [Order(3)])
    assert await peer.count(event) == 3


@pytest.mark.parametrize('event', ['a-string', None, Order(1), walnats.Event])
async def test_what_is_no_event(server_url: str, unique: str, event: Any) -> None:
    async with walnats.Events(walnats.Event(unique, Order)).connect(server_url) as conn:
        await check_refused(conn, DeclarationTypeError, 'is not an event', event, Order(1))
        with pytest.raises(TypeError, match='is not an event'):
            await conn.emit_many(event, [])


@pytest.mark.parametrize('message', [1, None, 'text', {'number': 1}, Order])
async def test_a_message_of_another_class(
    server_url: str, peer: Peer, unique: str, message: Any
) -> None:
    event = walnats.Event(unique, Order, storage=KEPT).with_response(int)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await check_refused(conn, EncodeError, f"event '{unique}'.*Order", event, message)
        with pytest.raises(TypeError):
            await conn.emit(event, message)
        await conn.emit(event, Order(1), sync=True)
    assert await peer.count(event) == 1


# --- The other arguments -----------------------------------------------------

BAD_HEADERS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'uid': ''}, HeaderError, 'uid must not be empty'),
    ({'uid': 7}, HeaderTypeError, 'uid must be a string, not int'),
    ({'uid': 'a\nb'}, HeaderError, 'uid must have no line separator'),
    ({'uid': 'é'}, HeaderError, 'uid must have no non-ASCII'),
    ({'trace_id': ' a'}, HeaderError, 'trace_id must not start or end with a space'),
    ({'trace_id': 'a\0'}, HeaderError, 'trace_id must have no NUL'),
    ({'meta': {'X-A': None}}, HeaderTypeError, "header 'X-A': its value must be a string"),
    ({'meta': {'X-A': '\ud800'}}, HeaderError, "header 'X-A': its value must have no surrogate"),
    ({'meta': {'X A': 'b'}}, HeaderError, "header name 'X A' must have only ASCII"),
    ({'meta': {1: 'b'}}, HeaderTypeError, 'header name must be a string, not int'),
    ({'meta': {'Nats-Msg-Id': 'b'}}, HeaderError, "use the argument 'uid'"),
    ({'meta': {'nats-ttl': '1s'}}, HeaderError, 'the NATS server obeys these'),
    ({'meta': {'status': '503'}}, HeaderError, 'is reserved'),
    ({'meta': {'Walnats-Reply': 'x'}}, HeaderError, 'is reserved'),
    ({'meta': 'X-A: b'}, HeaderTypeError, 'meta must be a CloudEvent or a dict'),
    ({'delay': '1'}, DeclarationTypeError, "event '.*': delay must be a number of seconds"),
    ({'delay': True}, DeclarationTypeError, "event '.*': delay must be a number of seconds"),
    ({'delay': -1}, DeclarationError, "event '.*': delay must be from 0"),
    ({'delay': float('nan')}, DeclarationError, "event '.*': delay must be from 0"),
    ({'delay': float('inf')}, DeclarationError, "event '.*': delay must be from 0"),
    ({'delay': 10**11}, DeclarationError, "event '.*': delay must be from 0"),
    ({'delay': 10**400}, DeclarationError, "event '.*': delay must be from 0"),
]


@pytest.mark.parametrize(('options', 'error', 'text'), BAD_HEADERS)
async def test_arguments_that_cannot_be_sent(
    server_url: str,
    peer: Peer,
    unique: str,
    *,
    options: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    event = walnats.Event(unique, Order, storage=KEPT).with_response(int)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for emit in (conn.emit, partial(conn.emit, sync=True), conn.request):
            with pytest.raises(error, match=text):
                await emit(event, Order(1), **options)
        await conn.emit(event, Order(2), sync=True)
    assert await peer.payloads(event) == [b'{"number":2}']


# --- Sizes -------------------------------------------------------------------

MAX_PAYLOAD = 5000


def size_of(headers: dict[str, str]) -> int:
    lines = ['NATS/1.0', *(f'{name}: {value}' for name, value in headers.items()), '']
    return sum(len(line.encode()) + 2 for line in lines)


async def check_boundary(
    conn: ConnectedEvents, peer: Peer, event: walnats.Event[bytes], most: int, **options: Any
) -> MaxPayloadError:
    """Emit the largest payload that passes, and one byte more."""
    before = await peer.count(event)
    with pytest.raises(MaxPayloadError) as caught:
        await conn.emit(event, bytes(most + 1), **options)
    await conn.emit(event, bytes(most), **options)
    await conn.connection.flush()
    assert await peer.count(event) == before + 1
    assert conn.connection.nc.stats['reconnects'] == 0
    assert f"event '{event.name}'" in str(caught.value)
    assert isinstance(caught.value, (nats.errors.MaxPayloadError, ValueError))
    return caught.value


async def test_max_payload_of_the_server() -> None:
    event = walnats.Event('sized', bytes, storage=KEPT)
    async with (
        walnats.EmbeddedServer(config=f'max_payload: {MAX_PAYLOAD}') as server,
        walnats.Events(event).connect(server.url) as conn,
        peer_on(server.url) as peer,
    ):
        await conn.register()
        error = await check_boundary(conn, peer, event, MAX_PAYLOAD)
        assert f'the message has {MAX_PAYLOAD + 1} bytes' in str(error)
        room = MAX_PAYLOAD - size_of({'Nats-Msg-Id': 'a'})
        await check_boundary(conn, peer, event, room, uid='a')
        room = MAX_PAYLOAD - size_of({'X-A': 'b' * 1000, 'X-C': '', 'Nats-Msg-Id': 'b'})
        await check_boundary(
            conn, peer, event, room, uid='b', meta={'X-A': 'b' * 1000, 'X-C': ''}, sync=True
        )


async def test_headers_alone_may_be_too_big() -> None:
    event = walnats.Event('sized', bytes, storage=KEPT)
    async with (
        walnats.EmbeddedServer(config=f'max_payload: {MAX_PAYLOAD}') as server,
        walnats.Events(event).connect(server.url) as conn,
    ):
        await conn.register()
        for sync in (False, True):
            with pytest.raises(MaxPayloadError):
                await conn.emit(event, b'', meta={'X-A': 'b' * MAX_PAYLOAD}, sync=sync)
        await conn.emit(event, b'', sync=True)


async def test_message_size_of_the_event(server_url: str, peer: Peer, unique: str) -> None:
    limits = walnats.Limits(message_size=2000)
    event = walnats.Event(unique, bytes, limits=limits, storage=KEPT)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        error = await check_boundary(conn, peer, event, 2000)
        assert '`limits.message_size` of the event is 2000' in str(error)
        room = 2000 - size_of({'X-A': 'b', 'Nats-Msg-Id': 'a'})
        error = await check_boundary(conn, peer, event, room, uid='a', meta={'X-A': 'b'}, sync=True)
        assert '`limits.message_size` of the event is 2000' in str(error)


async def test_the_stream_takes_less_than_the_event_says(
    server_url: str, peer: Peer, unique: str
) -> None:
    declared = walnats.Event(unique, bytes, limits=walnats.Limits(message_size=200), storage=KEPT)
    await peer.js.add_stream(name=unique, subjects=[unique], max_msg_size=100, storage='memory')
    headers = size_of({'Nats-Msg-Id': 'a'})
    async with walnats.Events(declared).connect(server_url) as conn:
        with pytest.raises(MaxPayloadError, match=f"stream '{unique}'.*`limits.message_size`"):
            await conn.emit(declared, bytes(101 - headers), uid='a', sync=True)
        await conn.emit(declared, bytes(100 - headers), uid='a', sync=True)
    assert [len(payload) for payload in await peer.payloads(declared)] == [100 - headers]


async def test_request_counts_the_inbox_for_the_answer(server_url: str, unique: str) -> None:
    event = walnats.Event(
        unique, bytes, limits=walnats.Limits(message_size=60), storage=KEPT
    ).with_response(int)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with pytest.raises(MaxPayloadError, match='with its headers'):
            await conn.request(event, b'')
        await conn.emit(event, b'')
