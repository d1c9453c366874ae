"""Messages are kept alive while they are worked on, and no longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import walnats

if TYPE_CHECKING:
    import pytest
    from tests.integration.worker.conftest import Item, Stage

    from walnats.types import ConnectedActors


async def test_a_job_longer_than_ack_wait_runs_once(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.8))
    async with stage.listening(stage.actor(seen, ack_wait=0.2)):
        await stage.publish(1)
        await stage.wait_settled()
    assert seen.numbers == [1]


async def test_without_pulse_it_runs_twice(stage: Stage) -> None:
    seen = stage.seen(lambda _: asyncio.sleep(0.8))
    async with stage.listening(stage.actor(seen, ack_wait=0.2, pulse=False)):
        await stage.publish(1)
        await seen.wait(2)
        assert seen.most == 2


async def test_messages_that_wait_for_a_slot_are_kept_alive(stage: Stage) -> None:
    def slowly(_: Item) -> asyncio.Future[None]:
        return asyncio.ensure_future(asyncio.sleep(0.5))

    one, other = stage.seen(slowly), stage.seen(slowly)
    async with stage.listening(
        stage.actor(one, 'one', ack_wait=0.3), stage.actor(other, 'other', ack_wait=0.3), max_jobs=1
    ):
        await stage.publish(range(2))
        await stage.wait_settled('one')
        await stage.wait_settled('other')
        assert (await stage.info('one')).num_redelivered == 0
        assert (await stage.info('other')).num_redelivered == 0
    assert sorted(one.numbers + other.numbers) == [0, 0, 1, 1]


async def test_an_outage_leaves_room_for_acknowledgements(
    server: walnats.EmbeddedServer, own: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The pending queue has room for two signs of life of each message, and more are due."""
    may_end = asyncio.Event()
    seen = own.seen(lambda _: may_end.wait())
    actors = walnats.Actors(own.actor(seen, ack_wait=0.3), dead_letters=None)
    async with actors.connect(own.url, pending_size=2500) as conn:
        await conn.register()
        await own.publish(range(16))
        listening = asyncio.create_task(conn.listen())
        await seen.wait(16)
        await server.kill()
        await asyncio.sleep(0.6)  # six signs of life
        may_end.set()
        await own.until(_is_idle, conn)
        await server.start()
        await conn.shutdown()
        await listening
    assert 'sign of life' not in caplog.text
    assert 'could not be settled' not in caplog.text


async def _is_idle(conn: ConnectedActors) -> bool:
    return conn.status.jobs == 0


async def test_a_job_over_its_time_is_cancelled_fails_and_is_retried(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    cancelled: list[int] = []

    async def handler(item: Item) -> None:
        if len(seen.numbers) > 1:
            return
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(item.n)

    seen = stage.seen(handler)
    async with stage.listening(stage.actor(seen, job_timeout=0.2, retry_delay=(0,))):
        await stage.publish(1)
        await seen.wait(2)
        await stage.wait_settled()
    assert cancelled == [1]
    assert 0.2 <= seen.times[1] - seen.times[0] < 1.2
    (record,) = [record for record in caplog.records if record.name == 'walnats.actor']
    assert record.getMessage() == 'Unhandled TimeoutError in "actor" actor'
    assert record.exc_text is not None
    assert 'job_timeout of 0.2 s' in record.exc_text
    assert 'await asyncio.Event().wait()' in record.exc_text, 'it must show where the job hung'


async def test_a_time_out_of_the_handlers_own_is_not_called_the_actors(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(_: Item) -> None:
        if len(seen.numbers) == 1:
            raise TimeoutError('of the database')

    seen = stage.seen(handler)
    async with stage.listening(stage.actor(seen, retry_delay=(0,))):
        await stage.publish(1)
        await seen.wait(2)
    assert 'of the database' in caplog.text
    assert 'job_timeout' not in caplog.text


async def test_a_job_that_swallows_its_cancellation_keeps_its_slot_and_loses_its_message(
    stage: Stage,
) -> None:
    end = asyncio.Event()

    async def stubborn(_: Item) -> None:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    seen = stage.seen(stubborn)
    actor = stage.actor(seen, ack_wait=0.3, job_timeout=0.3, max_jobs=1)
    async with stage.listening(actor):
        await stage.publish(1)
        await seen.wait(1)
        await stage.publish(2)
        # The other worker gets the first message too, though it is still being worked on here.
        assert sorted(await stage.take(2, 5)) == [1, 2]
        assert seen.numbers == [1]
        end.set()
    assert seen.most == 1
