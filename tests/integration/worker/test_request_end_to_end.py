"""Requests that real actors answer: whoever asks gets the first answer, or the reason why not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.worker.pool_handlers import count_letters

import walnats
from walnats import ExecuteIn, GiveUp, Retry
from walnats.errors import RequestFailedError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.integration.worker.conftest import Stage

    from walnats.types import ConnectedEvents, EventWithResponse

PATIENCE = 10.0


class Desk:
    """An event that is asked, and what answers it."""

    def __init__(self, stage: Stage, event: EventWithResponse[str, Any] | None = None) -> None:
        self.stage = stage
        self.event = event or walnats.Event(stage.event.name, str).with_response(int)

    def actor(self, handler: Callable[[str], Any], name: str = 'actor', **options: Any) -> Any:
        return walnats.Actor(name, self.event, handler, **{'retry_delay': (0,), **options})

    @contextlib.asynccontextmanager
    async def open(
        self, *actors: Any, dead_letters: walnats.DeadLetters | None = None
    ) -> AsyncIterator[ConnectedEvents]:
        """Run the actors in a worker, and give the connection of somebody else."""
        registry = walnats.Actors(*actors, dead_letters=dead_letters)
        async with (
            registry.connect(self.stage.url) as worker,
            walnats.Events(self.event).connect(self.stage.url) as conn,
        ):
            await worker.register()
            task = asyncio.create_task(worker.listen())
            try:
                yield conn
            finally:
                await worker.shutdown(timeout=1)
                await task


@pytest.fixture
def desk(stage: Stage) -> Desk:
    return Desk(stage)


async def count_async(text: str) -> int:
    await asyncio.sleep(0)
    return len(text)


@pytest.mark.parametrize(
    ('handler', 'execute_in'),
    [
        (len, ExecuteIn.MAIN),
        (count_async, ExecuteIn.MAIN),
        (lambda text: count_async(text.lower()), ExecuteIn.MAIN),
        (len, ExecuteIn.THREAD),
        (count_letters, ExecuteIn.PROCESS),
    ],
    ids=['sync', 'async', 'awaitable', 'thread', 'process'],
)
async def test_an_actor_answers(desk: Desk, handler: Any, execute_in: ExecuteIn) -> None:
    async with desk.open(desk.actor(handler, execute_in=execute_in)) as conn:
        answers = await asyncio.gather(
            *(conn.request(desk.event, 'x' * number, timeout=PATIENCE) for number in range(20))
        )
        assert answers == list(range(20))
        await desk.stage.wait_settled()


async def test_a_failed_job_is_retried_and_then_answers(desk: Desk) -> None:
    calls = 0

    def handler(text: str) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError
        if calls == 2:
            raise Retry
        return len(text)

    async with desk.open(desk.actor(handler)) as conn:
        assert await conn.request(desk.event, 'four') == 4
    assert calls == 3


@pytest.mark.parametrize(
    ('error', 'options', 'reason'),
    [
        (GiveUp('out of stock'), {}, 'out of stock'),
        (GiveUp('Zürich\r\nX: y'), {}, 'Z rich X: y'),
        (KeyError('x'), {'give_up_on': (KeyError,)}, 'KeyError is not worth a retry'),
        (ValueError('x'), {'max_attempts': 2}, 'ValueError on attempt 2, the last one'),
    ],
    ids=['GiveUp', 'odd reason', 'give_up_on', 'last'],
)
@pytest.mark.parametrize('letters', [None, walnats.DeadLetters()], ids=['', 'letters'])
async def test_an_actor_that_gives_up_says_so(
    desk: Desk,
    error: Exception,
    options: dict[str, Any],
    reason: str,
    letters: walnats.DeadLetters | None,
) -> None:
    def handler(_: str) -> int:
        raise error

    async with desk.open(desk.actor(handler, **options), dead_letters=letters) as conn:
        with pytest.raises(RequestFailedError) as caught:
            await conn.request(desk.event, 'x', timeout=PATIENCE)
    assert caught.value.reason == reason


@pytest.mark.parametrize('wrong', ['four', None, 4.5, [4]])
async def test_an_answer_of_the_wrong_type_is_a_failed_job(
    desk: Desk, caplog: pytest.LogCaptureFixture, wrong: Any
) -> None:
    async with desk.open(desk.actor(lambda _: wrong, max_attempts=2)) as conn:
        with pytest.raises(RequestFailedError, match='on attempt 2'):
            await conn.request(desk.event, 'x', timeout=PATIENCE)
        await desk.stage.wait_settled()
    assert len([each for each in caplog.records if each.name == 'walnats.actor']) == 2


async def test_an_answer_that_is_too_big_says_so_and_the_connection_lives(stage: Stage) -> None:
    desk = Desk(stage, walnats.Event(stage.event.name, str).with_response(bytes))
    limit = stage.nc.max_payload
    async with desk.open(desk.actor(lambda text: b'x' * int(text))) as conn:
        with pytest.raises(RequestFailedError, match='too big'):
            await conn.request(desk.event, str(limit + 1))
        assert len(await conn.request(desk.event, str(limit))) == limit


async def test_of_two_actors_the_first_answer_counts(desk: Desk) -> None:
    may_end = asyncio.Event()

    async def slow(_: str) -> int:
        await may_end.wait()
        return 2

    async with desk.open(desk.actor(lambda _: 1, 'fast'), desk.actor(slow, 'slow')) as conn:
        assert await conn.request(desk.event, 'x') == 1
        may_end.set()
        await desk.stage.wait_settled('slow')
        assert await conn.request(desk.event, 'x') in (1, 2)


async def test_nobody_answers_in_time(desk: Desk) -> None:
    may_end = asyncio.Event()

    async def slow(_: str) -> int:
        await may_end.wait()
        return 2

    async with desk.open(desk.actor(slow)) as conn:
        with pytest.raises(RequestTimeoutError):
            await conn.request(desk.event, 'x', timeout=0.2)
        may_end.set()
        await desk.stage.wait_settled()


async def test_an_emitted_message_is_answered_to_nobody(desk: Desk) -> None:
    # What it returns needn't be an answer then.
    async with desk.open(desk.actor(lambda _: 'no number')) as conn:
        await conn.emit(desk.event, 'x', sync=True)
        await desk.stage.wait_settled()


async def test_a_delayed_request_is_answered_when_it_is_due(desk: Desk) -> None:
    began = time.monotonic()
    async with desk.open(desk.actor(len)) as conn:
        assert await conn.request(desk.event, 'four', delay=0.4, timeout=PATIENCE) == 4
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize(
    'subject',
    [
        '$JS.API.STREAM.DELETE.{stream}',
        '$SYS.REQ.SERVER.PING',
        '_INBOX.*',
        '>',
        'a..b',
        '.a',
        'a b',
        'walnats.to.{stream}.actor',
        'walnats.dead.{stream}.actor.1-1',
        'x' * 600,
    ],
)
async def test_an_answer_is_never_sent_to_a_bad_subject(
    desk: Desk, caplog: pytest.LogCaptureFixture, subject: str
) -> None:
    heard: list[str] = []

    async def hear(msg: Any) -> None:
        heard.append(msg.subject)

    stage = desk.stage
    seen: list[str] = []

    def handler(text: str) -> int:
        seen.append(text)
        return 7

    async with desk.open(desk.actor(handler)):
        await stage.nc.subscribe(f'walnats.*.{stage.event.stream_name}.>', cb=hear)
        await stage.nc.subscribe(f'$JS.API.STREAM.DELETE.{stage.event.stream_name}', cb=hear)
        await stage.nc.flush()
        reply = subject.format(stream=stage.event.stream_name)
        await stage.publish_raw(b'"x"', {'Walnats-Reply': reply})
        await stage.wait_settled()
        await stage.publish_raw(b'"y"')
        await stage.wait_settled()
    await stage.nc.flush()
    assert heard == []
    assert seen == ['x', 'y']
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert ['bad subject' in each.getMessage() for each in warnings] == [True]


async def test_an_answer_may_go_to_any_other_subject(desk: Desk) -> None:
    stage = desk.stage
    reply = f'answers.{stage.event.name}'
    async with desk.open(desk.actor(len)):
        answers = await stage.nc.subscribe(reply)
        await stage.nc.flush()
        await stage.publish_raw(b'"four"', {'Walnats-Reply': reply})
        msg = await answers.next_msg(PATIENCE)
    assert (msg.data, msg.headers) == (b'4', None)


async def test_a_request_in_a_thread_is_answered_from_the_loop(desk: Desk) -> None:
    threads: set[str] = set()

    def handler(text: str) -> int:
        threads.add(threading.current_thread().name)
        return len(text)

    async with desk.open(desk.actor(handler, execute_in=ExecuteIn.THREAD)) as conn:
        assert await conn.request(desk.event, 'four') == 4
    assert threading.main_thread().name not in threads
