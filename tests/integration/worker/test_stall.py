"""Delayed and failed messages at `max_ack_pending`: what happens, and that it's told."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Item, Stage

PATIENCE = 10.0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after a moment of silence, not after five seconds."""
    monkeypatch.setattr('walnats._worker.stall._SILENCE', 0.3)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno == logging.WARNING and 'stalled' in each.getMessage()
    ]


async def wait_warning(caplog: pytest.LogCaptureFixture) -> str:
    async with asyncio.timeout(PATIENCE):
        while not warnings(caplog):
            await asyncio.sleep(0.01)
    return warnings(caplog)[0]


async def test_delayed_messages_stop_an_actor_at_max_ack_pending_and_it_says_so(
    stage: Stage, short: None, caplog: pytest.LogCaptureFixture
) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen, max_ack_pending=20)):
        await stage.publish(range(20), {'Walnats-Delay': str(time.time() + 3)})
        await stage.publish(range(20, 25))
        text = await wait_warning(caplog)
        assert "actor 'actor' is stalled: 20 of its messages" in text
        assert '5 others wait behind them' in text
        info = await stage.info()
        assert (info.num_ack_pending, info.num_pending, seen.numbers) == (20, 5, [])
        # Those that become due make room for the others. None is lost, none is early.
        await stage.wait_settled()
    assert sorted(seen.numbers) == list(range(25))
    assert len(warnings(caplog)) == 1


async def test_one_less_than_max_ack_pending_lets_others_pass_one_by_one(
    stage: Stage, short: None, caplog: pytest.LogCaptureFixture
) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen, max_ack_pending=20)):
        await stage.publish(range(19), {'Walnats-Delay': str(time.time() + 60)})
        await stage.publish(range(20, 120))
        assert await seen.wait(100) == list(range(20, 120))
    assert warnings(caplog) == []


async def test_retries_stop_an_actor_too_however_often_they_come(
    stage: Stage, short: None, caplog: pytest.LogCaptureFixture
) -> None:
    works_again = False

    def handler(item: Item) -> None:
        if item.n < 10 and not works_again:
            raise ValueError

    seen = stage.seen(handler)
    actor = stage.actor(seen, max_ack_pending=10, retry_delay=(0.1,))
    async with stage.listening(actor):
        await stage.publish(range(10))
        await stage.publish(range(10, 13))
        assert '10 of its messages are delayed or wait for a retry' in await wait_warning(caplog)
        assert set(seen.numbers) <= set(range(10))
        works_again = True
        await stage.wait_settled()
    assert set(seen.numbers) == set(range(13))


async def test_a_slow_actor_with_much_to_do_is_not_stalled(
    stage: Stage, short: None, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()
    seen = stage.seen(lambda _: may_end.wait())
    async with stage.listening(stage.actor(seen, max_ack_pending=4, max_jobs=4)):
        await stage.publish(range(30))
        await seen.wait(4)
        await asyncio.sleep(1.5)  # longer than it takes to look: there must be nothing to see
        may_end.set()
        await stage.wait_settled()
    assert warnings(caplog) == []


async def test_max_ack_pending_can_be_raised_while_the_actor_is_stalled(
    stage: Stage, short: None, caplog: pytest.LogCaptureFixture
) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen, max_ack_pending=5)):
        await stage.publish(range(5), {'Walnats-Delay': str(time.time() + 60)})
        await stage.publish([7])
        await wait_warning(caplog)
        async with stage.connect(stage.actor(seen, max_ack_pending=10)):
            assert await seen.wait(1) == [7]
