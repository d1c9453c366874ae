"""walnats, as its documentation says to use it."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypedDict

import walnats
from bench.flight import NAME, Flight, make_flight

if TYPE_CHECKING:
    from bench.child import Job

EVENT = walnats.Event(NAME, Flight)
ASKED = EVENT.with_response(str)


class _Limits(TypedDict, total=False):
    max_jobs: int


async def emit(job: Job) -> None:
    flight = make_flight(job.size)
    async with walnats.Events(EVENT).connect(job.url) as conn:
        await conn.emit(EVENT, flight, sync=True)
        await job.begin()
        for _ in range(job.count):
            await conn.emit(EVENT, flight)
        await conn.emit(EVENT, flight, sync=True)
        job.end()


async def emit_sync(job: Job) -> None:
    flight = make_flight(job.size)
    async with walnats.Events(EVENT).connect(job.url) as conn:
        await conn.emit(EVENT, flight, sync=True)
        await job.begin()
        for _ in range(job.count):
            await conn.emit(EVENT, flight, sync=True)
        job.end()


async def emit_many(job: Job) -> None:
    flight = make_flight(job.size)
    async with walnats.Events(EVENT).connect(job.url) as conn:
        await conn.emit(EVENT, flight, sync=True)
        await job.begin()
        await conn.emit_many(EVENT, (flight for _ in range(job.count)))
        job.end()


async def handle(job: Job) -> None:
    """Handle what is there. Options: `max_jobs`, `actors`, `pause` in seconds."""
    pause, missing = job.options.get('pause'), job.count * job.options.get('actors', 1)

    async def handler(_flight: Flight) -> None:
        nonlocal missing
        if pause:
            await asyncio.sleep(pause)
        missing -= 1
        if missing == 0:
            job.end()
            conn.request_shutdown()

    limits = _limits(job)
    async with _actors(job, handler).connect(job.url) as conn:
        await conn.register()
        await job.begin()
        await conn.listen(**limits)


async def share(job: Job) -> None:
    """Handle what other processes don't, until told that nothing is left."""

    async def handler(_flight: Flight) -> None:
        job.end()

    async with _actors(job, handler).connect(job.url) as conn:
        await conn.register()
        await job.begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(conn.listen(**_limits(job)))
            await job.hear()
            conn.request_shutdown()


async def latency(job: Job) -> None:
    """Measure the time from an emit to the handler, one message at a time."""
    flight, handled = make_flight(job.size), asyncio.Event()
    arrived_at = 0.0

    async def handler(_flight: Flight) -> None:
        nonlocal arrived_at
        arrived_at = time.perf_counter()
        handled.set()

    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(_actors(job, handler).connect(job.url))
        conn = await stack.enter_async_context(walnats.Events(EVENT).connect(job.url))
        await worker.register()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(worker.listen())
        await job.begin()
        for _ in range(job.count):
            await asyncio.sleep(job.options['pause'])
            handled.clear()
            sent_at = time.perf_counter()
            await conn.emit(EVENT, flight)
            await handled.wait()
            job.latencies.append(arrived_at - sent_at)
        job.end()
        worker.request_shutdown()


async def request(job: Job) -> None:
    """Send requests, one after another."""

    async def handler(flight: Flight) -> str:
        return flight.tail

    flight, actor = make_flight(job.size), walnats.Actor('ours', ASKED, handler)
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(walnats.Actors(actor).connect(job.url))
        conn = await stack.enter_async_context(walnats.Events(ASKED).connect(job.url))
        await worker.register()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(worker.listen())
        await conn.request(ASKED, flight)
        await job.begin()
        for _ in range(job.count):
            sent_at = time.perf_counter()
            await conn.request(ASKED, flight)
            job.latencies.append(time.perf_counter() - sent_at)
        job.end()
        worker.request_shutdown()


async def idle(job: Job) -> None:
    """Wait for messages that don't come."""

    async def handler(_flight: Flight) -> None: ...

    async with _actors(job, handler).connect(job.url) as conn:
        await conn.register()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(conn.listen())
            await asyncio.sleep(job.options['settle'])
            await job.begin()
            conn.request_shutdown()


def _actors(job: Job, handler: Any) -> walnats.Actors:
    actors = job.options.get('actors', 1)
    return walnats.Actors(
        *(
            walnats.Actor(f'ours-{number}', EVENT, handler, **_limits(job))
            for number in range(actors)
        )
    )


def _limits(job: Job) -> _Limits:
    """Give `max_jobs` where a scenario sets it: it is an option of both actors and `listen`."""
    return {'max_jobs': job.options['max_jobs']} if 'max_jobs' in job.options else {}
