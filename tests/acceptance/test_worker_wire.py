"""The wire format, with a peer that knows NATS and nothing of walnats."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import walnats

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg


@dataclass(frozen=True)
class User:
    id: int
    name: str


ADA = User(1, 'Ada')
PAYLOAD = b'{"id":1,"name":"Ada"}'


@pytest.fixture
def event(unique: str) -> walnats.Event[User]:
    return walnats.Event(f'{unique}.created', User)


async def test_what_a_plain_client_publishes_is_handled(
    nc: Client, server_url: str, event: walnats.Event[User]
) -> None:
    got: asyncio.Queue[User] = asyncio.Queue()
    actors = walnats.Actors(walnats.Actor('greet', event, got.put), dead_letters=None)
    async with actors.connect(server_url) as conn:
        await conn.register()
        await nc.publish(event.name, PAYLOAD)
        await nc.jetstream().publish(event.name, PAYLOAD, headers={'X-Any': 'thing'})
        await nc.flush()
        await conn.listen(burst=True)
    assert [got.get_nowait(), got.get_nowait()] == [ADA, ADA]


async def test_what_is_for_one_actor_alone_reaches_only_that_one(
    nc: Client, server_url: str, event: walnats.Event[User]
) -> None:
    got: list[str] = []
    actors = walnats.Actors(
        walnats.Actor('one', event, lambda _: got.append('one')),
        walnats.Actor('other', event, lambda _: got.append('other')),
        dead_letters=None,
    )
    async with actors.connect(server_url) as conn:
        await conn.register()
        await nc.jetstream().publish(f'walnats.to.{event.stream_name}.one', PAYLOAD)
        await conn.listen(burst=True, poll_delay=0.3)
    assert got == ['one']


async def test_what_emit_sends_to_a_subscriber(
    nc: Client, server_url: str, event: walnats.Event[User]
) -> None:
    subscription = await nc.subscribe(event.name)
    await nc.flush()
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit(event, ADA)
        await conn.emit(event, ADA)
        await conn.emit(event, ADA, uid='u-1', trace_id='t-1', meta={'X-Any': 'thing'})
        before = time.time()
        await conn.emit(event, ADA, delay=60)
    messages: list[Msg] = [await subscription.next_msg(5) for _ in range(4)]
    assert [msg.subject for msg in messages] == [event.name] * 4
    assert [msg.data for msg in messages] == [PAYLOAD] * 4
    assert [msg.headers for msg in messages[:2]] == [None, None]
    assert messages[1].reply == ''
    assert messages[2].headers == {
        'Nats-Msg-Id': 'u-1',
        'Walnats-Trace': 't-1',
        'X-Any': 'thing',
    }
    headers = messages[3].headers
    assert headers is not None
    assert list(headers) == ['Walnats-Delay']
    assert before + 60 - 0.001 <= float(headers['Walnats-Delay']) < before + 65


async def test_what_emit_stores_for_a_consumer_of_anyone(
    nc: Client, server_url: str, event: walnats.Event[User]
) -> None:
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        jetstream = nc.jetstream()
        consumer = await jetstream.pull_subscribe(event.name, 'foreign', event.stream_name)
        await conn.emit(event, ADA)
        await conn.emit(event, ADA, uid='u-1', sync=True)
        await conn.emit(event, ADA, uid='u-1', sync=True)
    plain, with_uid = await consumer.fetch(2, timeout=5)
    assert (plain.subject, plain.data, plain.headers) == (event.name, PAYLOAD, None)
    assert (with_uid.data, with_uid.headers) == (PAYLOAD, {'Nats-Msg-Id': 'u-1'})


async def test_emit_to_handle(server_url: str, event: walnats.Event[User]) -> None:
    got: asyncio.Queue[User] = asyncio.Queue()
    actors = walnats.Actors(walnats.Actor('greet', event, got.put), dead_letters=None)
    async with (
        actors.connect(server_url) as worker,
        walnats.Events(event).connect(server_url) as conn,
    ):
        await worker.register()
        await conn.register()
        task = asyncio.create_task(worker.listen())
        await conn.emit(event, ADA)
        assert await asyncio.wait_for(got.get(), 5) == ADA
        await worker.shutdown()
        await task
