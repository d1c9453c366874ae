"""The table in the chapter on the publisher: what each way to emit does in each situation.

One test for each row, run once for each column: `emit`, `emit(sync=True)`, `emit_many`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import nats
import pytest
from tests.servers import stopped

import walnats
from walnats import (
    ConnectionClosedError,
    EmitManyError,
    JetStreamDisabledError,
    MaxPayloadError,
    NotConfirmedError,
    OutboundBufferLimitError,
    PermissionDeniedError,
    StreamFullError,
    StreamNotFoundError,
)
from walnats._jetstream import publish
from walnats._publisher import bulk
from walnats.types import EmitSummary

from .conftest import PATIENCE, Link, peer_on, until, waiting

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from walnats.types import BaseEvent, ConnectedEvents

    from .conftest import Accounts, Peer

    Logged = Callable[[], list[logging.LogRecord]]

pytestmark = [
    pytest.mark.usefixtures('no_leaks'),
    pytest.mark.parametrize('way', ['emit', 'sync', 'many']),
]

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS)
EVENT = walnats.Event('allowed', bytes, storage=KEPT)
SECRET = walnats.Event('secret', bytes, storage=KEPT)
EVENTS = walnats.Events(EVENT, SECRET)


async def emit(
    way: str, conn: ConnectedEvents, *messages: bytes, event: Any = EVENT, uid: str | None = None
) -> EmitSummary | None:
    """Emit the messages in one of the three ways."""
    if way == 'many':
        return await conn.emit_many(event, messages, uid=None if uid is None else lambda _: uid)
    for message in messages:
        await conn.emit(event, message, uid=uid, sync=way == 'sync')
    return None


async def fail(
    way: str, error: type[Exception], conn: ConnectedEvents, *messages: bytes, event: Any = EVENT
) -> Exception:
    """Emit what fails, and give the error of the message."""
    if way != 'many':
        with pytest.raises(error) as caught:
            await emit(way, conn, *messages, event=event)
        return caught.value
    with pytest.raises(EmitManyError) as many:
        await emit(way, conn, *messages, event=event)
    assert {type(failed.error) for failed in many.value.failed} == {error}
    return many.value.failed[0].error


def complaints(logged: Logged) -> list[str]:
    return [r.getMessage() for r in logged() if r.name == 'walnats.publisher' and r.levelno > 10]


async def lose(server: walnats.EmbeddedServer, link: Link) -> None:
    await server.kill()
    await asyncio.wait_for(link.lost.wait(), PATIENCE)


async def stored(server: walnats.EmbeddedServer, event: BaseEvent[Any, Any] = EVENT) -> list[bytes]:
    async with peer_on(server.url) as peer:
        return await peer.payloads(event)


async def test_connected(server: walnats.EmbeddedServer, way: str, logged: Logged) -> None:
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        assert await emit(way, conn, b'1', b'2') == (EmitSummary(2, 0) if way == 'many' else None)
        if way != 'emit':
            assert await stored(server) == [b'1', b'2']
    assert await stored(server) == [b'1', b'2']
    assert complaints(logged) == []


async def test_lost_and_soon_back(server: walnats.EmbeddedServer, way: str) -> None:
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        emitting = asyncio.create_task(emit(way, conn, b'1'))
        if way == 'emit':
            await emitting  # it's in the pending queue
        else:
            await until(lambda: waiting(conn) > 0)
            assert not emitting.done()
        await server.start()
        await emitting
        await asyncio.wait_for(link.back.wait(), PATIENCE)
        await conn.connection.flush()
    assert await stored(server) == [b'1']


async def test_lost_and_pending_queue_full(
    server: walnats.EmbeddedServer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link()
    async with EVENTS.connect(server.url, pending_size=1000, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        if way == 'emit':
            await fail(way, OutboundBufferLimitError, conn, bytes(1001))
        else:
            emitting = asyncio.create_task(emit(way, conn, bytes(1001)))
            await until(lambda: waiting(conn) > 0)
            with monkeypatch.context() as patch:
                patch.setattr(publish, 'DEADLINE', 0.1)
                await fail(way, OutboundBufferLimitError, conn, bytes(1002))
            assert not emitting.done()
            await server.start()
            await emitting
    assert waiting(conn) == 0
    if way != 'emit':
        assert await stored(server) == [bytes(1001)]


async def test_closed(server: walnats.EmbeddedServer, way: str) -> None:
    nc = await nats.connect(server.url)
    async with EVENTS.connect(nc) as conn:
        await conn.register()
        await emit(way, conn, b'1')
        await nc.close()
        with pytest.raises(ConnectionClosedError):
            await emit(way, conn, b'2')
    assert await stored(server) == [b'1']


async def test_closed_before_the_answer(server: walnats.EmbeddedServer, way: str) -> None:
    nc = await nats.connect(server.url)
    async with EVENTS.connect(nc) as conn:
        await conn.register()
        await emit(way, conn, b'1')
        with stopped(server.pid):
            emitting = asyncio.create_task(fail(way, NotConfirmedError, conn, b'2'))
            if way == 'emit':
                with pytest.raises(pytest.fail.Exception, match='DID NOT RAISE'):
                    await emitting
            else:
                await until(lambda: waiting(conn) > 0)
            await nc.close()
            if way != 'emit':
                assert 'may have been stored, retry with uid' in str(await emitting)


async def test_no_stream(server_url: str, unique: str, way: str, logged: Logged) -> None:
    event = walnats.Event(unique, bytes, storage=KEPT)
    async with walnats.Events(event).connect(server_url) as conn:
        async with asyncio.timeout(2):
            if way == 'emit':
                await emit(way, conn, b'1', b'2', event=event)
            else:
                await fail(way, StreamNotFoundError, conn, b'1', b'2', event=event)
    assert len(complaints(logged)) == (way == 'emit')


async def test_no_permission(accounts: Accounts, way: str, logged: Logged) -> None:
    async with EVENTS.connect(accounts.url('all')) as deployer:
        await deployer.register()
    async with EVENTS.connect(accounts.url('few')) as conn:
        async with asyncio.timeout(2):
            if way == 'emit':
                await emit(way, conn, b'1', b'2', event=SECRET)
            else:
                error = await fail(way, PermissionDeniedError, conn, b'1', b'2', event=SECRET)
                assert 'permissions violation for publish to "secret"' in str(error)
        await emit(way, conn, b'3')
    assert len(complaints(logged)) == (way == 'emit')


async def test_payload_too_big(server: walnats.EmbeddedServer, way: str) -> None:
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        most = conn.connection.nc.max_payload
        await fail(way, MaxPayloadError, conn, bytes(most + 1))
        if way == 'emit':
            await emit(way, conn, bytes(most))
        else:
            # The uid is a header, and counts too.
            await fail(way, MaxPayloadError, conn, bytes(most))
        await emit(way, conn, b'1')
        assert conn.connection.nc.stats['reconnects'] == 0
    assert (await stored(server))[-1] == b'1'


async def test_stream_full(
    server_url: str, peer: Peer, unique: str, way: str, logged: Logged
) -> None:
    storage = walnats.Storage(retention=walnats.Retention.LIMITS, discard=walnats.Discard.NEW)
    limits = walnats.Limits(messages=1)
    event = walnats.Event(unique, bytes, limits=limits, storage=storage)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await peer.js.publish(unique, b'1')
        if way == 'emit':
            await emit(way, conn, b'2', b'3', event=event)
        else:
            await fail(way, StreamFullError, conn, b'2', b'3', event=event)
    assert await peer.payloads(event) == [b'1']
    assert len(complaints(logged)) == (way == 'emit')


async def test_message_size_of_the_event(
    server_url: str, peer: Peer, unique: str, way: str
) -> None:
    limits = walnats.Limits(message_size=100)
    event = walnats.Event(unique, bytes, limits=limits, storage=KEPT)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await fail(way, MaxPayloadError, conn, bytes(101), event=event)
        await emit(way, conn, b'1', event=event)
    assert await peer.payloads(event) == [b'1']


async def test_message_size_of_the_stream(
    server_url: str, peer: Peer, unique: str, way: str, logged: Logged
) -> None:
    """It's smaller than the event says: somebody else has registered it."""
    await peer.js.add_stream(name=unique, subjects=[unique], max_msg_size=100)
    event = walnats.Event(unique, bytes, storage=KEPT)
    async with walnats.Events(event).connect(server_url) as conn:
        if way == 'emit':
            await emit(way, conn, bytes(101), b'1', event=event)
        else:
            await fail(way, MaxPayloadError, conn, bytes(101), event=event)
            await emit(way, conn, b'1', event=event)
    assert await peer.payloads(event) == [b'1']
    assert len(complaints(logged)) == (way == 'emit')


