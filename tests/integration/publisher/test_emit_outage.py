"""Emitting while the server is gone, is back, keeps silent, or will never be back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import nats
import pytest
from nats import errors
from tests.servers import stopped

import walnats
from walnats import ConnectionClosedError, NotConfirmedError, OutboundBufferLimitError
from walnats._jetstream import publish

from .conftest import PATIENCE, Link, peer_on, until, waiting

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from nats.aio.client import Client

    from .conftest import Accounts

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS)
EVENT = walnats.Event('placed', int, storage=KEPT)
EVENTS = walnats.Events(EVENT)
ALLOWED = walnats.Event('allowed', int, storage=KEPT)
ALLOWED_EVENTS = walnats.Events(ALLOWED)


async def lose(server: walnats.EmbeddedServer, link: Link) -> None:
    """Kill the server, and wait until the client knows."""
    await server.kill()
    await asyncio.wait_for(link.lost.wait(), PATIENCE)


async def passes(seconds: float) -> None:
    """Let the time go by after which something would go wrong."""
    now = asyncio.get_running_loop().time
    end = now() + seconds
    await until(lambda: now() > end)


async def numbers(server: walnats.EmbeddedServer) -> list[int]:
    """What the stream has."""
    async with peer_on(server.url) as peer:
        return [int(payload) for payload in await peer.payloads(EVENT)]


# --- Lost, and back ----------------------------------------------------------


async def test_what_is_emitted_during_an_outage_is_sent_after_it(
    server: walnats.EmbeddedServer,
) -> None:
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        await conn.emit(EVENT, 0, sync=True)
        await lose(server, link)
        for number in range(1, 11):
            await conn.emit(EVENT, number)
        await server.start()
        await conn.emit(EVENT, 11, sync=True)
    assert sorted(await numbers(server)) == list(range(12))


async def test_the_very_first_emit_may_come_during_an_outage(
    server: walnats.EmbeddedServer,
) -> None:
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        await conn.emit(EVENT, 1)
        await server.start()
        await conn.emit(EVENT, 2, sync=True)
    assert sorted(await numbers(server)) == [1, 2]


async def test_a_sync_emit_waits_for_the_server_to_come_back(
    server: walnats.EmbeddedServer,
) -> None:
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        emitting = asyncio.create_task(conn.emit(EVENT, 1, sync=True))
        await until(lambda: waiting(conn) == 1)
        assert not emitting.done()
        await server.start()
        await emitting
        assert waiting(conn) == 0
    assert await numbers(server) == [1]


async def test_sync_emits_across_a_crash_are_stored_once(server: walnats.EmbeddedServer) -> None:
    """The server is killed while it stores, so some answers are lost and some messages are."""
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        count = iter(range(10_000))
        stored: list[int] = []
        enough = asyncio.Event()

        async def emit_until_enough() -> None:
            while not enough.is_set():
                number = next(count)
                await conn.emit(EVENT, number, sync=True)
                stored.append(number)

        emitting = [asyncio.create_task(emit_until_enough()) for _ in range(50)]
        for seen in (100, 200):
            await until(lambda seen=seen: len(stored) >= seen)  # type: ignore[misc]
            await server.kill()
            before = len(stored)
            await server.start()
            await until(lambda before=before: len(stored) > before)  # type: ignore[misc]
        enough.set()
        await asyncio.gather(*emitting)
        assert waiting(conn) == 0
    assert sorted(await numbers(server)) == sorted(stored) == list(range(len(stored)))


async def test_what_was_on_its_way_is_sent_again_at_once(
    server: walnats.EmbeddedServer,
) -> None:
    """The server has got it, or not, and says nothing before it dies."""
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        await conn.emit(EVENT, 0, sync=True)
        with stopped(server.pid):
            emitting = asyncio.create_task(conn.emit(EVENT, 1, sync=True))
            await until(lambda: waiting(conn) == 1)
            await conn.connection.nc._flush_pending(force_flush=True)
            await server.kill()
        await server.start()
        async with asyncio.timeout(publish._ATTEMPT_TIMEOUT - 1):
            await emitting
    assert await numbers(server) == [0, 1]


async def test_an_outage_is_no_missing_stream(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not ask for the stream is patient, from the moment on that there is none."""
    monkeypatch.setattr(publish, '_NO_STREAM_PATIENCE', 0.5)
    link = Link()
    async with ALLOWED_EVENTS.connect(accounts.url('mute'), **link.options) as conn:
        await lose(accounts.server, link)
        emitting = asyncio.create_task(conn.emit(ALLOWED, 1, sync=True))
        await passes(0.6)
        received = conn.connection.nc.stats['in_msgs']
        await accounts.server.start()
        await until(lambda: conn.connection.nc.stats['in_msgs'] > received)
        async with ALLOWED_EVENTS.connect(accounts.url('all')) as deployer:
            await deployer.register()
        await emitting


