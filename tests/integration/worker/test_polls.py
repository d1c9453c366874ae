"""Turns at asking: few requests for many actors, and none of them is forgotten."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, Any

import pytest

import walnats

if TYPE_CHECKING:
    from tests.integration.conftest import Api
    from tests.integration.worker.conftest import Stage

PATIENCE = 10.0
NAMES = ('one', 'two', 'three', 'four', 'five', 'six')


class Requests:
    """Counts the actors that have requests open at the server, again and again."""

    def __init__(self, api: Api, stream: str) -> None:
        self._api = api
        self._stream = stream
        self.most = 0
        self.looks = 0

    async def watch(self) -> None:
        while True:
            answer = await self._api.call(f'CONSUMER.LIST.{self._stream}')
            open_now = sum(each['num_waiting'] > 0 for each in answer['consumers'])
            self.most = max(self.most, open_now)
            self.looks += 1


@pytest.fixture
def requests(stage: Stage, api: Api) -> Requests:
    return Requests(api, stage.event.stream_name)


def actors_of(stage: Stage, handlers: list[Any], **options: Any) -> list[Any]:
    pairs = zip(handlers, NAMES, strict=True)
    return [stage.actor(handler, name, **options) for handler, name in pairs]


@pytest.mark.parametrize('max_polls', [1, 2])
@pytest.mark.parametrize('kind', ['forever', 'burst'])
async def test_all_actors_get_all_messages_by_few_requests_at_once(
    stage: Stage, requests: Requests, max_polls: int, kind: str
) -> None:
    handlers = [stage.seen() for _ in NAMES]
    actors = actors_of(stage, handlers)
    async with stage.connect(*actors) as conn:
        await stage.publish(range(40))
        watching = asyncio.create_task(requests.watch())
        listening = asyncio.create_task(
            conn.listen(max_polls=max_polls, poll_delay=0.2, burst=kind == 'burst')
        )
        for name in NAMES:
            await stage.wait_settled(name)
        if kind == 'forever':
            await stage.publish(range(40, 50))
            for name in NAMES:
                await stage.wait_settled(name)
            await conn.shutdown()
        async with asyncio.timeout(PATIENCE):
            await listening
        watching.cancel()
    for seen in handlers:
        assert sorted(seen.numbers) == list(range(40 if kind == 'burst' else 50))
    assert requests.looks > 10
    assert 1 <= requests.most <= max_polls


async def test_without_max_polls_all_ask_at_once(stage: Stage, requests: Requests) -> None:
    watching = asyncio.create_task(requests.watch())
    async with stage.listening(*actors_of(stage, [stage.seen() for _ in NAMES])):
        async with asyncio.timeout(PATIENCE):
            while requests.most < len(NAMES):
                await asyncio.sleep(0.01)
    watching.cancel()


async def test_an_actor_whose_slots_are_taken_does_not_keep_the_turn(stage: Stage) -> None:
    seen = stage.seen()
    may_end = asyncio.Event()
    busy = stage.seen(lambda _: may_end.wait())
    actors = stage.actor(busy, 'busy', max_jobs=1), stage.actor(seen)
    async with stage.listening(*actors, max_polls=1, poll_delay=0.1):
        delays: list[float] = []
        for number in range(1, 8):
            began = asyncio.get_running_loop().time()
            await stage.publish(number)
            await seen.wait(number)
            delays.append(seen.times[-1] - began)
        assert busy.numbers == [1]
        may_end.set()
        await stage.wait_settled('busy')
    assert sorted(busy.numbers) == list(range(1, 8))
    # An actor that can't ask passes the turn on at once, not when it happens to wake up.
    assert statistics.median(delays) < 0.4


async def test_an_actor_in_a_flood_passes_its_turn_on(stage: Stage) -> None:
    other = walnats.Event(f'{stage.event.name}-other', stage.item)
    flooded, seen = stage.seen(lambda _: asyncio.sleep(0)), stage.seen()
    flood = stage.actor(flooded, 'flooded', max_jobs=256)
    actors = flood, walnats.Actor('actor', other, seen)
    async with (
        stage.connect(*actors) as conn,
        walnats.Events(stage.event).connect(conn) as events,
    ):
        await events.emit_many(stage.event, map(stage.item, range(20_000)))
        task = asyncio.create_task(conn.listen(max_polls=1, poll_delay=0.05, max_jobs=256))
        await flooded.wait(100)
        await stage.nc.jetstream().publish(other.name, b'{"n":1}')
        await seen.wait(1)
        assert len(flooded.numbers) < 20_000
        await conn.shutdown()
        await task


@pytest.mark.parametrize('end', ['shutdown', 'cancel'])
@pytest.mark.parametrize('kind', ['forever', 'burst'])
async def test_ending_while_actors_wait_for_a_turn(
    stage: Stage, requests: Requests, end: str, kind: str
) -> None:
    async with stage.connect(*actors_of(stage, [stage.seen() for _ in NAMES])) as conn:
        watching = asyncio.create_task(requests.watch())
        task = asyncio.create_task(conn.listen(max_polls=1, poll_delay=30, burst=kind == 'burst'))
        async with asyncio.timeout(PATIENCE):
            while not requests.most:
                await asyncio.sleep(0.01)
        watching.cancel()
        async with asyncio.timeout(2):
            if end == 'cancel':
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                await conn.shutdown()
                await task


async def test_an_error_of_an_actor_that_waits_for_its_turn_is_not_forgotten(
    stage: Stage, api: Api
) -> None:
    actors = actors_of(stage, [stage.seen() for _ in NAMES])
    async with stage.connect(*actors) as conn:
        task = asyncio.create_task(conn.listen(max_polls=1, poll_delay=0.1))
        await api.call(f'CONSUMER.DELETE.{stage.event.stream_name}.six')
        with pytest.raises(walnats.ConsumerNotFoundError, match="'six'"):
            async with asyncio.timeout(PATIENCE):
                await task
