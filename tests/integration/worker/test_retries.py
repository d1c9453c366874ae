"""Failed jobs: when they are tried again, when not, and what is logged."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

import walnats

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.worker.conftest import Item, Stage


def failing(error: BaseException, times: int = 1 << 30) -> Callable[[Item], None]:
    """Give a handler that raises the error so often."""
    left = times

    def handler(_: Item) -> None:
        nonlocal left
        if left:
            left -= 1
            raise error

    return handler


def job_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == 'walnats.actor']


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_a_failed_job_is_retried_after_each_delay_and_the_last_repeats(
    stage: Stage,
) -> None:
    seen = stage.seen(failing(ValueError(), times=4))
    async with stage.listening(stage.actor(seen, retry_delay=(0.05, 0.3, 0.1))):
        await stage.publish(1)
        await seen.wait(5)
        await stage.wait_settled()
    assert all(
        delay - 0.005 <= gap < delay + 1
        for gap, delay in zip(gaps(seen.times), (0.05, 0.3, 0.1, 0.1), strict=True)
    )


async def test_a_function_decides_the_delay(stage: Stage) -> None:
    calls: list[tuple[int, str]] = []

    def delay(attempt: int, exception: Exception) -> float:
        calls.append((attempt, str(exception)))
        return 0

    seen = stage.seen(failing(ValueError('no luck'), times=3))
    async with stage.listening(stage.actor(seen, retry_delay=delay)):
        await stage.publish(1)
        await seen.wait(4)
    assert calls == [(attempt, 'no luck') for attempt in (1, 2, 3)]


async def test_retry_with_a_delay_of_its_own(stage: Stage) -> None:
    seen = stage.seen(failing(walnats.Retry(0.2), times=1))
    async with stage.listening(stage.actor(seen, retry_delay=(30,))):
        await stage.publish(1)
        await seen.wait(2)
    assert 0.195 <= gaps(seen.times)[0] < 1.2


async def test_a_retry_whose_delay_is_none_does_not_stop_the_worker(stage: Stage) -> None:
    seen = stage.seen(
        lambda item: failing(walnats.Retry(float('nan')))(item) if item.n == 1 else None
    )
    async with stage.listening(stage.actor(seen)):
        await stage.publish(1)
        await seen.wait(1)
        await stage.publish(2)
        assert await seen.wait(2) == [1, 2]


@pytest.mark.parametrize(
    ('error', 'options', 'reason'),
    [
        (ValueError(), {'max_attempts': 1}, 'ValueError on attempt 1, the last one'),
        (walnats.GiveUp('no such user'), {}, 'no such user'),
        (walnats.GiveUp('\ud800 and on'), {}, '\ud800 and on'),
        (walnats.GiveUp('x' * 100_000), {}, 'x' * 100_000),
        (KeyError('x'), {'give_up_on': (LookupError,)}, 'KeyError is not worth a retry'),
    ],
    ids=['last attempt', 'GiveUp', 'odd reason', 'long reason', 'give_up_on'],
)
async def test_giving_up_takes_the_message_off_the_actor_with_an_error_log(
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    options: dict[str, Any],
    reason: str,
) -> None:
    seen = stage.seen(failing(error))
    advisories = await stage.nc.subscribe(
        f'$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{stage.event.stream_name}.actor'
    )
    await stage.nc.flush()
    async with stage.listening(stage.actor(seen, **options)):
        await stage.publish(1)
        advisory = json.loads((await advisories.next_msg(10)).data)
        await stage.wait_settled()
    assert advisory['reason'] == reason[:200].encode(errors='replace').decode()
    assert seen.numbers == [1]
    (record,) = [record for record in caplog.records if 'gave up' in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert reason in record.getMessage()
    assert "'actor'" in record.getMessage()


async def test_max_attempts_bounds_the_tries(stage: Stage) -> None:
    seen = stage.seen(failing(ValueError()))
    async with stage.listening(stage.actor(seen, max_attempts=3, retry_delay=(0,))):
        await stage.publish(1)
        await stage.wait_settled()
    assert seen.numbers == [1, 1, 1]


async def lose(stage: Stage, times: int) -> None:
    """Have the actor's message delivered to workers that die of it."""
    subscription = await stage.nc.jetstream().pull_subscribe_bind('actor', stage.event.stream_name)
    for _ in range(times):
        (msg,) = await subscription.fetch(1, timeout=10)
        await msg.nak()
    await stage.nc.flush()


@pytest.mark.parametrize(('lost', 'runs'), [(0, 2), (1, 1), (4, 1), (5, 0)])
async def test_lost_deliveries_count_and_poison_is_given_up_on_unrun(
    stage: Stage, caplog: pytest.LogCaptureFixture, lost: int, runs: int
) -> None:
    attempts: list[int] = []

    def delay(attempt: int, _: Exception) -> float:
        attempts.append(attempt)
        return 0

    seen = stage.seen(failing(ValueError()))
    actor = stage.actor(seen, max_attempts=2, retry_delay=delay)
    async with stage.connect(actor):
        await stage.publish(1)
        await lose(stage, lost)
        async with stage.listening(actor):
            await stage.wait_settled()
    assert len(seen.numbers) == runs
    assert all(attempt <= 2 for attempt in attempts)
    (record,) = [record for record in caplog.records if 'gave up' in record.getMessage()]
    wanted = 'delivered 6 times without any outcome' if not runs else 'on attempt 2, the last one'
    assert wanted in record.getMessage()


