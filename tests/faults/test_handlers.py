"""What is the user's own: handlers that are slow, callbacks that raise, a clock that is set."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

import walnats
from walnats.middlewares import Middleware

from .scale import pick
from .scene import FORGOTTEN, until

if TYPE_CHECKING:
    from .scene import Scene

HOUR = 3600.0


async def test_slow_handler_with_a_backlog_of_200000(scene: Scene) -> None:
    """The worker holds what it works on, not what there is: its memory stays what it was."""
    backlog = pick(10_000, 200_000)
    is_slow = asyncio.Event()

    async def handle(number: int) -> None:
        scene.ledger.begin(number)
        if not is_slow.is_set():
            await asyncio.sleep(0.05)
        scene.ledger.handle(number)

    scene.padding = pick(5_000, 1_000)
    async with (
        walnats.EmbeddedServer(config='jetstream {}') as server,  # which needn't sync each of them
        scene.publisher(server.url) as publisher,
        scene.worker(server.url, scene.actor(handle)) as worker,
    ):
        await scene.emit_many(publisher, range(backlog))
        async with scene.listening(worker):
            await scene.reach(pick(200, 2_000))
            started = scene.ledger.begun.count - scene.ledger.handled.count
            info = await worker.connection.nc.jetstream().consumer_info('number', 'actor')
            assert started <= 16
            assert (info.num_ack_pending or 0) <= 16 + 2
            is_slow.set()
            await scene.finish(worker, seconds=200)
    scene.ledger.check(duplicates=0, stall=3, memory=30)


class Misbehaving(Middleware):
    """Hooks that all raise."""

    async def on_start(self, ctx: Any) -> None:
        raise LookupError('start')

    def on_success(self, ctx: Any) -> None:
        raise LookupError('success')

    def on_failure(self, ctx: Any) -> None:
        raise SystemExit('failure')


async def test_user_callbacks_raising(
    scene: Scene, server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the connection while the broker is killed, hooks, `retry_delay`, the handler."""
    times = pick(2, 10)
    monkeypatch.setattr('walnats._worker.retry._FALLBACK_DELAY', pick(0.2, 4.0))
    errors = itertools.cycle([ValueError, asyncio.CancelledError, SystemExit, KeyboardInterrupt])
    called: set[str] = set()

    def failing(name: str, *, arguments: int) -> Any:
        async def fail() -> None:
            called.add(name)
            raise ZeroDivisionError(name)

        async def fail_with(_: Exception) -> None:
            await fail()

        return fail_with if arguments else fail

    def fail_delay(attempt: int, error: BaseException) -> float:
        called.add('retry_delay')
        raise ZeroDivisionError('retry_delay')

    def handle(number: int) -> None:
        scene.ledger.begin(number)
        if number % 50 == 0 and scene.ledger.begun[number] == 1:
            raise next(errors)
        scene.ledger.handle(number)

    names = ['error_cb', 'disconnected_cb', 'reconnected_cb', 'closed_cb']
    options = {name: failing(name, arguments=name == 'error_cb') for name in names}
    actor = scene.actor(handle, retry_delay=fail_delay, middlewares=[Misbehaving()])
    async with scene.playing(server.url, actor, **options):
        for _ in range(times):
            await scene.progress(100)
            called.discard('error_cb')
            await server.kill()
            await until(lambda: 'error_cb' in called)
            await server.start()
        await scene.progress(100)
    assert called == {*names, 'retry_delay'}
    scene.ledger.check(duplicates=times * FORGOTTEN, stall=6)


class WallClock:
    """The wall clock of this process, which can be set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        real = time.time
        patch.setattr(time, 'time', lambda: real() + self.offset)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


@pytest.mark.parametrize('step', [HOUR, -HOUR], ids=['ahead', 'back'])
async def test_wall_clock_stepped(
    scene: Scene, server: walnats.EmbeddedServer, wall_clock: WallClock, step: float
) -> None:
    """What is emitted is handled as if nothing had happened.

    A message that is held back while the clock is set comes as much later as that was set back.
    """

    def handle(number: int) -> None:
        scene.ledger.begin(number)
        if number % 20 == 0 and scene.ledger.begun[number] == 1:
            raise ValueError('retried after a while')
        scene.ledger.handle(number)

    actor = scene.actor(handle, retry_delay=(0.1,))
    async with scene.playing(server.url, actor) as (_, publisher):
        for _ in range(pick(2, 20)):
            wall_clock.offset += step
            delayed = await scene.emit(publisher, 1, delay=0.2)
            await until(scene.ledger.handled.__getitem__, delayed)
            await scene.progress(100)
    scene.ledger.check(duplicates=0, stall=3)


@pytest.mark.parametrize('step', [HOUR, -HOUR], ids=['ahead', 'back'])
async def test_wall_clock_stepped_under_a_clock(
    scene: Scene, server: walnats.EmbeddedServer, wall_clock: WallClock, step: float
) -> None:
    """Ticks go on with the new time: they're not put off by an hour, nor are hours made up for."""
    event = walnats.Event('ticked', datetime)
    clock = walnats.Clock(event, period=0.1)
    ticks: list[float] = []

    def handle(moment: datetime) -> None:
        scene.ledger.acknowledge(len(ticks))
        scene.ledger.handle(len(ticks))
        ticks.append(moment.timestamp())

    actors = walnats.Actors(walnats.Actor('actor', event, handle))
    async with (
        actors.connect(server.url) as worker,
        walnats.Events(event).connect(server.url) as publisher,
    ):
        await worker.register()
        async with scene.listening(worker):
            running = asyncio.create_task(clock.run(publisher))
            for _ in range(2):
                await until(lambda count: len(ticks) > count, len(ticks) + 2)
                wall_clock.offset += step
                await until(lambda count: len(ticks) > count, len(ticks) + 3)
                assert abs(ticks[-1] - time.time()) < 1
            running.cancel()
            await asyncio.wait({running})
    assert len(set(ticks)) == len(ticks) < 40
    scene.ledger.check(duplicates=0, stall=3)
