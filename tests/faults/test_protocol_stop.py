"""Stopping while messages pour in: none is left to wait for `ack_wait`, and none runs twice."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from typing import TYPE_CHECKING

import nats
import pytest

import walnats

from .proxy import Proxy, Way
from .scene import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client

    from walnats.types import ConnectedActors

MESSAGES = 6_000
STEP = 600
ROUNDS = 4
SLOTS = 256
PATIENCE = 20.0
ACK_WAIT = 3 * PATIENCE
"""Whatever is left behind would be missed for longer than anybody waits here."""


async def shut_down(conn: ConnectedActors, listening: asyncio.Task[None]) -> None:
    await conn.shutdown(timeout=PATIENCE)
    await listening


async def cancel(conn: ConnectedActors, listening: asyncio.Task[None]) -> None:
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


class Flood:
    """An actor, and what it has handled."""

    def __init__(self, nc: Client, name: str) -> None:
        self.event = walnats.Event(name, int)
        self.actor = walnats.Actor(
            'actor', self.event, self._handle, ack_wait=ACK_WAIT, max_jobs=SLOTS
        )
        self.handled: list[int] = []
        self.on_handled: Callable[[], object] = lambda: None
        """Called with each message that was handled."""
        self._jetstream = nc.jetstream(timeout=PATIENCE)
        self._reached = asyncio.Event()
        self._goal = 0

    async def listen_until(
        self, conn: ConnectedActors, count: int, *, max_jobs: int = SLOTS
    ) -> asyncio.Task[None]:
        """Listen, and go on once so many were handled."""
        self._goal = count
        self._reached.clear()
        listening = asyncio.create_task(conn.listen(max_jobs=max_jobs))
        await self._reached.wait()
        return listening

    async def check_nothing_is_held(self) -> None:
        """Check that the server doesn't wait for a word about any message."""
        deadline, held = time.monotonic() + PATIENCE / 4, -1
        while held:  # it counts acknowledgements some time after it has got them
            assert time.monotonic() < deadline, f'{held} messages were left behind'
            info = await self._jetstream.consumer_info(self.event.stream_name, 'actor')
            held = info.num_ack_pending or 0

    async def _handle(self, number: int) -> None:
        self.handled.append(number)
        self.on_handled()
        if len(self.handled) >= self._goal:
            self._reached.set()


@pytest.fixture
def flood(nc: Client, unique: str) -> Flood:
    return Flood(nc, unique)


@pytest.mark.parametrize('stop', [shut_down, cancel], ids=['shut down', 'cancel'])
async def test_where_more_is_there_than_can_be_taken(
    server_url: str,
    flood: Flood,
    stop: Callable[[ConnectedActors, asyncio.Task[None]], Awaitable[None]],
) -> None:
    actors = walnats.Actors(flood.actor)
    async with actors.connect(server_url) as conn, asyncio.timeout(2 * PATIENCE):
        await conn.register()
        async with walnats.Events(flood.event).connect(conn) as events:
            await events.emit_many(flood.event, range(MESSAGES))
        while (count := len(flood.handled)) < MESSAGES:
            # Somewhere in the middle, between two reads of the socket or not.
            goal = min(count + random.randrange(1, STEP), MESSAGES)
            await stop(conn, await flood.listen_until(conn, goal))
            if stop is shut_down:
                await flood.check_nothing_is_held()
        await flood.check_nothing_is_held()
    assert sorted(flood.handled) == list(range(MESSAGES))


async def test_what_is_on_its_way_is_still_handled(server: walnats.EmbeddedServer) -> None:
    """The server hears of the messages and of the end at the same time."""
    nc = await nats.connect(server.url)
    flood = Flood(nc, 'created')
    registry = walnats.Actors(flood.actor)
    async with registry.connect(server.url) as conn, asyncio.timeout(2 * PATIENCE):
        await conn.register()
        for number in range(0, ROUNDS * STEP, STEP):
            await nc.publish('created', b'%d' % number)
            listening = await flood.listen_until(conn, len(flood.handled) + 1)
            os.kill(server.pid, signal.SIGSTOP)
            for further in range(1, STEP):
                await nc.publish('created', b'%d' % (number + further))
            await nc._flush_pending()
            stopping = asyncio.create_task(shut_down(conn, listening))
            await asyncio.sleep(0.3)  # until it has said so, to a server that doesn't listen
            os.kill(server.pid, signal.SIGCONT)
            await stopping
            await flood.check_nothing_is_held()
        while len(flood.handled) < ROUNDS * STEP:
            await shut_down(conn, await flood.listen_until(conn, len(flood.handled) + 1))
    await nc.close()
    assert sorted(flood.handled) == list(range(ROUNDS * STEP))


@pytest.mark.parametrize('is_passed', [False, True], ids=['own', 'passed'])
async def test_unsub_goes_in_front_of_the_ping(
    server_url: str, nc: Client, flood: Flood, *, is_passed: bool
) -> None:
    """Else the PONG says nothing: a message that comes between the two would be dropped."""
    async with Proxy(server_url) as proxy:
        client = await nats.connect(proxy.url) if is_passed else None
        async with walnats.Actors(flood.actor).connect(client or proxy.url) as conn:
            await conn.register()
            await nc.publish(flood.event.name, b'1')
            listening = await flood.listen_until(conn, 1)
            sent = proxy.overhear(Way.UP)
            await shut_down(conn, listening)
    commands = re.findall(rb'^(?:UNSUB|PING)\b', sent, re.MULTILINE)
    assert commands[:2] == [b'UNSUB', b'PING'], commands


async def test_what_was_asked_for_is_waited_for_before_the_end(
    server_url: str, nc: Client, flood: Flood
) -> None:
    """A server that is slow may have taken messages out for us: after UNSUB it would drop them."""
    async with Proxy(server_url) as proxy, walnats.Actors(flood.actor).connect(proxy.url) as conn:
        await conn.register()
        await nc.publish(flood.event.name, b'1')
        flood.on_handled = lambda: proxy.hold(Way.DOWN)
        sent = proxy.overhear(Way.UP)
        listening = await flood.listen_until(conn, 1, max_jobs=1)
        flood.on_handled = lambda: None
        await until(lambda: b'no_wait' in sent)
        await nc.publish(flood.event.name, b'2')
        stopping = asyncio.create_task(shut_down(conn, listening))
        await asyncio.sleep(0.3)  # until it would have said so
        assert b'UNSUB' not in sent, 'it ended before the server had answered'
        proxy.release()
        await stopping
        await flood.check_nothing_is_held()
    assert flood.handled == [1, 2]
