"""What must be the same on every version of nats-server; `make compat` runs it on five."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import walnats
from walnats import Actor, Actors, Event, Events, Limits, Retention, Storage

if TYPE_CHECKING:
    from nats.aio.client import Client

WANTED = os.environ.get('WALNATS_COMPAT')
"""The version under test. Without it, it's the one that is installed."""


async def test_version(nc: Client) -> None:
    version = nc.connected_server_version
    found = f'{version.major}.{version.minor}.{version.patch}'
    assert found == (WANTED or found)


async def test_from_emitted_to_settled(server_url: str, unique: str, nc: Client) -> None:
    """Registered, emitted, repeated, delayed, failed, retried, given up on: nothing is left."""
    handled: list[str] = []
    failed: list[str] = []

    def handle(message: str) -> None:
        if message == 'fails once' and message not in failed:
            failed.append(message)
            raise ZeroDivisionError
        if message == 'is refused':
            raise walnats.GiveUp('it is refused')
        handled.append(message)

    event = Event(unique, str)
    actor = Actor('actor', event, handle, retry_delay=(0.05,))
    async with Actors(actor, dead_letters=None).connect(server_url) as worker:
        await worker.register()
        async with Events(event).connect(worker) as publisher:
            await publisher.register()
            for _ in range(2):
                await publisher.emit(event, 'once', uid='1', sync=True)
            await publisher.emit(event, 'fails once', sync=True)
            await publisher.emit(event, 'is refused', sync=True)
            await publisher.emit(event, 'is late', delay=0.1, sync=True)
        while len(handled) < 3:
            await worker.listen(burst=True, poll_delay=0.2)
    assert sorted(handled) == ['fails once', 'is late', 'once']
    info = await nc.jetstream().stream_info(unique)
    assert info.state.messages == 0
    consumer = await nc.jetstream().consumer_info(unique, 'actor')
    assert (consumer.num_ack_pending, consumer.num_pending) == (0, 0)


async def test_many_messages(server_url: str, unique: str) -> None:
    handled: list[int] = []
    event = Event(unique, int)
    actor = Actor('actor', event, handled.append)
    async with Actors(actor, dead_letters=None).connect(server_url) as worker:
        await worker.register()
        async with Events(event).connect(worker) as publisher:
            for number in range(1000):
                await publisher.emit(event, number)
            await publisher.emit(event, 1000, sync=True)
        await worker.listen(burst=True)
    assert sorted(handled) == list(range(1001))


async def test_settings_come_back_as_they_were_sent(server_url: str, unique: str) -> None:
    """Else every `register` would change something again."""
    event = Event(
        unique,
        str,
        description='Something happened.',
        limits=Limits(age=60, consumers=3, messages=100, bytes=10_000, message_size=1000),
        storage=Storage(retention=Retention.LIMITS, compression=True, dedup_window=5),
    )
    async with Events(event).connect(server_url) as publisher:
        await publisher.register()
        await publisher.register(create=False, update=False)


async def test_what_is_stored_survives_a_crash() -> None:
    handled: list[str] = []
    event = Event('created', str)
    actor = Actor('actor', event, handled.append)
    async with walnats.EmbeddedServer() as server, Actors(actor).connect(server.url) as worker:
        await worker.register()
        async with Events(event).connect(worker) as publisher:
            await publisher.emit(event, 'before', sync=True)
            await server.kill()
            await server.start()
            await publisher.emit(event, 'after', sync=True)
        await worker.listen(burst=True)
    assert sorted(handled) == ['after', 'before']