async def test_one_copy_of_a_message_is_queued_however_long_the_outage(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, '_ATTEMPT_TIMEOUT', 0.01)
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        nc = conn.connection.nc
        emitting = asyncio.create_task(conn.emit(EVENT, 1, sync=True))
        await until(lambda: nc.pending_data_size > 0)
        queued = nc.pending_data_size
        await passes(0.2)
        assert nc.pending_data_size == queued
        await server.start()
        await emitting
    assert await numbers(server) == [1]


# --- The pending queue is full -----------------------------------------------


@pytest.mark.parametrize('first', [True, False])
async def test_without_a_pending_queue_emitting_fails_during_an_outage(
    server: walnats.EmbeddedServer, *, first: bool
) -> None:
    lost = asyncio.Event()

    async def on_lost() -> None:
        lost.set()

    async def ignore(_: Exception) -> None:
        pass

    nc = await nats.connect(
        server.url,
        pending_size=0,
        disconnected_cb=on_lost,
        error_cb=ignore,
        reconnect_time_wait=0.01,
        max_reconnect_attempts=-1,
    )
    async with EVENTS.connect(nc) as conn:
        await conn.register()
        if not first:
            await conn.emit(EVENT, 0)
            await conn.emit(EVENT, 0, sync=True)
        await server.kill()
        await asyncio.wait_for(lost.wait(), PATIENCE)
        for _ in range(2):
            with pytest.raises(errors.OutboundBufferLimitError) as caught:
                await conn.emit(EVENT, 1)
            assert isinstance(caught.value, OutboundBufferLimitError)
            assert f"'{EVENT.name}'" in str(caught.value)
        assert waiting(conn) == 0
        await server.start()
        await conn.emit(EVENT, 2, sync=True)
        await conn.emit(EVENT, 3)
        await conn.emit(EVENT, 4, sync=True)
    assert (await numbers(server))[-3:] == [2, 3, 4]


async def test_a_full_pending_queue(server: walnats.EmbeddedServer) -> None:
    link = Link()
    event = walnats.Event('big', bytes, storage=KEPT)
    async with walnats.Events(event).connect(
        server.url, pending_size=10_000, **link.options
    ) as conn:
        await conn.register()
        await lose(server, link)
        for _ in range(4):
            await conn.emit(event, bytes(2000))
        with pytest.raises(OutboundBufferLimitError, match=r"'big'.*`pending_size`"):
            await conn.emit(event, bytes(2000))
        # What has to be stored waits for room.
        emitting = asyncio.create_task(conn.emit(event, bytes(2001), sync=True))
        await until(lambda: waiting(conn) > 0)
        await server.start()
        await emitting
        async with peer_on(server.url) as peer:
            sizes = [len(payload) for payload in await peer.payloads(event)]
    assert sorted(sizes) == [2000] * 4 + [2001]


