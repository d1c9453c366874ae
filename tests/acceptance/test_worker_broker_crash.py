"""The server is killed while a worker listens and a publisher emits: nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

import nats
import pytest

import walnats
from walnats.errors import WalnatsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nats.aio.client import Client

    from walnats.types import ConnectedEvents

EVENT: walnats.Event[int] = walnats.Event('number-drawn', int)


class Log:
    """What was acknowledged, and what was handled when."""

    def __init__(self) -> None:
        self.stored: set[int] = set()
        self.handled: dict[int, float] = {}

    async def handle(self, number: int) -> None:
        await asyncio.sleep(0.001)
        self.handled[number] = time.monotonic()

    def has_handled_since(self, moment: float) -> bool:
        return any(at > moment for at in self.handled.values())

    async def emit(self, conn: ConnectedEvents, start: int) -> None:
        for number in range(start, start + 1_000_000):
            with contextlib.suppress(WalnatsError):
                await conn.emit(EVENT, number, sync=True)
                self.stored.add(number)


@contextlib.asynccontextmanager
async def own_client(url: str, *, is_own: bool) -> AsyncIterator[Client | str]:
    """Give a URL, or a connection made with nats-py itself."""
    if not is_own:
        yield url
        return
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize('is_own', [False, True], ids=['by URL', 'passed connection'])
async def test_every_acknowledged_message_is_handled(*, is_own: bool) -> None:
    log = Log()
    actors = walnats.Actors(
        walnats.Actor('actor', EVENT, log.handle, ack_wait=1), dead_letters=None
    )
    async with (
        walnats.EmbeddedServer() as server,
        own_client(server.url, is_own=is_own) as target,
        actors.connect(target) as worker,
        walnats.Events(EVENT).connect(server.url) as events,
    ):
        await worker.register()
        tasks = [asyncio.create_task(worker.listen())]
        publishers = [asyncio.create_task(log.emit(events, n * 1_000_000)) for n in range(3)]
        for _ in range(2):
            await asyncio.sleep(0.4)
            await server.kill()
            await asyncio.sleep(0.1)
            await server.start()
            back = time.monotonic()
            await _until(partial(log.has_handled_since, back), 2)
        await asyncio.sleep(0.3)
        for publisher in publishers:
            publisher.cancel()
        await asyncio.gather(*publishers, return_exceptions=True)
        await _until(lambda: log.stored <= log.handled.keys(), 10)
        await worker.shutdown()
        await asyncio.gather(*tasks)
    assert len(log.stored) > 100


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
