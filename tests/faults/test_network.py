"""The network between the client and the server: cut, silent, slow, or open one way only."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import nats.errors
import pytest

from .proxy import Proxy, Way
from .scale import FULL, only_in_chaos, pick
from .scene import ACK_WAIT, HELD, SHUTDOWN, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import walnats

    from .scene import Scene

# By default a connection is given up after 15 s of silence.
SILENCE: Any = {} if FULL else {'ping_interval': 0.3}
STALE = pick(0.9, 15.0)
SLOTS = 16


@pytest.fixture
async def proxy(server: walnats.EmbeddedServer) -> AsyncIterator[Proxy]:
    async with Proxy(server.url) as one:
        yield one


async def test_connections_cut(scene: Scene, proxy: Proxy) -> None:
    times = pick(3, 30)
    async with scene.playing(proxy.url, scene.busy_actor()):
        for _ in range(times):
            proxy.cut()
            await scene.progress()
    scene.ledger.check(duplicates=times * HELD, stall=5)


async def test_network_gone_for_a_while(scene: Scene, proxy: Proxy) -> None:
    """Each attempt to reconnect is cut, too."""
    async with scene.playing(proxy.url, scene.busy_actor()):
        began = time.monotonic()
        proxy.is_closed = True
        proxy.cut()
        connections = proxy.connections
        await until(lambda: proxy.connections > connections + pick(4, 20))
        proxy.is_closed = False
        outage = time.monotonic() - began
    # The next attempt is two seconds later at most.
    scene.ledger.check(duplicates=HELD, stall=outage + 3)


@pytest.mark.parametrize('ways', [Way.BOTH, Way.UP, Way.DOWN], ids=['both', 'up', 'down'])
async def test_connections_half_open(scene: Scene, proxy: Proxy, ways: Way) -> None:
    """What is sent is lost, both ways or one way, and nobody is told."""
    times = pick(1, 3)
    async with scene.playing(proxy.url, scene.busy_actor(), **SILENCE):
        for _ in range(times):
            proxy.lose(ways)
            await scene.progress()
    scene.ledger.check(duplicates=times * HELD, stall=STALE + 2 * ACK_WAIT + 3)


async def test_everything_delayed_by_2_s(scene: Scene, proxy: Proxy) -> None:
    """All goes on as before, but late. Who is told late is told twice, if `ack_wait` is short."""
    async with scene.playing(proxy.url, scene.busy_actor()):
        proxy.delay = pick(1.0, 2.0)  # each way
        await scene.progress(pick(3, 20))
        proxy.delay = 0.0
    assert proxy.connections == 2
    scene.ledger.check(duplicates=10 * HELD, stall=7)


async def test_pong_later_than_the_flush_time_out(scene: Scene, proxy: Proxy) -> None:
    """It would end the read loop of nats-py: nothing would come any more."""
    async with scene.playing(proxy.url, scene.busy_actor()) as (worker, publisher):
        for conn in (worker, publisher):
            proxy.hold(Way.DOWN)
            with pytest.raises(nats.errors.TimeoutError):
                await conn.connection.nc.flush(timeout=1)
            proxy.release()
            await scene.progress()
    assert proxy.connections == 2
    scene.ledger.check(duplicates=HELD, stall=3)


@only_in_chaos
async def test_worker_shut_down_while_nothing_comes(
    scene: Scene, server: walnats.EmbeddedServer, proxy: Proxy
) -> None:
    """It ends in time, and its connection is as good as new when the network is."""
    times = pick(1, 5)
    async with (
        scene.worker(proxy.url, scene.busy_actor(), ping_interval=60) as worker,
        scene.publisher(server.url) as publisher,
    ):
        async with scene.emitting(publisher, pause=0.05):
            for _ in range(times):
                async with scene.listening(worker):
                    await scene.progress()
                    proxy.hold(Way.DOWN)
                proxy.release()
        async with scene.listening(worker):
            await scene.finish(worker)
    assert proxy.connections == 1
    scene.ledger.check(duplicates=times * HELD, stall=SHUTDOWN + 10)


async def test_worker_with_jobs_shut_down_while_nothing_comes(
    scene: Scene, server: walnats.EmbeddedServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hands them back as soon as their time is over, and takes 5 s more at most.

    What it doesn't hand back would be missed for longer than that.
    """
    extra = pick(1.0, 5.0)
    monkeypatch.setattr('walnats._worker.run._HAND_BACK_TIMEOUT', extra)
    async with (
        scene.worker(proxy.url, scene.busy_actor(60, ack_wait=60)) as worker,
        scene.publisher(server.url) as publisher,
    ):
        listening = asyncio.create_task(worker.listen())
        await scene.emit(publisher, SLOTS)
        await until(lambda: scene.ledger.begun.count == SLOTS)
        proxy.hold(Way.DOWN)
        async with asyncio.timeout(0.5 + extra + 1):
            await worker.shutdown(timeout=0.5)
            await listening
        proxy.release()
    again = scene.actor(ack_wait=60)
    async with scene.worker(server.url, again) as worker, scene.listening(worker):
        await scene.finish(worker)
    scene.ledger.check(duplicates=0, stall=8)


@pytest.mark.parametrize('trouble', ['cut', 'half-open', 'broker killed'])
async def test_trouble_while_idle(
    scene: Scene, server: walnats.EmbeddedServer, proxy: Proxy, trouble: str
) -> None:
    """The worker waits for a first message by one long request, which is lost."""
    async with (
        scene.worker(proxy.url, scene.busy_actor(), ping_interval=0.3) as worker,
        scene.publisher(server.url) as publisher,
        scene.listening(worker),
    ):
        for _ in range(pick(1, 10)):
            await scene.emit(publisher, 10)
            await scene.finish(worker)
            match trouble:
                case 'cut':
                    proxy.cut()
                case 'half-open':
                    proxy.lose()
                case _:
                    await server.kill()
                    await server.start()
        await scene.emit(publisher, 10)
        await scene.finish(worker)
    scene.ledger.check(duplicates=0, stall=3)
