"""A handler that blocks the event loop: it's told who, while it lasts."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Item, Stage

BLOCKED = 0.8


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warn after a quarter of a second, not after five."""
    monkeypatch.setattr('walnats._worker.loop_watch.THRESHOLD', BLOCKED / 3)
    monkeypatch.setattr('walnats._worker.loop_watch._INTERVAL', BLOCKED / 20)


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if 'event loop is blocked' in each.getMessage()]


def block(_: Item) -> None:
    time.sleep(BLOCKED)


async def block_async(_: Item) -> None:
    await asyncio.sleep(0)
    time.sleep(BLOCKED)  # noqa: ASYNC251 -- that is the fault


@pytest.mark.parametrize('handler', [block, block_async])
async def test_a_handler_that_blocks_the_loop_is_named_once(
    stage: Stage, caplog: pytest.LogCaptureFixture, handler: object
) -> None:
    seen = stage.seen()
    actors = stage.actor(handler, 'lazy'), stage.actor(seen, 'innocent')  # type: ignore[arg-type]
    async with stage.listening(*actors):
        await stage.publish(1)
        await stage.wait_settled('lazy')
        await stage.wait_settled('innocent')
    (record,) = warnings(caplog)
    assert record.levelno == logging.WARNING
    assert "by actor 'lazy'" in record.getMessage()
    assert 'ExecuteIn.THREAD' in record.getMessage()
    assert record.threadName == 'walnats-loop-watch'  # it's said while it lasts


async def test_each_blockade_is_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with stage.listening(stage.actor(block, 'lazy', max_jobs=1)):
        for number in range(2):
            await stage.publish(number)
            await stage.wait_settled('lazy')
            await asyncio.sleep(0.1)
    assert len(warnings(caplog)) == 2


async def test_many_short_jobs_and_waiting_are_no_blockade(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(item: Item) -> None:
        time.sleep(0.005)

    async def wait(_: Item) -> None:
        await asyncio.sleep(BLOCKED)

    async with stage.listening(stage.actor(handler, 'short'), stage.actor(wait, 'waits')):
        await stage.publish(range(100))
        await stage.wait_settled('short')
        await stage.until(_has_begun, stage)
    assert warnings(caplog) == []


async def _has_begun(stage: Stage) -> bool:
    return await stage.unsettled('waits') < 100


async def test_its_thread_ends_with_listen(stage: Stage) -> None:
    def watches() -> int:
        return sum(each.name == 'walnats-loop-watch' for each in threading.enumerate())

    seen = stage.seen()
    async with stage.listening(stage.actor(seen)):
        await stage.publish(1)
        await seen.wait(1)
        assert watches() == 1
    assert watches() == 0
