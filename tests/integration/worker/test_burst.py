"""A burst handles what is there, and ends."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

import walnats

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Item, Stage


def fail(_: Item) -> None:
    raise ValueError


async def test_it_handles_what_is_there_and_ends(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.01))
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(range(100))
        await conn.listen(burst=True)
        assert sorted(seen.numbers) == list(range(100))
        assert seen.running == 0
        await stage.wait_settled(seconds=1)


@pytest.mark.parametrize('count', [1, 3])
async def test_on_an_empty_queue_it_ends_after_poll_delay(stage: Stage, count: int) -> None:
    actors = [stage.actor(stage.seen(), f'actor-{number}') for number in range(count)]
    async with stage.connect(*actors) as conn:
        start = time.monotonic()
        await conn.listen(burst=True, poll_delay=0.5, max_jobs=1)
        assert 0.5 <= time.monotonic() - start < 1.4


async def test_it_waits_for_a_first_message(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        task = asyncio.create_task(conn.listen(burst=True, poll_delay=20))
        await stage.until(_is_asked, stage)
        await stage.publish(1)
        async with asyncio.timeout(5):
            await task
    assert seen.numbers == [1]


async def _is_asked(stage: Stage) -> bool:
    return bool((await stage.info()).num_waiting)


async def test_it_waits_for_its_jobs_and_not_longer(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.5))
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(range(5))
        start = time.monotonic()
        await conn.listen(burst=True)
        assert 0.5 <= time.monotonic() - start < 1.5
        assert seen.running == 0
        await stage.wait_settled(seconds=1)


async def test_it_outlasts_the_grace_of_a_shutdown_that_nobody_asked_for(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.5))
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(1)
        await conn.listen(burst=True, grace=0)
        await stage.wait_settled(seconds=1)


@pytest.mark.parametrize('max_jobs', [1, 16])
@pytest.mark.parametrize('retry_delay', [0, 60])
async def test_it_does_not_wait_for_retries(
    stage: Stage, max_jobs: int, retry_delay: float
) -> None:
    seen = stage.seen(fail)
    await stage_burst(stage, stage.actor(seen, retry_delay=(retry_delay,)), 5, max_jobs)
    assert sorted(seen.numbers) == list(range(5))
    assert await stage.unsettled() == 5


@pytest.mark.parametrize('max_jobs', [1, 2])
async def test_messages_that_always_fail_do_not_keep_others_from_their_turn(
    stage: Stage, max_jobs: int
) -> None:
    seen = stage.seen(lambda item: fail(item) if item.n < 5 else None)
    await stage_burst(stage, stage.actor(seen, retry_delay=(0,)), 15, max_jobs)
    assert set(seen.numbers) == set(range(15))
    assert await stage.unsettled() == 5


async def stage_burst(
    stage: Stage, actor: walnats.Actor[Item, None], count: int, max_jobs: int
) -> None:
    async with stage.connect(actor) as conn, asyncio.timeout(10):
        for number in range(count):
            await stage.publish(number)
        await conn.listen(burst=True, poll_delay=0.5, max_jobs=max_jobs)


async def test_what_failed_is_retried_in_the_next_burst(stage: Stage) -> None:
    attempts: list[int] = []

    def delay(attempt: int, _: Exception) -> float:
        attempts.append(attempt)
        return 0

    actor = stage.actor(stage.seen(fail), retry_delay=delay)
    await stage.connect_and_publish(actor, 1)
    for _ in range(3):
        await stage.burst(actor)
    assert attempts == [1, 2, 3]


async def test_failed_messages_are_kept_alive_until_the_end(stage: Stage) -> None:
    seen = stage.seen(lambda item: fail(item) if item.n == 0 else asyncio.sleep(0.3))
    actor = stage.actor(seen, ack_wait=0.3, retry_delay=(0,), max_jobs=1)
    await stage_burst(stage, actor, 4, 1)
    assert seen.numbers == [0, 1, 2, 3]


async def test_shutdown_in_a_burst_hands_the_failed_back(stage: Stage) -> None:
    end = asyncio.Event()
    seen = stage.seen(lambda item: fail(item) if item.n == 0 else end.wait())
    async with stage.connect(stage.actor(seen, ack_wait=30, retry_delay=(0,))) as conn:
        await stage.publish(range(2))
        task = asyncio.create_task(conn.listen(burst=True))
        await seen.wait(2)
        stopping = asyncio.create_task(conn.shutdown())
        end.set()
        await stopping
        await task
        assert await stage.take(1, 1) == [0]


async def test_cancelling_a_burst_hands_the_failed_back_to_be_retried_when_they_are_due(
    stage: Stage,
) -> None:
    def handle(item: Item) -> object:
        if item.n < 2:
            raise walnats.Retry((0, 60)[item.n])
        return asyncio.Event().wait()

    seen = stage.seen(handle)
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen(burst=True))
        await seen.wait(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(await stage.take(3, 1)) == [0, 2]


async def test_more_messages_than_may_be_unsettled_at_once(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.01))
    await stage_burst(stage, stage.actor(seen, max_ack_pending=1), 10, 16)
    assert sorted(seen.numbers) == list(range(10))


@pytest.mark.parametrize('max_jobs', [1, 16])
async def test_several_actors(stage: Stage, max_jobs: int) -> None:
    handlers = [stage.seen(lambda _: asyncio.sleep(0.002)) for _ in range(3)]
    actors = [stage.actor(each, f'actor-{n}') for n, each in enumerate(handlers)]
    async with stage.connect(*actors) as conn, asyncio.timeout(10):
        await stage.publish(range(30))
        await conn.listen(burst=True, poll_delay=0.5, max_jobs=max_jobs)
    assert [sorted(each.numbers) for each in handlers] == [list(range(30))] * 3
    assert max(each.most for each in handlers) <= max_jobs


async def test_an_actor_with_nothing_does_not_hold_up_one_with_much(
    stage: Stage, unique: str
) -> None:
    seen = stage.seen()
    nothing = walnats.Actor('nothing', walnats.Event(f'{unique}-nothing', int), lambda _: None)
    async with stage.connect(nothing, stage.actor(seen)) as conn:
        await stage.publish(range(50))
        start = asyncio.get_running_loop().time()
        await conn.listen(burst=True, poll_delay=1)
    assert len(seen.numbers) == 50
    assert seen.times[-1] - start < 0.8


async def test_a_message_put_back_as_already_due_is_handled(stage: Stage) -> None:
    for number in range(10):
        seen = stage.seen()
        actor = stage.actor(seen)
        async with stage.connect(actor) as conn:
            await stage.publish(number, {'Walnats-Delay': str(time.time())})
            await conn.listen(burst=True, poll_delay=1)
        assert seen.numbers == [number]


async def test_a_message_that_is_not_due_is_left(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(1, {'Walnats-Delay': str(time.time() + 60)})
        await stage.publish(2)
        async with asyncio.timeout(5):
            await conn.listen(burst=True)
    assert seen.numbers == [2]


async def test_batch_caps_requests_in_a_burst(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(range(20))
        await conn.listen(burst=True, batch=3)
    assert sorted(seen.numbers) == list(range(20))
