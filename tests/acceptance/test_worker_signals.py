"""A worker in a process of its own, and the signals it gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from nats.aio.client import Client

PROGRAM = """
import asyncio, signal, sys
import walnats

EVENT = walnats.Event(sys.argv[1], int)

async def handle(seconds: int) -> None:
    print('started', flush=True)
    await asyncio.sleep(seconds / 10)
    print('handled', flush=True)

async def main() -> None:
    actors = walnats.Actors(walnats.Actor('actor', EVENT, handle, ack_wait=30), dead_letters=None)
    async with actors.connect() as conn:
        await conn.register()
        print('ready', flush=True)
        await conn.listen(signals=(signal.SIGTERM, signal.SIGINT), grace=float(sys.argv[2]))
    print('over', flush=True)

try:
    asyncio.run(main())
except asyncio.CancelledError:
    print('cancelled', flush=True)
"""


class Worker:
    """The program above as it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def expect(self, line: str) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(10):
            assert (await self._process.stdout.readline()).decode().strip() == line

    def send(self, what: signal.Signals) -> None:
        self._process.send_signal(what)

    async def wait(self) -> int:
        async with asyncio.timeout(10):
            return await self._process.wait()


class Start:
    """Starts workers on the test's event."""

    def __init__(self, program: Path, url: str, event: walnats.Event[int], nc: Client) -> None:
        self._program, self._url, self._event, self._nc = program, url, event, nc

    @contextlib.asynccontextmanager
    async def __call__(self, *tenths: int, grace: float = 30) -> AsyncIterator[Worker]:
        """Start a worker that is in the middle of jobs that take so many tenths of a second."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            self._program,
            self._event.name,
            str(grace),
            env={**os.environ, 'NATS_SERVER': self._url},
            stdout=asyncio.subprocess.PIPE,
        )
        worker = Worker(process)
        try:
            await worker.expect('ready')
            for each in tenths:
                await self._nc.jetstream().publish(self._event.name, json.dumps(each).encode())
                await worker.expect('started')
            yield worker
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def take(self, count: int) -> list[int]:
        """Be another worker for a second."""
        consumer = await self._nc.jetstream().pull_subscribe_bind('actor', self._event.stream_name)
        messages = await consumer.fetch(count, timeout=1)
        for msg in messages:
            await msg.ack()
        return [json.loads(msg.data) for msg in messages]

    async def unsettled(self) -> int:
        info = await self._nc.jetstream().consumer_info(self._event.stream_name, 'actor')
        return (info.num_pending or 0) + (info.num_ack_pending or 0)


@pytest.fixture
def start(tmp_path: Path, server_url: str, unique: str, nc: Client) -> Start:
    program = tmp_path / 'worker.py'
    program.write_text(PROGRAM, encoding='utf-8')
    return Start(program, server_url, walnats.Event(unique, int), nc)


@pytest.mark.parametrize('what', [signal.SIGTERM, signal.SIGINT])
async def test_on_the_first_signal_it_ends_its_jobs(start: Start, what: signal.Signals) -> None:
    async with start(5, 5) as worker:
        worker.send(what)
        await worker.expect('handled')
        await worker.expect('handled')
        await worker.expect('over')
        assert await worker.wait() == 0
    assert await start.unsettled() == 0


async def test_after_the_grace_jobs_are_another_workers_at_once(start: Start) -> None:
    async with start(600, 600, grace=0.3) as worker:
        began = time.monotonic()
        worker.send(signal.SIGTERM)
        await worker.expect('over')
        assert await worker.wait() == 0
        assert 0.3 <= time.monotonic() - began < 3
        assert await start.take(2) == [600, 600]


@pytest.mark.parametrize('second', [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_cancels(start: Start, second: signal.Signals) -> None:
    async with start(600, 600) as worker:
        worker.send(signal.SIGTERM)
        await asyncio.sleep(0.2)  # two at once are one
        began = time.monotonic()
        worker.send(second)
        await worker.expect('cancelled')
        assert await worker.wait() == 0
        assert time.monotonic() - began < 3
        assert await start.take(2) == [600, 600]


async def test_of_a_worker_that_is_killed_another_gets_the_messages_after_ack_wait(
    server_url: str, unique: str, start: Start, nc: Client
) -> None:
    event = walnats.Event(unique, int)
    async with start(600) as worker:
        # The consumer is the killed worker's: only its `ack_wait` is made short here.
        config = (await nc.jetstream().consumer_info(event.stream_name, 'actor')).config
        config.ack_wait = 0.5
        await nc.jetstream().add_consumer(event.stream_name, config)
        worker.send(signal.SIGKILL)
        await worker.wait()
    got: asyncio.Queue[int] = asyncio.Queue()
    actors = walnats.Actors(walnats.Actor('actor', event, got.put, ack_wait=0.5), dead_letters=None)
    async with actors.connect(server_url) as conn:
        task = asyncio.create_task(conn.listen())
        assert await asyncio.wait_for(got.get(), 35) == 600
        await conn.shutdown()
        await task


async def test_signal_handlers_are_put_back(server_url: str, unique: str) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)}
    actors = walnats.Actors(
        walnats.Actor('actor', walnats.Event(unique, int), lambda _: None), dead_letters=None
    )
    async with actors.connect(server_url) as conn:
        await conn.register()
        await conn.listen(burst=True, poll_delay=0.05, signals=tuple(before))
    after = {each: signal.getsignal(each) for each in before}
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert after == before


async def test_a_signal_after_a_request_is_the_first_one(server_url: str, unique: str) -> None:
    event = walnats.Event(unique, int)
    end, started = asyncio.Event(), asyncio.Event()

    async def handler(_: int) -> None:
        started.set()
        await end.wait()

    actors = walnats.Actors(walnats.Actor('actor', event, handler), dead_letters=None)
    async with (
        actors.connect(server_url) as conn,
        walnats.Events(event).connect(conn) as events,
    ):
        await conn.register()
        task = asyncio.create_task(conn.listen(signals=(signal.SIGUSR1,)))
        await events.emit(event, 1)
        await asyncio.wait_for(started.wait(), 5)
        conn.request_shutdown()
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.1)
        assert not task.done()
        end.set()
        await asyncio.wait_for(task, 5)
