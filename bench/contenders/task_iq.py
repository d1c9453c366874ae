"""taskiq-nats: its pull broker and taskiq's own receiver, without a store for results."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported,untyped-decorator"
# mypy: disable-error-code="misc,unused-ignore"
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from taskiq.api import run_receiver_task
from taskiq_nats import PullBasedJetStreamBroker

from bench.flight import NAME, Flight, make_flight

if TYPE_CHECKING:
    from bench.child import Job


async def kick(job: Job) -> None:
    """Send tasks, one after another: each is acknowledged."""
    flight, broker = make_flight(job.size), _broker(job)
    task = broker.task(task_name=NAME)(_do_nothing)
    await broker.startup()
    await job.begin()
    for _ in range(job.count):
        await task.kiq(flight)
    job.end()
    await broker.shutdown()


async def pull(job: Job) -> None:
    """Handle `batch` messages at once. Options: `batch`, `pause`."""
    missing, pause, done = job.count, job.options.get('pause'), asyncio.Event()

    async def handler(_flight: Flight) -> None:
        nonlocal missing
        if pause:
            await asyncio.sleep(pause)
        missing -= 1
        if not missing:
            done.set()

    batch, broker = job.options['batch'], _broker(job)
    task = broker.task(task_name=NAME)(handler)
    await broker.startup()
    message = task.kicker()._prepare_message(make_flight(job.size))  # noqa: SLF001 -- its wire form
    ready = broker.formatter.dumps(message)
    await job.begin(ready.message, ready.labels)
    receiver = asyncio.create_task(
        run_receiver_task(broker, max_async_tasks=batch, max_prefetch=batch)
    )
    await done.wait()
    job.end()
    # The last acknowledgements come after their handlers.
    await asyncio.sleep(0.1)
    receiver.cancel()
    await asyncio.wait([receiver])
    await broker.shutdown()


async def _do_nothing(_flight: Flight) -> None: ...


def _broker(job: Job) -> Any:
    return PullBasedJetStreamBroker(
        job.url,
        subject=NAME,
        stream_name=NAME,
        durable='task',
        pull_consume_batch=job.options.get('batch', 1),
        pull_consume_timeout=5,
    )
