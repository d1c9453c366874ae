"""How many jobs run at once, and how many messages are held for them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Seen, Stage


class Gate:
    """Jobs that wait at a gate: how many run at once can be seen at leisure."""

    def __init__(self, stage: Stage) -> None:
        self.is_open = asyncio.Event()
        self.running = 0
        self.most = 0
        self._stage = stage

    def handler(self) -> Seen:
        return self._stage.seen(self._wait)

    async def _wait(self, _: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.is_open.wait()
        self.running -= 1


@pytest.fixture
def gate(stage: Stage) -> Gate:
    return Gate(stage)


@pytest.mark.parametrize(
    ('of_actor', 'of_process', 'expected'), [(3, 16, 3), (16, 3, 3), (1, 1, 1), (40, 40, 40)]
)
async def test_as_many_jobs_run_as_may_and_no_more(
    stage: Stage, gate: Gate, of_actor: int, of_process: int, expected: int
) -> None:
    seen = gate.handler()
    async with stage.listening(stage.actor(seen, max_jobs=of_actor), max_jobs=of_process):
        await stage.publish(range(50))
        await seen.wait(expected)
        await asyncio.sleep(0.2)
        assert gate.running == expected
        gate.is_open.set()
        await seen.wait(50)
        await stage.wait_settled()
    assert gate.most == expected


async def test_slots_fill_at_once_and_not_only_when_a_job_ends(stage: Stage, gate: Gate) -> None:
    seen = gate.handler()
    async with stage.listening(stage.actor(seen)):
        await stage.publish(range(30))
        await seen.wait(16, seconds=0.7)
        gate.is_open.set()


async def held(stage: Stage, *names: str) -> int:
    infos = [await stage.info(name) for name in names]
    return sum(info.num_ack_pending or 0 for info in infos)


@pytest.mark.parametrize('max_jobs', [1, 16])
async def test_with_slow_handlers_no_more_is_held_than_the_limit_and_one_each(
    stage: Stage, gate: Gate, max_jobs: int
) -> None:
    names = ('one', 'two', 'three')
    handlers = [gate.handler() for _ in names]
    actors = [stage.actor(each, name) for each, name in zip(handlers, names, strict=True)]
    async with stage.connect(*actors) as conn:
        await stage.publish(range(100))
        task = asyncio.create_task(conn.listen(max_jobs=max_jobs))
        await stage.until(_is, gate, max_jobs)
        for _ in range(6):
            assert await held(stage, *names) <= max_jobs + len(names)
            await asyncio.sleep(0.05)
        assert gate.most == max_jobs
        gate.is_open.set()
        for name in names:
            await stage.wait_settled(name)
        await conn.shutdown()
        await task


async def _is(gate: Gate, count: int) -> bool:
    return gate.running == count


async def test_messages_wait_where_another_worker_can_have_them(stage: Stage, gate: Gate) -> None:
    seen = gate.handler()
    async with stage.listening(stage.actor(seen, max_jobs=4)):
        await stage.publish(range(20))
        await seen.wait(4)
        assert len(await stage.take(16, 5)) == 16
        gate.is_open.set()


async def test_an_idle_actor_leaves_the_slots_to_a_busy_one(stage: Stage, gate: Gate) -> None:
    busy, idle = gate.handler(), stage.seen()
    # Its own event has nothing: the idle one only ever asks.
    other = type(stage)(stage.url, stage.nc, f'{stage.event.name}-other')
    async with stage.listening(stage.actor(busy, 'busy'), other.actor(idle, 'idle')):
        await asyncio.sleep(1.2)  # the idle one must not take more as time goes by
        await stage.publish(range(30))
        await busy.wait(16, seconds=1)
        gate.is_open.set()


async def trickle(stage: Stage, every: float) -> None:
    for number in range(1 << 30):
        await stage.publish(number)
        await asyncio.sleep(every)


@pytest.mark.parametrize('every', [0.03, 0.003])
async def test_an_actor_that_gets_little_leaves_the_slots_to_a_busy_one(
    stage: Stage, every: float
) -> None:
    busy, quick = stage.seen(lambda _: asyncio.sleep(0.2)), stage.seen()
    other = type(stage)(stage.url, stage.nc, f'{stage.event.name}-other')
    async with stage.listening(stage.actor(busy, 'busy'), other.actor(quick, 'quick')):
        task = asyncio.create_task(trickle(other, every))
        await quick.wait(3)
        await stage.publish(range(60))
        # With all slots it takes 0.8 s, with two of them 6.
        await busy.wait(60, seconds=2.5)
        await quick.wait(len(quick.numbers) + 3)
        task.cancel()
    assert busy.most >= 12


async def test_a_busy_actor_does_not_starve_others(stage: Stage) -> None:
    busy, other = stage.seen(lambda _: asyncio.sleep(0.05)), stage.seen()
    late = type(stage)(stage.url, stage.nc, f'{stage.event.name}-late')
    async with stage.listening(stage.actor(busy, 'busy'), late.actor(other, 'late'), max_jobs=2):
        await stage.publish(range(100))
        await busy.wait(5)
        await late.publish(range(3))
        await other.wait(3, seconds=2)
        assert len(busy.numbers) < 100


async def test_when_a_busy_actor_goes_quiet_another_gets_its_slots(
    stage: Stage, gate: Gate
) -> None:
    first, then = gate.handler(), Gate(stage)
    second = then.handler()
    late = type(stage)(stage.url, stage.nc, f'{stage.event.name}-late')
    async with stage.listening(stage.actor(first, 'first'), late.actor(second, 'second')):
        await stage.publish(range(16))
        await first.wait(16)
        await late.publish(range(30))
        gate.is_open.set()
        await second.wait(16, seconds=2)
        then.is_open.set()


async def test_batch_caps_requests_but_not_jobs(stage: Stage, gate: Gate) -> None:
    requests: list[bytes] = []

    async def note(msg: Any) -> None:
        requests.append(msg.data)

    subject = f'$JS.API.CONSUMER.MSG.NEXT.{stage.event.stream_name}.actor'
    await stage.nc.subscribe(subject, cb=note)
    await stage.nc.flush()
    seen = gate.handler()
    async with stage.listening(stage.actor(seen), batch=3):
        await stage.publish(range(40))
        await seen.wait(16)
        gate.is_open.set()
        await seen.wait(40)
    assert requests
    assert all(b'"batch":%d' % size in b''.join(requests) for size in (1, 2, 3))
    assert not any(b'"batch":%d' % size in request for size in range(4, 10) for request in requests)


async def test_many_fast_jobs_all_run(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen)):
        for start in range(0, 1000, 250):
            await stage.publish(range(start, start + 250))
        assert sorted(await seen.wait(1000)) == list(range(1000))
        await stage.wait_settled()
    assert seen.most <= 16


async def test_a_full_max_ack_pending_ends_when_messages_are_settled(
    stage: Stage, gate: Gate
) -> None:
    seen = gate.handler()
    async with stage.listening(stage.actor(seen, max_ack_pending=2)):
        await stage.publish(range(20))
        await seen.wait(2)
        await asyncio.sleep(0.5)
        assert gate.running == 2
        gate.is_open.set()
        await seen.wait(20)
        await stage.wait_settled()
    assert gate.most == 2


async def test_few_big_messages_are_asked_for_at_once(stage: Stage) -> None:
    """The server drops a client that it has 64 MiB for and can't write them to."""
    sizes: list[int] = []

    async def note(msg: Any) -> None:
        sizes.append(json.loads(msg.data)['batch'])

    subject = f'$JS.API.CONSUMER.MSG.NEXT.{stage.event.stream_name}.actor'
    await stage.nc.subscribe(subject, cb=note)
    await stage.nc.flush()
    seen = stage.seen()
    payload = b'{"n":1,"rest":"' + b'x' * (512 << 10) + b'"}'
    async with stage.connect(stage.actor(seen, max_jobs=256)) as conn:
        for _ in range(8):
            await asyncio.gather(*(stage.publish_raw(payload) for _ in range(16)))
        listening = asyncio.create_task(conn.listen(max_jobs=256))
        await seen.wait(128)
        await conn.shutdown()
        await listening
    assert 4 <= max(sizes) <= 16, sizes
