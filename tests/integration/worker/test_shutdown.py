"""Ending a worker: what it holds is done, or is another worker's at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Item, Stage

SOON = 1.0
"""Seconds: far from the `ack_wait` of these actors, which is 30."""


async def test_cancelling_hands_all_messages_back_at_once(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.Event().wait())
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(range(40))
        task = asyncio.create_task(conn.listen())
        await seen.wait(16)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen.running == 0
        assert sorted(await stage.take(40, SOON)) == list(range(40))


async def test_what_waits_for_a_slot_is_handed_back_too(stage: Stage) -> None:
    names = ('one', 'two', 'three')
    handlers = [stage.seen(lambda _: asyncio.Event().wait()) for _ in names]
    actors = [
        stage.actor(each, name, ack_wait=30) for each, name in zip(handlers, names, strict=True)
    ]
    async with stage.connect(*actors) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen(max_jobs=1))
        await stage.until(_are_all_held, stage, names)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sum(len(each.numbers) for each in handlers) == 1
        for name in names:
            assert sorted(await stage.take(3, SOON, name)) == [0, 1, 2]


async def _are_all_held(stage: Stage, names: tuple[str, ...]) -> bool:
    return all([(await stage.info(name)).num_ack_pending for name in names])


async def test_a_job_that_was_cancelled_can_still_succeed(stage: Stage) -> None:
    async def handler(_: Item) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)

    seen = stage.seen(handler)
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen())
        await seen.wait(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stage.wait_settled(seconds=1)


async def test_cancelled_jobs_are_no_failures(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    seen = stage.seen(lambda _: asyncio.Event().wait())
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen())
        await seen.wait(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not [record for record in caplog.records if record.name.startswith('walnats')]


@pytest.mark.parametrize('seconds', [0, 0.0005, 0.002, 0.02])
async def test_cancelling_in_a_flood_leaves_none_behind(stage: Stage, seconds: float) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0))
    actor = stage.actor(seen, ack_wait=30, max_jobs=256)
    async with stage.connect(actor) as conn:
        await stage.publish(range(300))
        task = asyncio.create_task(conn.listen(max_jobs=256))
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        others = asyncio.create_task(stage.take(300, 2 * SOON))
        await stage.wait_settled(seconds=SOON)
        others.cancel()


@pytest.mark.parametrize('seconds', [0, 0.002, 0.02])
async def test_shutdown_in_a_flood_leaves_none_waiting_for_ack_wait(
    stage: Stage, seconds: float
) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0))
    async with stage.connect(stage.actor(seen, ack_wait=30, max_jobs=256)) as conn:
        await stage.publish(range(300))
        task = asyncio.create_task(conn.listen(max_jobs=256))
        await asyncio.sleep(seconds)
        async with asyncio.timeout(5):
            await conn.shutdown()
        await task
        await stage.until(_holds_nothing, stage, seconds=SOON)
        assert len(set(seen.numbers)) == len(seen.numbers)
        assert await stage.unsettled() == 300 - len(seen.numbers)


async def _holds_nothing(stage: Stage) -> bool:
    return (await stage.info()).num_ack_pending == 0


async def test_shutdown_runs_what_has_come(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.2))
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(range(30))
        task = asyncio.create_task(conn.listen())
        await seen.wait(16)
        await conn.shutdown()
        assert task.done()
        await task
        assert seen.running == 0
        await stage.until(_holds_nothing, stage, seconds=SOON)
        assert await stage.unsettled() == 30 - len(seen.numbers)


async def test_after_the_time_of_shutdown_jobs_are_handed_back(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.Event().wait())
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen())
        await seen.wait(3)
        start = time.monotonic()
        await conn.shutdown(timeout=0.3)
        assert 0.3 <= time.monotonic() - start < 2
        await task
        assert sorted(await stage.take(3, SOON)) == [0, 1, 2]


async def test_the_grace_of_listen_is_that_of_request_shutdown(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.Event().wait())
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen(grace=0.2))
        await seen.wait(1)
        conn.request_shutdown()
        async with asyncio.timeout(2):
            await task
        assert await stage.take(1, SOON) == [1]


async def test_shutdown_shortens_the_grace_of_an_earlier_request(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.Event().wait())
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen(grace=60))
        await seen.wait(1)
        conn.request_shutdown()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(3):
            await conn.shutdown(timeout=0.1)
            await task


async def test_cancelling_a_shutdown_that_takes_long_is_not_lost(stage: Stage) -> None:
    async def handler(_: Item) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.3)

    seen = stage.seen(handler)
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen(grace=0.05))
        await seen.wait(1)
        conn.request_shutdown()
        await asyncio.sleep(0.15)  # it is handing back now, and waits for the handler
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await stage.take(1, SOON) == [1]


async def test_cancelling_twice_still_hands_back(stage: Stage) -> None:
    async def handler(_: Item) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)

    seen = stage.seen(handler)
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen())
        await seen.wait(3)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen.running == 0
        assert sorted(await stage.take(3, SOON)) == [0, 1, 2]


async def test_a_handler_that_swallows_cancellation_delays_it_by_five_seconds_at_most(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    end = asyncio.Event()

    async def stubborn(_: Item) -> None:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    seen = stage.seen(lambda item: stubborn(item) if item.n == 0 else asyncio.Event().wait())
    async with stage.connect(stage.actor(seen, ack_wait=30)) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen())
        await seen.wait(3)
        start = time.monotonic()
        task.cancel()
        # The others don't wait for it.
        assert sorted(await stage.take(2, SOON)) == [1, 2]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 4 < time.monotonic() - start < 6
        assert '1 jobs do not end' in caplog.text
        end.set()
        await stage.wait_settled()


async def test_a_request_before_listen_makes_it_return_at_once(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(1)
        conn.request_shutdown()
        async with asyncio.timeout(2):
            await conn.listen()
        assert seen.numbers == []
        assert (await stage.info()).delivered.consumer_seq == 0  # type: ignore[union-attr]


async def test_it_can_listen_again_after_a_shutdown(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        for number in range(3):
            task = asyncio.create_task(conn.listen())
            await stage.publish(number)
            await seen.wait(number + 1)
            await conn.shutdown()
            await task
    assert seen.numbers == [0, 1, 2]


async def test_shutdown_of_an_idle_worker_is_quick(stage: Stage) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        task = asyncio.create_task(conn.listen())
        await stage.until(_is_asked, stage)
        start = time.monotonic()
        await conn.shutdown()
        await task
        assert time.monotonic() - start < SOON


async def test_cancelling_an_idle_worker_is_quick(stage: Stage) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        task = asyncio.create_task(conn.listen())
        await stage.until(_is_asked, stage)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < SOON
        assert (await stage.info()).num_waiting == 0


async def _is_asked(stage: Stage) -> bool:
    return bool((await stage.info()).num_waiting)


async def test_listen_can_be_run_under_a_timeout(stage: Stage) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await conn.listen()
