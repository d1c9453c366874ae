"""Requests, answered by a program that knows nothing of walnats but the headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nats
import pytest
from nats.errors import TimeoutError as NatsTimeoutError

import walnats
from walnats import (
    DeclarationError,
    DeclarationTypeError,
    DecodeError,
    NotConfirmedError,
    RequestFailedError,
    RequestTimeoutError,
    StreamNotFoundError,
)

from .conftest import PATIENCE, Link, peer_on, settle, until, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from .conftest import Accounts, Peer

    Answer = Callable[[Client, Msg], Awaitable[None]]

pytestmark = pytest.mark.usefixtures('no_leaks')


@dataclass(frozen=True)
class Sum:
    a: int
    b: int


@dataclass(frozen=True)
class Total:
    value: int


SumEvent = walnats.types.EventWithResponse[Sum, Total]


def sum_event(name: str) -> SumEvent:
    storage = walnats.Storage(medium=walnats.Medium.MEMORY)
    return walnats.Event(name, Sum, storage=storage).with_response(Total)


async def add(nc: Client, message: Msg) -> None:
    """Answer as an actor does."""
    numbers = json.loads(message.data)
    total = json.dumps({'value': numbers['a'] + numbers['b']}).encode()
    await nc.publish((message.headers or {})['Walnats-Reply'], total)


@contextlib.asynccontextmanager
async def responder(nc: Client, event: SumEvent, answer: Answer) -> AsyncIterator[list[Msg]]:
    """Consume the event by plain nats-py. Gives what it has got."""
    got: list[Msg] = []
    consumer = await nc.jetstream().pull_subscribe(
        event.name, durable='responder', stream=event.stream_name
    )

    async def respond() -> None:
        while True:
            with contextlib.suppress(NatsTimeoutError):
                for message in await consumer.fetch(100, timeout=PATIENCE):
                    got.append(message)
                    await answer(nc, message)
                    await message.ack()

    responding = asyncio.create_task(respond())
    try:
        yield got
    finally:
        responding.cancel()
        await asyncio.wait({responding})
        await consumer.unsubscribe()


# --- Answered ----------------------------------------------------------------


async def test_the_answer_is_decoded(server_url: str, nc: Client, unique: str) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, add) as got:
            total = await conn.request(event, Sum(1, 2))
            assert total == Total(3)
            assert isinstance(total, Total)
            assert waiting(conn) == 0
        [message] = got
        assert set(message.headers or {}) == {'Nats-Msg-Id', 'Walnats-Reply'}


async def test_options_are_those_of_emit(server_url: str, nc: Client, unique: str) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, add) as got:
            await conn.request(
                event, Sum(1, 2), uid='u', trace_id='t', delay=1e-3, meta={'X-A': 'b'}, timeout=9
            )
        headers = got[0].headers or {}
        assert set(headers) == {
            *('Nats-Msg-Id', 'Walnats-Reply', 'Walnats-Trace', 'Walnats-Delay', 'X-A')
        }
        assert headers['Nats-Msg-Id'] == 'u'


async def test_a_regular_emit_to_the_same_event(server_url: str, nc: Client, unique: str) -> None:
    event = sum_event(unique)
    received: asyncio.Queue[Msg] = asyncio.Queue()

    async def note(_: Client, message: Msg) -> None:
        received.put_nowait(message)

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, note):
            await conn.emit(event, Sum(1, 2))
            await conn.emit(event, Sum(1, 2), sync=True)
            await conn.emit_many(event, [Sum(1, 2)])
            messages = [await asyncio.wait_for(received.get(), PATIENCE) for _ in range(3)]
    assert all('Walnats-Reply' not in (message.headers or {}) for message in messages)


async def test_second_answers_are_ignored(server_url: str, nc: Client, unique: str) -> None:
    event = sum_event(unique)

    async def add_twice(nc: Client, message: Msg) -> None:
        await add(nc, message)
        await nc.publish((message.headers or {})['Walnats-Reply'], b'{"value": -1}')

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, add_twice):
            for number in range(50):
                assert await conn.request(event, Sum(number, 1)) == Total(number + 1)
        assert waiting(conn) == 0


async def test_many_requests_at_once_over_one_subscription(accounts: Accounts) -> None:
    """200 of them, with answers in another order; the server tells what there is."""
    event = sum_event('allowed')
    pending: list[Msg] = []
    subscriptions: list[str] = []

    async def add_backwards(nc: Client, message: Msg) -> None:
        pending.append(message)
        if len(pending) == 200:
            subscriptions.extend(await accounts.subscriptions('requester'))
            for each in reversed(pending):
                await add(nc, each)

    async with (
        peer_on(accounts.url('all')) as peer,
        walnats.Events(event).connect(accounts.url('all'), name='requester') as conn,
    ):
        await conn.register()
        async with responder(peer.nc, event, add_backwards):
            totals = await asyncio.gather(
                *(conn.request(event, Sum(number, 1), timeout=20) for number in range(200))
            )
        assert totals == [Total(number + 1) for number in range(200)]
        assert waiting(conn) == 0
    assert len(subscriptions) == 1
    assert subscriptions[0].startswith('_INBOX.')


# --- Not answered, or badly --------------------------------------------------


async def test_the_actor_gave_up(server_url: str, nc: Client, unique: str) -> None:
    event = sum_event(unique)

    async def give_up(nc: Client, message: Msg) -> None:
        subject = (message.headers or {})['Walnats-Reply']
        await nc.publish(subject, b'', headers={'Walnats-Error': 'ValueError: too much'})

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, give_up):
            with pytest.raises(RequestFailedError) as caught:
                await conn.request(event, Sum(1, 2))
        assert caught.value.reason == 'ValueError: too much'
        assert f"event '{unique}'" in str(caught.value)
        assert 'ValueError: too much' in str(caught.value)
        async with responder(nc, event, add):
            assert await conn.request(event, Sum(1, 2)) == Total(3)


async def test_nobody_answers_in_time(server_url: str, peer: Peer, unique: str) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        answers: list[Msg] = []

        async def keep(_: Client, message: Msg) -> None:
            answers.append(message)

        async with responder(peer.nc, event, keep):
            with pytest.raises(RequestTimeoutError, match=r'within 0.2 s.*is stored') as caught:
                await conn.request(event, Sum(1, 2), timeout=0.2)
            assert isinstance(caught.value, TimeoutError)
            assert f"event '{unique}'" in str(caught.value)
            assert waiting(conn) == 0
            await until(lambda: bool(answers))
            # Too late: ignored, and not taken for the answer of the next one.
            await add(peer.nc, answers[0])
            await settle(peer.nc)
        async with responder(peer.nc, event, add):
            assert await conn.request(event, Sum(2, 3)) == Total(5)


async def test_a_uid_that_was_known_gets_no_answer(
    server_url: str, nc: Client, unique: str
) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, add):
            assert await conn.request(event, Sum(1, 2), uid='a') == Total(3)
            with pytest.raises(RequestTimeoutError, match='uid was known already'):
                await conn.request(event, Sum(1, 2), uid='a', timeout=0.2)


ANSWERS = [b'', b'nonsense', b'{"value": "x"}', b'{}', b'\xff', b'[' * 100_000]


@pytest.mark.parametrize('answer', ANSWERS, ids=lambda answer: repr(answer[:9]))
async def test_an_answer_that_cannot_be_decoded(
    server_url: str, nc: Client, unique: str, answer: bytes
) -> None:
    event = sum_event(unique)

    async def respond(nc: Client, message: Msg) -> None:
        await nc.publish((message.headers or {})['Walnats-Reply'], answer)

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        async with responder(nc, event, respond):
            with pytest.raises(DecodeError, match=f"event '{unique}'"):
                await conn.request(event, Sum(1, 2))
        await conn.emit(event, Sum(1, 2), sync=True)
        assert waiting(conn) == 0


# --- Not even stored ---------------------------------------------------------


async def test_no_stream(server_url: str, unique: str) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        async with asyncio.timeout(1):
            with pytest.raises(StreamNotFoundError, match=f"event '{unique}'"):
                await conn.request(event, Sum(1, 2))
        assert waiting(conn) == 0
        await conn.register()
        await conn.emit(event, Sum(1, 2), sync=True)


async def test_no_permission(accounts: Accounts) -> None:
    secret, allowed = sum_event('secret'), sum_event('allowed')
    events = walnats.Events(secret, allowed)
    async with events.connect(accounts.url('all')) as deployer:
        await deployer.register()
    async with events.connect(accounts.url('few')) as conn:
        async with asyncio.timeout(1):
            with pytest.raises(walnats.PermissionDeniedError) as caught:
                await conn.request(secret, Sum(1, 2))
        assert 'permissions violation for publish to "secret"' in str(caught.value)
        assert 'may have been stored' not in str(caught.value)
        assert waiting(conn) == 0
        await conn.emit(allowed, Sum(1, 2), sync=True)


async def test_no_jetstream(accounts: Accounts) -> None:
    event = sum_event('allowed')
    async with walnats.Events(event).connect(accounts.url('plain')) as conn:
        async with asyncio.timeout(1):
            with pytest.raises(walnats.JetStreamDisabledError):
                await conn.request(event, Sum(1, 2))


async def test_closed(server_url: str, unique: str) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
    with pytest.raises(walnats.ConnectionClosedError):
        await conn.request(event, Sum(1, 2))


async def test_closed_while_it_waits(server_url: str, unique: str) -> None:
    event = sum_event(unique)
    nc = await nats.connect(server_url)
    async with walnats.Events(event).connect(nc) as conn:
        await conn.register()
        received = nc.stats['in_msgs']
        requesting = asyncio.create_task(conn.request(event, Sum(1, 2), uid='a'))
        await until(lambda: nc.stats['in_msgs'] > received)  # it is stored
        await nc.close()
        with pytest.raises(NotConfirmedError, match="may have been stored, retry with uid 'a'"):
            await requesting


async def test_an_outage_in_the_middle(server: walnats.EmbeddedServer) -> None:
    """The message goes out when the connection is back, and is answered."""
    storage = walnats.Storage(retention=walnats.Retention.LIMITS)
    event = walnats.Event('sum', Sum, storage=storage).with_response(Total)
    link = Link()
    async with walnats.Events(event).connect(server.url, **link.options) as conn:
        await conn.register()
        await server.kill()
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
        requesting = asyncio.create_task(conn.request(event, Sum(1, 2), timeout=PATIENCE))
        await until(lambda: waiting(conn) == 2)
        await server.start()
        async with peer_on(server.url) as peer, responder(peer.nc, event, add) as got:
            assert await requesting == Total(3)
            assert len(got) == 1


async def test_an_outage_that_lasts_longer(server: walnats.EmbeddedServer) -> None:
    event = sum_event('sum')
    link = Link()
    async with walnats.Events(event).connect(server.url, **link.options) as conn:
        await conn.register()
        await server.kill()
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
        with pytest.raises(RequestTimeoutError, match='nor did the server say that it has stored'):
            await conn.request(event, Sum(1, 2), timeout=0.2)
        assert waiting(conn) == 0


# --- Refused, cancelled ------------------------------------------------------


async def test_an_event_without_response(server_url: str, unique: str) -> None:
    event: Any = walnats.Event(unique, Sum)
    async with walnats.Events(event).connect(server_url) as conn:
        with pytest.raises(DeclarationTypeError, match=r'has no response.*`with_response`'):
            await conn.request(event, Sum(1, 2))


BAD = [0, -1, float('nan'), float('inf'), None, '4', True]


@pytest.mark.parametrize('timeout', BAD)
async def test_a_bad_timeout(server_url: str, unique: str, timeout: Any) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        with pytest.raises(DeclarationError, match=f"event '{unique}': timeout must be a number"):
            await conn.request(event, Sum(1, 2), timeout=timeout)


async def test_cancelling_at_any_moment_leaves_nothing_behind(
    server_url: str, nc: Client, unique: str
) -> None:
    event = sum_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        before = asyncio.all_tasks()
        for steps in range(40):
            await cancel_after(steps, conn.request(event, Sum(1, 2)))
            assert waiting(conn) == 0
            assert asyncio.all_tasks() <= before
        async with responder(nc, event, add):
            for steps in range(40):
                await cancel_after(steps, conn.request(event, Sum(1, 2)))
                assert waiting(conn) == 0
            assert await conn.request(event, Sum(1, 2)) == Total(3)


async def cancel_after(steps: int, request: Coroutine[Any, Any, Total]) -> None:
    requesting = asyncio.create_task(request)
    for _ in range(steps):
        await asyncio.sleep(0)
    requesting.cancel()
    await asyncio.wait({requesting})
