"""The scenarios. Each contender does the same work and returns the seconds that it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nats

import walnats

from .payload import EVENT, FLIGHT, Flight

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client

Contender = Callable[[str, int], Awaitable[float]]


@dataclass(frozen=True)
class Scenario:
    """One piece of work, done by walnats and by its peers.

    :param bars: for each peer, the least ratio of walnats' speed to its own.
    """

    name: str
    messages: int
    walnats: Contender
    peers: dict[str, Contender]
    bars: dict[str, float] = field(default_factory=dict)


async def emit(url: str, count: int) -> float:
    async with walnats.Events(EVENT).connect(url) as conn:
        await conn.register()
        await conn.emit(EVENT, FLIGHT, sync=True)
        started_at = time.perf_counter()
        for _ in range(count):
            await conn.emit(EVENT, FLIGHT)
        await conn.emit(EVENT, FLIGHT, sync=True)
        return time.perf_counter() - started_at


async def publish(url: str, count: int) -> float:
    payload = EVENT.encode(FLIGHT)
    async with _client(url) as nc:
        js = nc.jetstream()
        await js.publish(EVENT.subject_name, payload)
        started_at = time.perf_counter()
        for _ in range(count):
            await nc.publish(EVENT.subject_name, payload)
        await js.publish(EVENT.subject_name, payload)
        return time.perf_counter() - started_at


async def emit_sync(url: str, count: int) -> float:
    async with walnats.Events(EVENT).connect(url) as conn:
        await conn.register()
        await conn.emit(EVENT, FLIGHT, sync=True)
        started_at = time.perf_counter()
        for _ in range(count):
            await conn.emit(EVENT, FLIGHT, sync=True)
        return time.perf_counter() - started_at


async def js_publish(url: str, count: int) -> float:
    payload = EVENT.encode(FLIGHT)
    async with _client(url) as nc:
        js = nc.jetstream()
        await js.publish(EVENT.subject_name, payload)
        started_at = time.perf_counter()
        for _ in range(count):
            await js.publish(EVENT.subject_name, payload)
        return time.perf_counter() - started_at


async def emit_many(url: str, count: int) -> float:
    async with walnats.Events(EVENT).connect(url) as conn:
        await conn.register()
        started_at = time.perf_counter()
        summary = await conn.emit_many(EVENT, (FLIGHT for _ in range(count)))
        seconds = time.perf_counter() - started_at
    if summary.stored != count:
        raise RuntimeError(f'{summary.stored} of {count} messages are stored')
    return seconds


async def publish_async(url: str, count: int) -> float:
    async with _client(url) as nc:
        js = nc.jetstream(publish_async_max_pending=4000)
        started_at = time.perf_counter()
        acks = [
            await js.publish_async(EVENT.subject_name, EVENT.encode(FLIGHT)) for _ in range(count)
        ]
        await asyncio.gather(*acks)
        return time.perf_counter() - started_at


async def gathered_publish(url: str, count: int) -> float:
    at_once = 10_000  # as one would write it; small batches go faster
    async with _client(url) as nc:
        js = nc.jetstream()
        started_at = time.perf_counter()
        for _ in range(count // at_once):
            await asyncio.gather(
                *(
                    js.publish(EVENT.subject_name, EVENT.encode(FLIGHT), timeout=30)
                    for _ in range(at_once)
                )
            )
        return time.perf_counter() - started_at


def handle(max_jobs: int) -> Contender:
    async def run(url: str, count: int) -> float:
        handled = 0

        async def handler(_flight: Flight) -> None:
            nonlocal handled
            handled += 1
            if handled == count:
                conn.request_shutdown()

        actor = walnats.Actor('ours', EVENT, handler, max_jobs=max_jobs)
        async with walnats.Actors(actor).connect(url) as conn:
            await conn.register()
            await _preload(url, count)
            started_at = time.perf_counter()
            await conn.listen(max_jobs=max_jobs)
            return time.perf_counter() - started_at

    return run


async def fetch_loop(url: str, count: int) -> float:
    actor = walnats.Actor('peer', EVENT, print)
    async with AsyncExitStack() as stack:
        conn = await stack.enter_async_context(walnats.Actors(actor).connect(url))
        await conn.register()
        await _preload(url, count)
        nc = await stack.enter_async_context(_client(url))
        subscription = await nc.jetstream().pull_subscribe_bind('peer', EVENT.stream_name)
        handled = 0
        started_at = time.perf_counter()
        while handled < count:
            for msg in await subscription.fetch(256):
                EVENT.decode(msg.data)
                await msg.ack()
                handled += 1
        await nc.flush()
        return time.perf_counter() - started_at


async def _preload(url: str, count: int) -> None:
    async with walnats.Events(EVENT).connect(url) as conn:
        await conn.emit_many(EVENT, (FLIGHT for _ in range(count)))


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Client]:
    nc = await nats.connect(url)
    try:
        yield nc
    finally:
        await nc.close()


SCENARIOS = (
    Scenario('emit', 100_000, emit, {'nc.publish': publish}, {'nc.publish': 0.6}),
    Scenario('emit sync', 5_000, emit_sync, {'js.publish': js_publish}, {'js.publish': 0.95}),
    Scenario(
        'emit_many',
        50_000,
        emit_many,
        {'publish_async': publish_async, 'gathered js.publish': gathered_publish},
        {'publish_async': 2.0, 'gathered js.publish': 4.0},
    ),
    Scenario(
        'handle, max_jobs=256', 50_000, handle(256), {'fetch(256)': fetch_loop}, {'fetch(256)': 1.5}
    ),
    Scenario('handle, defaults', 50_000, handle(16), {'fetch(256)': fetch_loop}),
)