async def test_uid_known_already(server: walnats.EmbeddedServer, way: str) -> None:
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        await conn.emit(EVENT, b'1', uid='a', sync=True)
        summary = await emit(way, conn, b'2', uid='a')
        assert summary == (EmitSummary(0, 1) if way == 'many' else None)
    assert await stored(server) == [b'1']


async def test_no_answer(
    server: walnats.EmbeddedServer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, 'DEADLINE', 0.2)
    monkeypatch.setattr(bulk, '_ANSWER_TIMEOUT', 0.1)
    uid: str | None = None
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        with stopped(server.pid):
            if way == 'emit':
                await emit(way, conn, b'1')
            else:
                error = await fail(way, NotConfirmedError, conn, b'1')
                assert 'may have been stored, retry with uid' in str(error)
                assert isinstance(error, NotConfirmedError)
                uid = error.uid
        monkeypatch.undo()
        if uid is not None:
            await conn.emit(EVENT, b'1', uid=uid, sync=True)
    assert await stored(server) == [b'1']


async def test_no_jetstream(accounts: Accounts, way: str, logged: Logged) -> None:
    async with EVENTS.connect(accounts.url('plain')) as conn:
        async with asyncio.timeout(2):
            if way == 'emit':
                await emit(way, conn, b'1', b'2')
            else:
                await fail(way, JetStreamDisabledError, conn, b'1', b'2')
    assert len(complaints(logged)) == (way == 'emit')
