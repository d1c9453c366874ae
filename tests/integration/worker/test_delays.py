"""Messages that are held back until they are due."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import pytest

import walnats

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Item, Stage

DELAY = 'Walnats-Delay'
EXACTLY = 0.05
"""Seconds by which a message may come late."""


class Late:
    """A handler that fails at first and notes when, by the clock, it was called."""

    def __init__(self, failures: int = 0) -> None:
        self.called = asyncio.Condition()
        self.times: list[float] = []
        self.attempts: list[int] = []
        self._failures = failures

    async def __call__(self, _: Item) -> None:
        self.times.append(time.time())
        async with self.called:
            self.called.notify_all()
        if len(self.times) <= self._failures:
            raise ValueError

    def delay(self, attempt: int, _: Exception) -> float:
        self.attempts.append(attempt)
        return 0.1

    async def wait(self, count: int) -> list[float]:
        async with asyncio.timeout(10), self.called:
            await self.called.wait_for(lambda: len(self.times) >= count)
        return self.times


async def test_it_comes_when_it_is_due_and_not_before(stage: Stage) -> None:
    late = Late()
    async with (
        stage.listening(stage.actor(late)) as conn,
        walnats.Events(stage.event).connect(conn) as events,
    ):
        due = time.time() + 0.3
        await events.emit(stage.event, stage.item(1), delay=0.3)
        (called,) = await late.wait(1)
        await stage.wait_settled()
    assert due <= called < due + EXACTLY


async def test_the_first_run_is_the_first_attempt(stage: Stage) -> None:
    late = Late(failures=2)
    actor = stage.actor(late, retry_delay=late.delay)
    async with stage.listening(actor):
        await stage.publish(1, {DELAY: str(time.time() + 0.1)})
        first, second, third = await late.wait(3)
    assert late.attempts == [1, 2]
    assert second - first >= 0.1
    assert third - second >= 0.1


async def test_one_attempt_is_enough_for_a_delayed_message(stage: Stage) -> None:
    late = Late()
    async with stage.listening(stage.actor(late, max_attempts=1)):
        await stage.publish(1, {DELAY: str(time.time() + 0.1)})
        await late.wait(1)
        await stage.wait_settled()


async def test_it_is_held_back_again_if_it_is_delivered_too_early(stage: Stage) -> None:
    late = Late()
    async with stage.connect(stage.actor(late)):
        due = time.time() + 0.5
        await stage.publish(1, {DELAY: str(due)})
        other = await stage.nc.jetstream().pull_subscribe_bind('actor', stage.event.stream_name)
        for _ in range(2):
            (msg,) = await other.fetch(1)
            await msg.nak()
        await stage.nc.flush()
        async with stage.listening(stage.actor(late)):
            (called,) = await late.wait(1)
    assert due <= called < due + EXACTLY


async def test_it_takes_no_slot_while_it_is_held_back(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen, max_jobs=1)):
        await stage.publish(1, {DELAY: str(time.time() + 0.4)})
        await stage.publish(2)
        assert await seen.wait(2) == [2, 1]


async def test_it_waits_with_another_worker_once_the_first_is_gone(stage: Stage) -> None:
    late = Late()
    due = time.time() + 0.6
    async with stage.listening(stage.actor(stage.seen())):
        await stage.publish(1, {DELAY: str(due)})
        await stage.until(_is_put_back, stage)
    async with stage.listening(stage.actor(late)):
        (called,) = await late.wait(1)
    assert due <= called < due + EXACTLY


async def _is_put_back(stage: Stage) -> bool:
    info = await stage.info()
    return info.delivered is not None and info.delivered.consumer_seq >= 1


@pytest.mark.parametrize('value', ['abc', '', 'nan', '-inf', '1e300', '99999999999999'])
async def test_what_is_no_moment_holds_nothing_back(
    stage: Stage, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    late = Late(failures=1)
    async with stage.listening(stage.actor(late, retry_delay=late.delay)):
        await stage.publish(1, {DELAY: value})
        await late.wait(2)
        await stage.wait_settled()
    assert late.attempts == [1]
    warnings = [record for record in caplog.records if DELAY in record.getMessage()]
    assert {record.levelno for record in warnings} == {logging.WARNING}


@pytest.mark.parametrize('value', ['-5', '-1e300'])
async def test_what_was_due_long_ago_is_handled_at_once(stage: Stage, value: str) -> None:
    late = Late(failures=1)
    async with stage.listening(stage.actor(late, retry_delay=late.delay)):
        await stage.publish(1, {DELAY: value})
        await late.wait(2)
    assert late.attempts == [1]


async def test_many_come_each_when_it_is_due(stage: Stage) -> None:
    dues: dict[int, float] = {}
    called: dict[int, float] = {}
    seen = stage.seen(lambda item: called.update({item.n: time.time()}))
    async with stage.listening(stage.actor(seen)):
        start = time.time()
        for number in range(40):
            dues[number] = start + 0.2 + number * 0.01
            await stage.publish(number, {DELAY: str(dues[number])})
        await seen.wait(40)
    late = [called[number] - dues[number] for number in range(40)]
    assert min(late) >= 0
    assert max(late) < EXACTLY