async def test_without_max_attempts_there_is_no_end_to_lost_deliveries(stage: Stage) -> None:
    seen = stage.seen()
    actor = stage.actor(seen)
    async with stage.connect(actor):
        await stage.publish(1)
        await lose(stage, 20)
        async with stage.listening(actor):
            await stage.wait_settled()
    assert seen.numbers == [1]


@pytest.mark.parametrize('payload', [b'', b'{', b'{"n":"x"}', b'\xff\xfe', b'[' * 100_000])
async def test_what_can_not_be_decoded_is_given_up_on(
    stage: Stage, caplog: pytest.LogCaptureFixture, payload: bytes
) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen)):
        await stage.publish_raw(payload)
        await stage.wait_settled()
        await stage.publish(1)
        await seen.wait(1)
    assert seen.numbers == [1]
    (record,) = job_records(caplog)
    assert record.getMessage() == 'Unhandled DecodeError in "actor" actor'
    assert any("can't be decoded" in each.getMessage() for each in caplog.records)


@pytest.mark.parametrize(
    'error',
    [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), MemoryError(), BaseException()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize('kind', ['sync', 'async'])
async def test_what_a_handler_raises_is_a_failure_and_never_stops_the_worker(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: BaseException, kind: str
) -> None:
    fail = failing(error, times=1)
    runs: asyncio.Queue[None] = asyncio.Queue()

    async def asynchronous(item: Item) -> None:
        runs.put_nowait(None)
        await asyncio.sleep(0)
        fail(item)

    def sync(item: Item) -> None:
        runs.put_nowait(None)
        fail(item)

    async with stage.listening(
        stage.actor(sync if kind == 'sync' else asynchronous, retry_delay=(0,))
    ):
        await stage.publish(1)
        for _ in range(2):
            await asyncio.wait_for(runs.get(), 10)
        await stage.wait_settled()
    (record,) = job_records(caplog)
    assert record.getMessage() == f'Unhandled {type(error).__name__} in "actor" actor'


async def test_a_handler_that_cancels_itself_has_failed(stage: Stage) -> None:
    async def handler(item: Item) -> None:
        if len(seen.numbers) == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)

    seen = stage.seen(handler)
    async with stage.listening(stage.actor(seen, retry_delay=(0,))):
        await stage.publish(1)
        await seen.wait(2)
        await stage.wait_settled()


async def test_a_handler_that_cancels_itself_and_waits_for_nothing_frees_its_slot(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_: Item) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        raise walnats.GiveUp('the cancellation comes while the dead letter is stored')

    seen = stage.seen(handler)
    async with walnats.Actors(stage.actor(seen, max_jobs=1)).connect(stage.url) as conn:
        await conn.register()
        listening = asyncio.create_task(conn.listen())
        await stage.publish(range(2))
        await seen.wait(2)
        await conn.shutdown(timeout=1)
        await listening
    assert "actor 'actor': the task of message 1 was cancelled, but not by" in caplog.text


async def test_a_handler_that_cancels_itself_does_not_keep_a_burst_from_its_end(
    stage: Stage,
) -> None:
    def handler(_: Item) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        raise ValueError('the cancellation comes while the retry is put off')

    seen = stage.seen(handler)
    actor = stage.actor(seen, max_jobs=1)
    async with stage.connect(actor):
        await stage.publish(range(2))
        await stage.burst(actor)
    assert seen.numbers == [0, 1]


async def test_a_failed_job_is_logged_once_with_its_traceback(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = stage.seen(failing(ZeroDivisionError('the reason'), times=2))
    async with stage.listening(stage.actor(seen, retry_delay=(0,))):
        await stage.publish(range(3))
        await stage.wait_settled()
    records = job_records(caplog)
    assert [record.getMessage() for record in records] == [
        'Unhandled ZeroDivisionError in "actor" actor'
    ] * 2
    for record in records:
        assert record.levelno == logging.ERROR
        assert record.exc_text is not None
        assert 'raise error' in record.exc_text
        assert 'ZeroDivisionError: the reason' in record.exc_text


async def test_an_error_that_can_not_be_printed_is_a_failure_like_others(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError('not printable')

    seen = stage.seen(failing(OddError(), times=1))
    async with stage.listening(stage.actor(seen, retry_delay=(0,))):
        await stage.publish(1)
        await seen.wait(2)
        await stage.wait_settled()
    assert [record.getMessage() for record in job_records(caplog)] == [
        'Unhandled OddError in "actor" actor'
    ]
