"""nats-py, as one would write it by hand, with msgspec for the flights."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import nats
import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig

from bench.flight import NAME, Flight, make_flight

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from bench.child import Job

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Flight).decode
_NEXT = f'$JS.API.CONSUMER.MSG.NEXT.{NAME}.'
_TOPPED_UP_BY = 256


async def publish(job: Job) -> None:
    """Publish bytes that are ready, without acknowledgements but for that of the last one."""
    payload = _encode(make_flight(job.size))
    async with _connect(job) as (nc, js):
        await js.publish(NAME, payload)
        await job.begin()
        for _ in range(job.count):
            await nc.publish(NAME, payload)
        await js.publish(NAME, payload)
        job.end()


async def js_publish(job: Job) -> None:
    flight = make_flight(job.size)
    async with _connect(job) as (_, js):
        await js.publish(NAME, _encode(flight))
        await job.begin()
        for _ in range(job.count):
            await js.publish(NAME, _encode(flight))
        job.end()


async def publish_async(job: Job) -> None:
    flight = make_flight(job.size)
    async with _connect(job) as (nc, _):
        js = nc.jetstream(publish_async_max_pending=4000)
        await job.begin()
        acks = [await js.publish_async(NAME, _encode(flight)) for _ in range(job.count)]
        await asyncio.gather(*acks)
        job.end()


async def gather(job: Job) -> None:
    """Publish `batch` messages at once, and then the next ones."""
    flight, batch = make_flight(job.size), job.options['batch']
    async with _connect(job) as (_, js):
        await job.begin()
        for start in range(0, job.count, batch):
            size = min(batch, job.count - start)
            await asyncio.gather(
                *(js.publish(NAME, _encode(flight), timeout=30) for _ in range(size))
            )
        job.end()


async def fetch(job: Job) -> None:
    """Fetch and handle. Options: `batch`, `actors`, and `pause`: then a batch runs at once."""
    async with _connect(job) as (_, js):
        names = [f'hand-{number}' for number in range(job.options.get('actors', 1))]
        for name in names:
            await _add_consumer(js, name)
        loops = [await js.pull_subscribe_bind(name, NAME) for name in names]
        await job.begin()
        await asyncio.gather(*(_fetch_loop(job, loop) for loop in loops))
        job.end()


async def _fetch_loop(job: Job, loop: JetStreamContext.PullSubscription) -> None:
    missing, pause = job.count, job.options.get('pause')
    while missing > 0:
        messages = await loop.fetch(min(job.options['batch'], missing))
        missing -= len(messages)
        if pause:
            await asyncio.gather(*(_handle_slowly(message, pause) for message in messages))
        else:
            for message in messages:
                _decode(message.data)
                await message.ack()


async def _handle_slowly(message: Msg, pause: float) -> None:
    _decode(message.data)
    await asyncio.sleep(pause)
    await message.ack()


async def push(job: Job) -> None:
    """Handle in the callback of a push subscription."""
    missing, done = job.count, asyncio.Event()

    async def handler(message: Msg) -> None:
        nonlocal missing
        _decode(message.data)
        await message.ack()
        missing -= 1
        if not missing:
            done.set()

    async with _connect(job) as (nc, js):
        await _add_consumer(js, 'hand', deliver_subject=nc.new_inbox())
        await job.begin()
        await js.subscribe(NAME, durable='hand', stream=NAME, cb=handler, manual_ack=True)
        await done.wait()
        job.end()


async def ceiling(job: Job) -> None:
    """Pull without a pause, handle in the callback, and do nothing else at all."""
    missing, asked, done = job.count, 0, asyncio.Event()
    request = json.dumps({'batch': _TOPPED_UP_BY, 'expires': 30_000_000_000}).encode()

    async def handler(message: Msg) -> None:
        nonlocal missing, asked
        _decode(message.data)
        await nc.publish(message.reply, b'+ACK')
        missing -= 1
        asked -= 1
        if asked <= _TOPPED_UP_BY:
            await ask()
        if not missing:
            done.set()

    async def ask() -> None:
        nonlocal asked
        asked += _TOPPED_UP_BY
        await nc.publish(f'{_NEXT}hand', request, reply=inbox)

    async with _connect(job) as (nc, js):
        inbox = nc.new_inbox()
        await _add_consumer(js, 'hand')
        await nc.subscribe(inbox, cb=handler)
        await job.begin()
        await ask()
        await ask()
        await done.wait()
        job.end()


async def latency(job: Job) -> None:
    """Measure the time from a publish to the callback of a push subscription."""
    flight, handled = make_flight(job.size), asyncio.Event()
    arrived_at = 0.0

    async def handler(message: Msg) -> None:
        nonlocal arrived_at
        _decode(message.data)
        arrived_at = time.perf_counter()
        handled.set()
        await message.ack()

    async with _connect(job) as (_, js), _connect(job) as (nc, _):
        await js.subscribe(NAME, durable='hand', stream=NAME, cb=handler, manual_ack=True)
        await job.begin()
        for _ in range(job.count):
            await asyncio.sleep(job.options['pause'])
            handled.clear()
            sent_at = time.perf_counter()
            await nc.publish(NAME, _encode(flight))
            await handled.wait()
            job.latencies.append(arrived_at - sent_at)
        job.end()


async def request(job: Job) -> None:
    """Send requests of core NATS, which nothing stores, one after another."""

    async def handler(message: Msg) -> None:
        await message.respond(_encode(_decode(message.data).tail))

    flight = make_flight(job.size)
    async with _connect(job) as (worker, _), _connect(job) as (nc, _):
        await worker.subscribe('asked', cb=handler)
        await worker.flush()
        await job.begin()
        for _ in range(job.count):
            sent_at = time.perf_counter()
            answer = await nc.request('asked', _encode(flight), timeout=4)
            msgspec.json.decode(answer.data, type=str)
            job.latencies.append(time.perf_counter() - sent_at)
        job.end()


async def stored_request(job: Job) -> None:
    """Store requests in JetStream, one after another. A push subscription answers them."""

    async def handler(message: Msg) -> None:
        answer = _encode(_decode(message.data).tail)
        await worker.publish((message.headers or {})['answer-to'], answer)
        await message.ack()

    flight = make_flight(job.size)
    async with _connect(job) as (worker, worker_js), _connect(job) as (nc, _):
        await worker_js.subscribe(NAME, durable='hand', stream=NAME, cb=handler, manual_ack=True)
        inbox = nc.new_inbox()
        answers = await nc.subscribe(inbox)
        await job.begin()
        for _ in range(job.count):
            sent_at = time.perf_counter()
            await nc.publish(NAME, _encode(flight), headers={'answer-to': inbox})
            msgspec.json.decode((await answers.next_msg(timeout=4)).data, type=str)
            job.latencies.append(time.perf_counter() - sent_at)
        job.end()


async def idle(job: Job) -> None:
    """Wait in as many loops of `fetch(256)` as there are `actors`."""

    async def wait(loop: JetStreamContext.PullSubscription) -> None:
        while True:
            try:
                await loop.fetch(256, timeout=5)
            except nats.errors.TimeoutError:
                continue

    async with _connect(job) as (_, js):
        names = [f'hand-{number}' for number in range(job.options['actors'])]
        for name in names:
            await _add_consumer(js, name)
        loops = [await js.pull_subscribe_bind(name, NAME) for name in names]
        tasks = [asyncio.create_task(wait(loop)) for loop in loops]
        await asyncio.sleep(job.options['settle'])
        await job.begin()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def _connect(job: Job) -> AsyncIterator[tuple[Client, JetStreamContext]]:
    nc = await nats.connect(job.url)
    try:
        yield nc, nc.jetstream()
        await nc.flush()
    finally:
        await nc.close()


async def _add_consumer(js: JetStreamContext, name: str, **settings: Any) -> None:
    config = ConsumerConfig(
        durable_name=name, filter_subject=NAME, ack_policy=AckPolicy.EXPLICIT, **settings
    )
    await js.add_consumer(NAME, config)
