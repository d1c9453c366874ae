"""FastStream's NATS broker: JetStream subscribers that acknowledge after the handler, and no logs.

A plain dataclass goes through pydantic as well, and is as fast as a model of pydantic. More than
one worker (`max_workers`) makes it slower, for pull and push.
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported,untyped-decorator"
# mypy: disable-error-code="misc,unused-ignore"
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from nats.js.api import AckPolicy as NatsAckPolicy, ConsumerConfig

from bench.flight import NAME, Flight, make_flight

if TYPE_CHECKING:
    from bench.child import Job

_STREAM = JStream(NAME, declare=False)


async def publish(job: Job) -> None:
    """Publish without acknowledgements but for that of the last one."""
    flight = make_flight(job.size)
    async with _broker(job) as broker:
        await broker.publish(flight, NAME, stream=NAME)
        await job.begin()
        for _ in range(job.count):
            await broker.publish(flight, NAME)
        await broker.publish(flight, NAME, stream=NAME, timeout=30)
        job.end()


async def js_publish(job: Job) -> None:
    flight = make_flight(job.size)
    async with _broker(job) as broker:
        await broker.publish(flight, NAME, stream=NAME)
        await job.begin()
        for _ in range(job.count):
            await broker.publish(flight, NAME, stream=NAME)
        job.end()


async def gather(job: Job) -> None:
    """Publish `batch` messages at once, and then the next ones."""
    flight, batch = make_flight(job.size), job.options['batch']
    async with _broker(job) as broker:
        await job.begin()
        for start in range(0, job.count, batch):
            size = min(batch, job.count - start)
            await asyncio.gather(
                *(broker.publish(flight, NAME, stream=NAME, timeout=30) for _ in range(size))
            )
        job.end()


async def pull(job: Job) -> None:
    """Handle each message of a batch in a task of its own. Options: `batch`, `actors`, `pause`."""
    pause, missing = job.options.get('pause'), job.count * job.options.get('actors', 1)
    done = asyncio.Event()

    async def handler(_flight: Flight) -> None:
        nonlocal missing
        if pause:
            await asyncio.sleep(pause)
        missing -= 1
        if not missing:
            done.set()

    await _handle(job, handler, done, pull_sub=PullSub(batch_size=job.options['batch']))


async def pull_lists(job: Job) -> None:
    """Handle a batch as a list."""
    missing, done = job.count, asyncio.Event()

    async def handler(flights: list[Flight]) -> None:
        nonlocal missing
        missing -= len(flights)
        if not missing:
            done.set()

    pull_sub = PullSub(batch_size=job.options['batch'], batch=True)
    await _handle(job, handler, done, pull_sub=pull_sub)


async def push(job: Job) -> None:
    """Handle one message after another."""
    missing, done = job.count, asyncio.Event()

    async def handler(_flight: Flight) -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            done.set()

    await _handle(job, handler, done)


async def request(job: Job) -> None:
    """Store requests in JetStream, one after another."""

    async def handler(flight: Flight) -> str:
        return flight.tail

    flight, broker = make_flight(job.size), _broker(job)
    broker.subscriber(NAME, stream=_STREAM, durable='fast', ack_policy=AckPolicy.NACK_ON_ERROR)(
        handler
    )
    async with broker:
        await broker.start()
        await broker.request(flight, NAME, stream=NAME)
        await job.begin()
        for _ in range(job.count):
            sent_at = time.perf_counter()
            await (await broker.request(flight, NAME, stream=NAME)).decode()
            job.latencies.append(time.perf_counter() - sent_at)
        job.end()


async def idle(job: Job) -> None:
    """Wait in as many subscribers as there are `actors`."""

    async def handler(_flight: Flight) -> None: ...

    broker = _broker(job)
    await _subscribe(job, broker, handler, pull_sub=PullSub(batch_size=256))
    async with broker:
        await broker.start()
        await asyncio.sleep(job.options['settle'])
        await job.begin()


def _broker(job: Job) -> Any:
    return NatsBroker(job.url, logger=None)


async def _handle(job: Job, handler: Any, done: asyncio.Event, **how: Any) -> None:
    broker = _broker(job)
    await _subscribe(job, broker, handler, **how)
    async with broker:
        await job.begin()
        await broker.start()
        await done.wait()
        job.end()
        # The last acknowledgements come after their handlers.
        await asyncio.sleep(0.1)


async def _subscribe(job: Job, broker: Any, handler: Any, **how: Any) -> None:
    """Subscribe, with consumers that are there before the messages are."""
    nc = await broker.connect()
    for number in range(job.options.get('actors', 1)):
        name = f'fast-{number}'
        config = ConsumerConfig(
            durable_name=name,
            filter_subject=NAME,
            ack_policy=NatsAckPolicy.EXPLICIT,
            deliver_subject=None if 'pull_sub' in how else nc.new_inbox(),
        )
        await nc.jetstream().add_consumer(NAME, config)
        broker.subscriber(
            NAME, stream=_STREAM, durable=name, ack_policy=AckPolicy.NACK_ON_ERROR, **how
        )(handler)
