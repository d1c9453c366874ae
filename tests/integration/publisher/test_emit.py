"""Emitting one message: what goes over the wire, for each argument."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import walnats
from walnats._context import CURRENT_HEADERS

from .conftest import PATIENCE, peer_on, until, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Peer

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS, medium=walnats.Medium.MEMORY)
ON_DISK = walnats.Storage(retention=walnats.Retention.LIMITS)
PLACED = walnats.CloudEvent('id-1', '/orders', 'placed')


@dataclass(frozen=True)
class Order:
    number: int


def order_event(name: str) -> walnats.Event[Order]:
    return walnats.Event(name, Order, storage=KEPT)


# --- On the wire -------------------------------------------------------------


async def test_a_core_subscriber_gets_the_bytes_of_the_serializer(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        subscription = await peer.listen(unique)
        for number in range(2):
            await conn.emit(event, Order(number))
            message = await subscription.next_msg(timeout=PATIENCE)
            assert message.subject == unique
            assert message.data == b'{"number":%d}' % number
            assert message.headers is None
            # The first one asks if it's stored, in the background.
            assert (message.reply != '') == (number == 0)


async def test_the_stream_keeps_the_bytes_without_headers(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for number in range(3):
            await conn.emit(event, Order(number))
    stored = [await peer.js.get_msg(event.stream_name, seq) for seq in (1, 2, 3)]
    assert [message.data for message in stored] == [b'{"number":%d}' % n for n in range(3)]
    assert [message.headers for message in stored] == [None] * 3
    assert {message.subject for message in stored} == {unique}


async def test_messages_are_sent_in_order(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await asyncio.gather(*(conn.emit(event, Order(number)) for number in range(100)))
        await conn.emit(event, Order(100), sync=True)
    assert await peer.payloads(event) == [b'{"number":%d}' % number for number in range(101)]


async def test_dots_in_the_name(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(f'{unique}.placed')
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), sync=True)
    [message] = await peer.stored(event)
    assert message.subject == f'{unique}.placed'


async def test_any_arguments_together(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(
            event, Order(1), uid='u', trace_id='t', delay=60, meta={'X-A': 'b'}, sync=True
        )
    [message] = await peer.stored(event)
    assert set(message.headers or {}) == {'Nats-Msg-Id', 'Walnats-Trace', 'Walnats-Delay', 'X-A'}


async def test_nothing_is_logged_while_all_goes_well(
    server_url: str, unique: str, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1))
        await conn.emit(event, Order(2), sync=True)
        await conn.emit_many(event, [Order(3)])
    assert logged() == []


# --- uid ---------------------------------------------------------------------


@pytest.mark.parametrize('sync', [False, True])
async def test_a_uid_is_stored_once(
    server_url: str, peer: Peer, unique: str, *, sync: bool
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for number, uid in enumerate('aabab'):
            await conn.emit(event, Order(number), uid=uid, sync=sync)
    stored = await peer.stored(event)
    assert [message.data for message in stored] == [b'{"number":0}', b'{"number":2}']
    assert [message.headers for message in stored] == [{'Nats-Msg-Id': 'a'}, {'Nats-Msg-Id': 'b'}]


async def test_a_duplicate_is_logged_at_debug_level(
    server_url: str, unique: str, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), uid='a', sync=True)
        assert logged() == []
        await conn.emit(event, Order(1), uid='a', sync=True)
    [record] = logged()
    assert record.getMessage() == 'duplicate message'
    assert record.levelno == logging.DEBUG
    assert record.name.startswith('walnats.')
    assert (vars(record)['event'], vars(record)['uid']) == (unique, 'a')


@pytest.mark.parametrize('sync', [False, True])
async def test_the_id_of_a_cloud_event_is_the_uid(
    server_url: str, peer: Peer, unique: str, *, sync: bool
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), meta=PLACED, sync=sync)
        await conn.emit(event, Order(2), meta=PLACED, sync=sync)
    [message] = await peer.stored(event)
    assert message.headers == {**PLACED.as_headers(), 'Nats-Msg-Id': 'id-1'}


async def test_a_uid_goes_before_the_id_of_a_cloud_event(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), meta=PLACED, uid='own', trace_id='trace', sync=True)
    [message] = await peer.stored(event)
    expected = {**PLACED.as_headers(), 'Nats-Msg-Id': 'own', 'Walnats-Trace': 'trace'}
    assert message.headers == expected


async def test_sync_makes_a_uid_for_each_message(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for _ in range(3):
            await conn.emit(event, Order(1), sync=True)
    uids = [(message.headers or {})['Nats-Msg-Id'] for message in await peer.stored(event)]
    assert len(set(uids)) == 3


# --- Other headers -----------------------------------------------------------


async def test_trace_id(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), trace_id='request 7')
    [message] = await peer.stored(event)
    assert message.headers == {'Walnats-Trace': 'request 7'}


@pytest.mark.parametrize('delay', [0.5, 60, 10**9])
async def test_delay_is_the_moment_until_which_it_is_held_back(
    server_url: str, peer: Peer, unique: str, delay: float
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        before = time.time()
        await conn.emit(event, Order(1), delay=delay)
        after = time.time()
    [message] = await peer.stored(event)
    [(name, due)] = (message.headers or {}).items()
    assert name == 'Walnats-Delay'
    assert before - 1e-5 <= float(due) - delay <= after + 1e-5
    assert due.replace('.', '', 1).isdecimal()


@pytest.mark.parametrize('delay', [0, 0.0, None])
async def test_no_delay_gives_no_header(
    server_url: str, peer: Peer, unique: str, delay: float | None
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), delay=delay)
    [message] = await peer.stored(event)
    assert message.headers is None


async def test_the_dict_of_the_caller_never_changes(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    meta = {'X-A': 'b'}
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), meta=meta)
        await conn.emit(event, Order(2), meta=meta, uid='a', trace_id='b', delay=60)
        await conn.emit(event, Order(3), meta=meta, sync=True)
        await conn.emit_many(event, [Order(4), Order(5)], meta=meta, delay=60)
    assert meta == {'X-A': 'b'}
    headers = [message.headers or {} for message in await peer.stored(event)]
    assert len(headers) == 5
    assert all(each['X-A'] == 'b' for each in headers)


async def test_an_empty_dict_is_no_headers(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), meta={})
    [message] = await peer.stored(event)
    assert message.headers is None


async def test_the_expected_stream_may_be_given(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, Order(1), meta={'Nats-Expected-Stream': unique}, sync=True)
        with pytest.raises(walnats.JetStreamError, match='expected stream') as caught:
            await conn.emit(event, Order(2), meta={'Nats-Expected-Stream': 'other'}, sync=True)
    assert f"event '{unique}': the message is not stored" in str(caught.value)
    assert await peer.count(event) == 1


# --- Traces ------------------------------------------------------------------

JOB = {'Walnats-Trace': 'of-the-job', 'traceparent': f'00-{"a" * 32}-{"b" * 16}-01', 'X-A': 'b'}


async def emit_in_job(url: str, event: walnats.Event[Order], **options: Any) -> None:
    async with walnats.Events(event).connect(url) as conn:
        await conn.register()
        token = CURRENT_HEADERS.set(JOB)
        try:
            await conn.emit(event, Order(1), **options)
        finally:
            CURRENT_HEADERS.reset(token)
        await conn.emit(event, Order(2))


async def test_the_trace_of_the_job_is_inherited(server_url: str, peer: Peer, unique: str) -> None:
    event = order_event(unique)
    await emit_in_job(server_url, event)
    inside, outside = await peer.stored(event)
    assert inside.headers == {name: JOB[name] for name in ('Walnats-Trace', 'traceparent')}
    assert outside.headers is None


async def test_a_trace_that_is_given_goes_before_the_one_of_the_job(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    own = f'00-{"c" * 32}-{"d" * 16}-01'
    await emit_in_job(server_url, event, trace_id='own', meta={'traceparent': own})
    inside, _ = await peer.stored(event)
    assert inside.headers == {'Walnats-Trace': 'own', 'traceparent': own}


async def test_emit_many_inherits_the_trace_of_the_job(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        token = CURRENT_HEADERS.set(JOB)
        try:
            await conn.emit_many(event, [Order(1), Order(2)], uid=str)
        finally:
            CURRENT_HEADERS.reset(token)
    for message in await peer.stored(event):
        assert (message.headers or {})['Walnats-Trace'] == 'of-the-job'


async def test_the_current_span_is_the_trace_context(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = order_event(unique)
    expected: dict[str, str] = {}
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with TracerProvider().get_tracer('test').start_as_current_span('emit'):
            TraceContextTextMapPropagator().inject(expected)
            await conn.emit(event, Order(1))
        await conn.emit(event, Order(2))
    inside, outside = await peer.stored(event)
    assert inside.headers == expected != {}
    assert outside.headers is None


# --- Cancelled ---------------------------------------------------------------


async def test_cancelling_a_sync_emit_leaves_nothing_behind(
    server: walnats.EmbeddedServer,
) -> None:
    event = walnats.Event('cancelled', Order, storage=ON_DISK)
    async with walnats.Events(event).connect(server.url) as conn:
        await conn.register()
        await server.stop()
        emitting = asyncio.create_task(conn.emit(event, Order(1), sync=True))
        await until(lambda: waiting(conn) == 1)
        emitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await emitting
        assert waiting(conn) == 0
        await server.start()
        await conn.emit(event, Order(2), uid='a', sync=True)
        async with peer_on(server.url) as peer:
            assert (await peer.payloads(event))[-1] == b'{"number":2}'


async def test_cancelling_at_any_moment_leaves_nothing_behind(server_url: str, unique: str) -> None:
    event = order_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for steps in range(30):
            emitting = asyncio.create_task(conn.emit(event, Order(1), sync=True))
            for _ in range(steps):
                await asyncio.sleep(0)
            emitting.cancel()
            await asyncio.wait({emitting})
            assert waiting(conn) == 0
        await conn.emit(event, Order(2), sync=True)
