"""What a worker tells of itself."""

from __future__ import annotations

import asyncio

import walnats
from walnats.types import WorkerStatus


async def test_status_of_a_worker(server_url: str, unique: str) -> None:
    event = walnats.Event(unique, int)
    started: asyncio.Queue[int] = asyncio.Queue()
    end = asyncio.Event()

    async def handler(number: int) -> None:
        started.put_nowait(number)
        await end.wait()

    actors = walnats.Actors(walnats.Actor('actor', event, handler, max_jobs=2), dead_letters=None)
    async with asyncio.timeout(20), actors.connect(server_url) as conn:
        idle = WorkerStatus(connected=True, listening=False, jobs=0, held=0)
        assert conn.status == idle
        await conn.register()
        async with walnats.Events(event).connect(conn) as events:
            await events.emit_many(event, range(3))
        listening = asyncio.create_task(conn.listen())
        for _ in range(2):
            await started.get()
        status = conn.status
        assert (status.connected, status.listening, status.jobs) == (True, True, 2)
        assert status.held >= 2
        conn.request_shutdown()
        assert not conn.status.listening
        end.set()
        await listening
        assert conn.status == idle
    assert conn.status.connected is False
