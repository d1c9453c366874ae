"""Who gets the next free slot, on a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import walnats
from walnats import Priority

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Item, Stage


class Line:
    """Runs one job at a time, and notes who ran."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.order: list[str] = []
        self.gate = asyncio.Event()

    def actor(self, name: str, priority: Priority, seconds: float = 0) -> Any:
        async def handler(_: Item) -> None:
            self.order.append(name)
            await self.gate.wait()
            await asyncio.sleep(seconds)

        return self.stage.actor(handler, name, priority=priority)

    async def all_wait(self, names: tuple[str, ...]) -> None:
        await self.stage.until(self._are_held, names)

    async def _are_held(self, names: tuple[str, ...]) -> bool:
        return all([(await self.stage.info(name)).num_ack_pending for name in names])


@pytest.fixture
def line(stage: Stage) -> Line:
    return Line(stage)


async def test_high_goes_before_normal_before_low(line: Line) -> None:
    stage = line.stage
    names = ('low', 'normal', 'high')
    first = stage.seen(lambda _: line.gate.wait())
    other = walnats.Event(f'{stage.event.name}-first', stage.item)
    actors = [line.actor(name, Priority(name)) for name in names]
    async with stage.connect(*actors, walnats.Actor('first', other, first)) as conn:
        await stage.nc.jetstream().publish(other.name, b'{"n":0}')
        task = asyncio.create_task(conn.listen(max_jobs=1))
        await first.wait(1)  # it has the only slot
        await stage.publish([1])
        await line.all_wait(names)
        line.gate.set()
        for name in names:
            await stage.wait_settled(name)
        await conn.shutdown()
        await task
    assert line.order == ['high', 'normal', 'low']


async def test_a_flood_of_high_ones_does_not_starve_a_low_one(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds of waiting that are worth one step of priority, which is 1.
    monkeypatch.setattr('walnats._worker.slots._STEP', 0.1)
    stage = line.stage
    actors = line.actor('low', Priority.LOW, 0.01), line.actor('high', Priority.HIGH, 0.01)
    line.gate.set()
    async with stage.connect(*actors) as conn:
        await stage.publish(range(100))
        task = asyncio.create_task(conn.listen(max_jobs=1))
        await stage.wait_settled('high')
        turn = line.order.count('low')
        await stage.wait_settled('low')
        await conn.shutdown()
        await task
    assert 1 <= turn < 50


async def test_with_slots_enough_nobody_waits_for_a_higher_one(line: Line) -> None:
    stage = line.stage
    actors = line.actor('high', Priority.HIGH), line.actor('low', Priority.LOW)
    async with stage.listening(*actors, max_jobs=2):
        await stage.publish(1)
        await stage.until(_both_run, line)
        line.gate.set()
        await stage.wait_settled('high')
        await stage.wait_settled('low')


async def _both_run(line: Line) -> bool:
    return sorted(line.order) == ['high', 'low']