async def test_a_sync_emit_that_never_gets_into_the_queue(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link()
    async with EVENTS.connect(server.url, pending_size=0, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        monkeypatch.setattr(publish, 'DEADLINE', 0.2)
        with pytest.raises(OutboundBufferLimitError):
            await conn.emit(EVENT, 1, sync=True)
        assert waiting(conn) == 0
        monkeypatch.undo()
        await server.start()
        await conn.emit(EVENT, 2, sync=True)
    assert await numbers(server) == [2]


# --- No answer ---------------------------------------------------------------


@pytest.mark.parametrize('uid', [None, 'own'])
async def test_a_server_that_keeps_silent(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch, uid: str | None
) -> None:
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        await conn.emit(EVENT, 0, sync=True)
        monkeypatch.setattr(publish, 'DEADLINE', 0.3)
        with stopped(server.pid):
            with pytest.raises(NotConfirmedError) as caught:
                await conn.emit(EVENT, 1, uid=uid, sync=True)
            assert waiting(conn) == 0
        monkeypatch.undo()
        error = caught.value
        assert isinstance(error, TimeoutError)
        assert error.uid == (uid or error.uid)
        assert f"event '{EVENT.name}'" in str(error)
        assert f'the message may have been stored, retry with uid {error.uid!r}' in str(error)
        for _ in range(2):
            await conn.emit(EVENT, 1, uid=error.uid, sync=True)
        await conn.emit(EVENT, 2)
    assert await numbers(server) == [0, 1, 2]


async def test_a_late_answer_is_enough(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is sent again and again until the server wakes up."""
    monkeypatch.setattr(publish, '_ATTEMPT_TIMEOUT', 0.05)
    monkeypatch.setattr(publish, '_ASK_TIMEOUT', 0.05)
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        with stopped(server.pid):
            emitting = asyncio.create_task(conn.emit(EVENT, 1, sync=True))
            sent = conn.connection.nc.stats['out_msgs']
            await until(lambda: conn.connection.nc.stats['out_msgs'] > sent + 4)
        await emitting
        await conn.emit(EVENT, 2, sync=True)
    assert await numbers(server) == [1, 2]


# --- Closed ------------------------------------------------------------------


async def test_a_closed_connection(server_url: str) -> None:
    nc = await nats.connect(server_url)
    async with EVENTS.connect(nc) as conn:
        await nc.close()
        for sync in (False, True):
            for _ in range(2):
                with pytest.raises(errors.ConnectionClosedError) as caught:
                    await conn.emit(EVENT, 1, sync=sync)
                assert isinstance(caught.value, ConnectionClosedError)
                assert 'connect again' in str(caught.value)
        assert waiting(conn) == 0


async def test_a_connection_that_was_used_and_is_closed(server_url: str, unique: str) -> None:
    event = walnats.Event(unique, int, storage=KEPT)
    nc = await nats.connect(server_url)
    async with walnats.Events(event).connect(nc) as conn:
        await conn.register()
        await conn.emit(event, 1)
        await conn.emit(event, 1, sync=True)
        await nc.close()
        for sync in (False, True):
            with pytest.raises(ConnectionClosedError, match=f"'{unique}'"):
                await conn.emit(event, 1, sync=sync)


@pytest.mark.parametrize('sync', [False, True])
async def test_a_context_that_is_over(server_url: str, nc: Client, *, sync: bool) -> None:
    async with EVENTS.connect(server_url) as conn:
        pass
    async with EVENTS.connect(nc, close=False) as kept:
        pass
    for each in (conn, kept):
        with pytest.raises(ConnectionClosedError, match='connect'):
            await each.emit(EVENT, 1, sync=sync)


async def test_closed_while_a_sync_emit_waits(server: walnats.EmbeddedServer) -> None:
    nc = await nats.connect(server.url)
    async with EVENTS.connect(nc) as conn:
        await conn.register()
        await conn.emit(EVENT, 0, sync=True)
        with stopped(server.pid):
            emitting = asyncio.create_task(conn.emit(EVENT, 1, uid='a', sync=True))
            await until(lambda: waiting(conn) == 1)
            await nc.close()
            with pytest.raises(NotConfirmedError, match=r"closed.*may have been stored.*uid 'a'"):
                await emitting


async def test_closed_between_two_attempts(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one can't be sent; the first one may have been stored."""
    monkeypatch.setattr(publish, '_ATTEMPT_TIMEOUT', 0.1)
    nc = await nats.connect(server.url)
    async with EVENTS.connect(nc) as conn:
        await conn.register()
        with stopped(server.pid):
            emitting = asyncio.create_task(conn.emit(EVENT, 1, uid='a', sync=True))
            await until(lambda: waiting(conn) == 2)  # it asks if there is a stream
            await nc.close()
            with pytest.raises(NotConfirmedError, match=r"closed.*may have been stored.*uid 'a'"):
                await emitting


async def test_the_context_ends_while_a_sync_emit_waits(server: walnats.EmbeddedServer) -> None:
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        await lose(server, link)
        emitting = asyncio.create_task(conn.emit(EVENT, 1, uid='a', sync=True))
        await until(lambda: waiting(conn) == 1)
    with pytest.raises(NotConfirmedError, match="retry with uid 'a'"):
        await emitting


# --- What is logged of an event without a stream -----------------------------


async def test_a_lost_answer_to_the_first_emit_is_asked_for_again(
    server: walnats.EmbeddedServer, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    """The missing stream is noticed, although the first answer is lost with the server."""
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.connection.inbox.open('created')
        await conn.connection.flush()
        with stopped(server.pid):
            await conn.emit(EVENT, 1)
            await conn.connection.nc._flush_pending(force_flush=True)
            await server.kill()
            await asyncio.wait_for(link.lost.wait(), PATIENCE)
        await server.start()
        await asyncio.wait_for(link.back.wait(), PATIENCE)
        await conn.emit(EVENT, 2)
        await conn.emit(EVENT, 3)
    complaints = [r.getMessage() for r in logged() if r.name == 'walnats.publisher']
    assert len(complaints) == 1
    assert f"there is no stream '{EVENT.name}'" in complaints[0]


async def test_asking_again_does_not_complain_again(
    server: walnats.EmbeddedServer, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    link = Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await lose(server, link)
        await conn.emit(EVENT, 1)
        await server.start()
        await asyncio.wait_for(link.back.wait(), PATIENCE)
        for number in (2, 3):
            await conn.emit(EVENT, number)
            await until(lambda: waiting(conn) == 0)
    assert len([record for record in logged() if record.name == 'walnats.publisher']) == 1
