"""What only shows in the long run, or with very many."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from .ledger import resident_memory
from .proxy import Proxy, Way
from .scale import SOAK, only_in_chaos
from .scene import ACK_WAIT, FORGOTTEN, HELD, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import walnats
    from walnats.types import ConnectedActors, ConnectedEvents

    from .scene import Scene

CLIENTS = 300
SILENCE = 2.0
"""Seconds without an answer after which these connections are given up."""
FEW = 20
"""How many more tasks and the like there may be by chance."""
GROWTH = 15
"""Megabytes by which memory may grow from the first quarter of the soak to its end."""


@only_in_chaos
async def test_300_clients_reconnecting_at_once(
    scene: Scene, server: walnats.EmbeddedServer
) -> None:
    """A third of them are workers."""
    async with contextlib.AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(scene.worker(server.url)) for _ in range(CLIENTS // 3)
        ]
        publishers = [
            await stack.enter_async_context(scene.publisher(server.url))
            for _ in range(CLIENTS - len(workers))
        ]
        connections = [
            *(worker.connection for worker in workers),
            *(publisher.connection for publisher in publishers),
        ]
        async with contextlib.AsyncExitStack() as listening:
            for worker in workers:
                await listening.enter_async_context(scene.listening(worker, max_jobs=2))
            async with contextlib.AsyncExitStack() as emitting:
                for publisher in publishers:
                    await emitting.enter_async_context(
                        scene.emitting(publisher, lanes=1, pause=0.5)
                    )
                for _ in range(5):
                    await scene.progress(1000)
                    await server.kill()
                    await asyncio.sleep(1)  # so that all of them have tried it in vain, too
                    await server.start()
                    await until(lambda: all(each.nc.is_connected for each in connections))
            await scene.finish(workers[0])
    scene.ledger.check(duplicates=5 * FORGOTTEN, stall=8, memory=150)


class Usage(NamedTuple):
    """What a process that runs for ever must not use more and more of."""

    memory: float
    tasks: int
    subscriptions: int
    waiting: int
    callbacks: int

    @classmethod
    def of(cls, *connected: ConnectedActors | ConnectedEvents) -> Usage:
        gc.collect()
        connections = [conn.connection for conn in connected]
        return cls(
            resident_memory(),
            len(asyncio.all_tasks()),
            sum(len(each.nc._subs) for each in connections),
            sum(len(each.inbox._waiting) + len(each.nc._pongs) for each in connections),
            sum(len(each._on_reconnect) + len(each._on_denied) for each in connections),
        )


class Troubles:
    """What may happen to the network and the broker, for a moment each."""

    def __init__(self, proxy: Proxy, server: walnats.EmbeddedServer) -> None:
        self.count = 0
        self._proxy = proxy
        self._server = server

    async def one(self) -> None:
        self.count += 1
        await random.choice(self._all())()

    def _all(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._cut, self._lose, self._hold, self._delay, self._close, self._kill]

    async def _cut(self) -> None:
        self._proxy.cut()

    async def _lose(self) -> None:
        self._proxy.lose(random.choice((Way.UP, Way.DOWN, Way.BOTH)))

    async def _hold(self) -> None:
        self._proxy.hold(random.choice((Way.UP, Way.DOWN, Way.BOTH)))
        await asyncio.sleep(random.uniform(0, 1.5 * SILENCE))
        self._proxy.release()

    async def _delay(self) -> None:
        self._proxy.delay = random.uniform(0, 0.5)
        await asyncio.sleep(random.uniform(0, 3))
        self._proxy.delay = 0.0

    async def _close(self) -> None:
        self._proxy.is_closed = True
        self._proxy.cut()
        await asyncio.sleep(random.uniform(0, 3))
        self._proxy.is_closed = False

    async def _kill(self) -> None:
        await self._server.kill()
        await asyncio.sleep(random.uniform(0, 1))
        await self._server.start()


@only_in_chaos
@pytest.mark.timeout(SOAK + 300)
async def test_soak_with_random_troubles(scene: Scene, server: walnats.EmbeddedServer) -> None:
    """Memory, tasks, subscriptions and what is waited for stay what they were."""
    began = time.monotonic()
    warm: Usage | None = None
    actor, ping_interval = scene.busy_actor(), SILENCE / 3
    async with (
        Proxy(server.url) as proxy,
        scene.playing(proxy.url, actor, pause=0.01, ping_interval=ping_interval) as connected,
    ):
        troubles = Troubles(proxy, server)
        while (passed := time.monotonic() - began) < SOAK:
            await troubles.one()
            await scene.progress(50)
            if warm is None and passed > SOAK / 4:
                warm = Usage.of(*connected)
        end = Usage.of(*connected)
    assert warm is not None
    assert end.memory <= warm.memory + GROWTH, (warm, end)
    assert all(last <= first + FEW for first, last in zip(warm[1:], end[1:], strict=True)), (
        warm,
        end,
    )
    scene.ledger.check(
        duplicates=troubles.count * (FORGOTTEN + HELD), stall=ACK_WAIT + SILENCE + 15, memory=60
    )
