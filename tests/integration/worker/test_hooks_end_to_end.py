"""Middlewares around real jobs: when they are called, what they are told, what they join."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import nats
import prometheus_client
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import walnats
from walnats import ExecuteIn, GiveUp
from walnats.errors import DecodeError
from walnats.middlewares import (
    CurrentContextMiddleware,
    Middleware,
    OpenTelemetryTraceMiddleware,
    PrometheusMiddleware,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nats.aio.msg import Msg
    from opentelemetry.sdk.trace import ReadableSpan
    from tests.integration.worker.conftest import Item, Stage

    from walnats.types import Context, ErrorContext, OkContext

PATIENCE = 10.0


class Notes(Middleware):
    """Notes the hooks that are called, and with what."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._changed = asyncio.Condition()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def of(self, name: str) -> list[Any]:
        return [ctx for each, ctx in self.calls if each == name]

    async def on_start(self, ctx: Context, /) -> None:
        await self._note('start', ctx)

    async def on_success(self, ctx: OkContext, /) -> None:
        await self._note('success', ctx)

    async def on_failure(self, ctx: ErrorContext, /) -> None:
        await self._note('failure', ctx)

    async def wait(self, count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.calls) >= count)
        return self.names

    async def _note(self, name: str, ctx: Context) -> None:
        self.calls.append((name, ctx))
        async with self._changed:
            self._changed.notify_all()


# --- When --------------------------------------------------------------------------------


async def test_start_hooks_end_before_the_handler_starts_and_in_its_context(stage: Stage) -> None:
    marked: ContextVar[str] = ContextVar('marked', default='')
    order: list[str] = []

    class Mark(Middleware):
        async def on_start(self, ctx: Context, /) -> None:
            await asyncio.sleep(0.01)
            marked.set(f'mark {ctx.message.n}')
            order.append('start')

        async def on_success(self, ctx: OkContext, /) -> None:
            order.append(f'success in {marked.get()}')

    async def handler(_: Item) -> None:
        order.append(f'handler in {marked.get()}')

    async with stage.listening(stage.actor(handler, middlewares=(Mark(),), max_jobs=1)):
        await stage.publish([1])
        await stage.wait_settled()
        await stage.publish([2])
        await stage.wait_settled()
    assert order == [
        *('start', 'handler in mark 1', 'success in mark 1'),
        *('start', 'handler in mark 2', 'success in mark 2'),
    ]
    assert marked.get() == ''


@pytest.mark.parametrize('burst', [False, True], ids=['for good', 'burst'])
@pytest.mark.parametrize(
    ('error', 'options', 'settled'),
    [
        (None, {}, '+ACK'),
        (ValueError(), {'retry_delay': (30,)}, '-NAK {"delay": 30000000000}'),
        (GiveUp('no'), {}, '+TERM no'),
    ],
    ids=['success', 'retry', 'dead'],
)
async def test_the_hooks_after_a_job_come_after_its_message_is_settled(
    stage: Stage, *, burst: bool, error: Exception | None, options: dict[str, Any], settled: str
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    client = await nats.connect(stage.url)

    class Tell(Middleware):
        async def on_success(self, ctx: OkContext, /) -> None:
            await client.publish(f'told.{stage.event.name}', b'hook')

        async def on_failure(self, ctx: ErrorContext, /) -> None:
            await client.publish(f'told.{stage.event.name}', b'hook')

    def handler(_: Item) -> None:
        if error is not None:
            raise error

    async def hear(msg: Msg) -> None:
        heard.put_nowait(msg.data.decode())

    # All of it goes over one connection, so the server sees it in the order of its sending.
    await stage.nc.subscribe(f'told.{stage.event.name}', cb=hear)
    await stage.nc.subscribe(f'$JS.ACK.{stage.event.stream_name}.>', cb=hear)
    await stage.nc.flush()
    actor = stage.actor(handler, middlewares=(Tell(),), **options)
    async with stage.connect(actor, server=client) as conn, asyncio.TaskGroup() as group:
        await stage.publish(1)
        listening = group.create_task(conn.listen(burst=burst))
        async with asyncio.timeout(PATIENCE):
            assert [await heard.get(), await heard.get()] == [settled, 'hook']
        listening.cancel()


async def test_what_hooks_are_told(stage: Stage) -> None:
    notes = Notes()
    seen = stage.seen(lambda item: 1 // (len(seen.numbers) - 1) and None)
    before = time.time()
    async with stage.listening(stage.actor(seen, middlewares=(notes,), retry_delay=(0,))):
        (ack,) = await stage.publish(
            1, {'Walnats-Trace': 'trace-7', 'X-Tenant': 'acme', 'Nats-Msg-Id': 'uid'}
        )
        assert await notes.wait(4) == ['start', 'failure', 'start', 'success']
    for name, attempts in (('failure', 1), ('success', 2)):
        (ctx,) = notes.of(name)
        assert (ctx.actor.name, ctx.message) == ('actor', stage.item(1))
        assert (ctx.attempts, ctx.seq_number, ctx.trace_id) == (attempts, ack.seq, 'trace-7')
        assert ctx.headers == {
            'Walnats-Trace': 'trace-7',
            'X-Tenant': 'acme',
            'Nats-Msg-Id': 'uid',
        }
        assert ctx.metadata.stream == stage.event.stream_name
        assert ctx.metadata.num_delivered == attempts
        assert abs(ctx.metadata.timestamp.timestamp() - before) < PATIENCE
    assert isinstance(notes.of('failure')[0].exception, ZeroDivisionError)
    assert 0 <= notes.of('success')[0].duration < PATIENCE
    assert [ctx.attempts for ctx in notes.of('start')] == [1, 2]


async def test_a_message_without_headers_has_none_and_no_trace_id(stage: Stage) -> None:
    notes = Notes()
    async with stage.listening(stage.actor(stage.seen(), middlewares=(notes,))):
        await stage.publish(1)
        await notes.wait(2)
    assert {ctx.headers for _, ctx in notes.calls} == {None}
    assert {ctx.trace_id for _, ctx in notes.calls} == {None}


async def test_a_message_that_is_held_back_triggers_none_and_is_no_attempt(stage: Stage) -> None:
    notes = Notes()
    async with stage.listening(stage.actor(stage.seen(), middlewares=(notes,))):
        await stage.publish(1, {'Walnats-Delay': str(time.time() + 0.4)})
        assert await notes.wait(2) == ['start', 'success']
    (ctx,) = notes.of('start')
    assert (ctx.attempts, ctx.metadata.num_delivered) == (1, 2)


async def test_a_message_that_is_handed_back_unrun_triggers_none(stage: Stage) -> None:
    names = ('one', 'other')
    notes = Notes()
    seen = stage.seen(lambda _: asyncio.Event().wait())
    actors = [stage.actor(seen, name, middlewares=(notes,)) for name in names]
    async with stage.connect(*actors) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen(max_jobs=1))
        await stage.until(are_held, stage, names)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert seen.numbers == [1]
    assert notes.names == ['start', 'failure']


async def are_held(stage: Stage, names: tuple[str, ...]) -> bool:
    return all([(await stage.info(name)).num_ack_pending == 1 for name in names])


async def test_a_job_that_is_cancelled_has_failed_by_that(stage: Stage) -> None:
    notes = Notes()
    seen = stage.seen(lambda _: asyncio.Event().wait())
    async with stage.connect(stage.actor(seen, middlewares=(notes,))) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen())
        await seen.wait(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert notes.names == ['start', 'failure']
        assert isinstance(notes.of('failure')[0].exception, asyncio.CancelledError)
        assert await stage.take(1, 1) == [1]


async def test_what_can_not_be_decoded_fails_without_a_start_and_without_message(
    stage: Stage,
) -> None:
    notes = Notes()
    async with stage.listening(stage.actor(stage.seen(), middlewares=(notes,))):
        await stage.publish_raw(b'{', {'Walnats-Trace': 'trace-7'})
        assert await notes.wait(1) == ['failure']
        await stage.wait_settled()
    ((_, ctx),) = notes.calls
    assert ctx.message is None
    assert isinstance(ctx.exception, DecodeError)
    assert (ctx.attempts, ctx.trace_id) == (1, 'trace-7')


async def test_the_failure_record_comes_before_the_failure_hooks(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    records: list[str] = []

    class Look(Middleware):
        def on_failure(self, ctx: ErrorContext, /) -> None:
            records.extend(
                each.getMessage() for each in caplog.records if each.name == 'walnats.actor'
            )

    seen = stage.seen(lambda _: 1 // 0)
    async with stage.listening(stage.actor(seen, middlewares=(Look(),), retry_delay=(30,))):
        await stage.publish(1)
        await stage.until(has_any, records)
    assert records == ['Unhandled ZeroDivisionError in "actor" actor']


async def has_any(records: list[str]) -> bool:
    return bool(records)


@pytest.mark.parametrize(
    'error',
    [ValueError('x'), SystemExit(1), asyncio.CancelledError(), KeyboardInterrupt()],
    ids=lambda error: type(error).__name__,
)
async def test_a_middleware_that_fails_harms_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    class Broken(Middleware):
        def on_start(self, ctx: Context, /) -> None:
            raise error

        async def on_success(self, ctx: OkContext, /) -> None:
            await asyncio.sleep(0)
            raise error

        async def on_failure(self, ctx: ErrorContext, /) -> None:
            raise error

    notes = Notes()
    seen = stage.seen(lambda _: 1 // (len(seen.numbers) - 1) and None)
    actor = stage.actor(seen, middlewares=(Broken(), notes, Broken()), retry_delay=(0,))
    async with stage.listening(actor):
        await stage.publish(1)
        assert await notes.wait(4) == ['start', 'failure', 'start', 'success']
        await stage.wait_settled()
        await stage.publish([2])
        await seen.wait(3)
    raised = [each for each in caplog.records if each.name == 'walnats.middlewares']
    assert len([each for each in raised if 'Broken.on_start' in each.getMessage()]) >= 4
    assert {each.levelno for each in raised} == {logging.ERROR}


async def test_a_slow_failure_hook_does_not_put_the_retry_off(stage: Stage) -> None:
    """The message is back with the server by then: a sign of life would keep it there."""

    class Slow(Middleware):
        async def on_failure(self, ctx: ErrorContext, /) -> None:
            await asyncio.wait_for(retried.wait(), PATIENCE)

    retried = asyncio.Event()
    seen = stage.seen(lambda _: retried.set() if len(seen.numbers) == 2 else 1 / 0)
    actor = stage.actor(seen, middlewares=(Slow(),), ack_wait=1.2, retry_delay=(1,))
    async with stage.listening(actor):
        await stage.publish(1)
        await seen.wait(2)
        await stage.wait_settled()
    assert 1 <= seen.times[1] - seen.times[0] < 1.18


async def test_a_hook_sees_the_context_of_a_job_in_a_thread(stage: Stage) -> None:
    current = CurrentContextMiddleware()
    found: list[tuple[Any, str]] = []

    def handler(_: Item) -> None:
        found.append((current.context.message, threading.current_thread().name))

    actor = stage.actor(handler, middlewares=(current,), execute_in=ExecuteIn.THREAD)
    async with stage.listening(actor):
        await stage.publish(1)
        await stage.wait_settled()
    ((message, thread),) = found
    assert message == stage.item(1)
    assert thread != threading.main_thread().name


# --- Traces ------------------------------------------------------------------------------


class Otel:
    """A tracer that keeps its spans."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self.tracer = provider.get_tracer('tests')
        self.exporter = exporter

    def named(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.exporter.get_finished_spans() if span.name == name)
        return span


@pytest.fixture
def otel() -> Iterator[Otel]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Otel(exporter, provider)
    provider.shutdown()


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


class System:
    """Two actors of the event `signed-up`, one of which emits `mail-sent`, which has a third."""

    def __init__(self, prefix: str, *middlewares: Any) -> None:
        self.signed_up = walnats.Event(f'{prefix}-signed-up', str)
        self.mail_sent = walnats.Event(f'{prefix}-mail-sent', str)
        self.done: asyncio.Queue[str] = asyncio.Queue()
        self._events: Any = None
        options: Any = {'middlewares': middlewares}
        self.actors = walnats.Actors(
            walnats.Actor('send-mail', self.signed_up, self._send_mail, **options),
            walnats.Actor('count', self.signed_up, self._count, **options),
            walnats.Actor('archive', self.mail_sent, self._archive, **options),
        )

    @contextlib.asynccontextmanager
    async def run(self, url: str) -> AsyncIterator[Any]:
        """Run a worker, and give the connection of another program, a web service say."""
        events = walnats.Events(self.signed_up, self.mail_sent)
        async with (
            self.actors.connect(url) as worker,
            events.connect(worker) as self._events,
            events.connect(url) as web,
        ):
            await worker.register()
            task = asyncio.create_task(worker.listen())
            try:
                yield web
            finally:
                await worker.shutdown()
                await task

    async def wait(self) -> list[str]:
        async with asyncio.timeout(PATIENCE):
            return sorted([await self.done.get() for _ in range(3)])

    async def _send_mail(self, name: str) -> None:
        await self._events.emit(self.mail_sent, name)
        self.done.put_nowait('send-mail')

    async def _count(self, _: str) -> None:
        self.done.put_nowait('count')

    async def _archive(self, _: str) -> None:
        self.done.put_nowait('archive')


async def test_one_trace_from_a_request_through_two_actors_to_a_third(
    server_url: str, unique: str, otel: Otel
) -> None:
    system = System(unique, OpenTelemetryTraceMiddleware(otel.tracer))
    async with system.run(server_url) as web:
        with otel.tracer.start_as_current_span('POST /users', kind=SpanKind.SERVER):
            await web.emit(system.signed_up, 'Ada', sync=True)
        assert await system.wait() == ['archive', 'count', 'send-mail']
    request = otel.named('POST /users')
    trace_id, request_id = ids(request)
    parents = {
        name: (span.parent.trace_id, span.parent.span_id)
        for name in ('send-mail', 'count', 'archive')
        if (span := otel.named(name)).parent is not None
    }
    assert parents == {
        'send-mail': (trace_id, request_id),
        'count': (trace_id, request_id),
        'archive': (trace_id, ids(otel.named('send-mail'))[1]),
    }
    assert len({ids(otel.named(name)) for name in (*parents, 'POST /users')}) == 4
    assert {otel.named(name).kind for name in parents} == {SpanKind.CONSUMER}
    assert {ids(span)[0] for span in otel.exporter.get_finished_spans()} == {trace_id}


async def test_without_a_span_each_message_is_a_trace_of_its_own_that_goes_on(
    server_url: str, unique: str, otel: Otel
) -> None:
    system = System(unique, OpenTelemetryTraceMiddleware(otel.tracer))
    async with system.run(server_url) as web:
        # The span in which `listen` was called, if there was one, has nothing to do with it.
        await web.emit(system.signed_up, 'Ada', sync=True)
        await system.wait()
    sent, counted = otel.named('send-mail'), otel.named('count')
    archived = otel.named('archive')
    assert sent.parent is None
    assert counted.parent is None
    assert ids(sent)[0] != ids(counted)[0]
    assert archived.parent is not None
    assert (archived.parent.trace_id, archived.parent.span_id) == ids(sent)


async def test_the_trace_id_goes_from_actor_to_actor(server_url: str, unique: str) -> None:
    notes = Notes()
    system = System(unique, notes)
    async with system.run(server_url) as web:
        await web.emit(system.signed_up, 'Ada', trace_id='trace-7', sync=True)
        await system.wait()
        await web.emit(system.signed_up, 'Grace', sync=True)
        await system.wait()
        await notes.wait(12)
    found = [(ctx.actor.name, ctx.message, ctx.trace_id) for ctx in notes.of('success')]
    assert sorted(found, key=str) == sorted(
        [
            (name, who, trace_id)
            for who, trace_id in (('Ada', 'trace-7'), ('Grace', None))
            for name in ('archive', 'count', 'send-mail')
        ],
        key=str,
    )


# --- Metrics -----------------------------------------------------------------------------


async def test_prometheus_tells_what_happened(stage: Stage) -> None:
    registry = prometheus_client.CollectorRegistry()
    notes = Notes()
    seen = stage.seen(lambda item: 1 // 0 if item.n == 2 and seen.numbers.count(2) == 1 else None)
    middlewares = notes, PrometheusMiddleware(registry=registry)
    async with stage.listening(stage.actor(seen, middlewares=middlewares, retry_delay=(0,))):
        await stage.publish(range(3))
        await stage.publish_raw(b'{')
        await notes.wait(4 + 3 + 2)
    text = prometheus_client.generate_latest(registry).decode()
    labels = f'actor="actor",event="{stage.event.name}"'
    failed = f'walnats_jobs_failed_total{{actor="actor",event="{stage.event.name}",exception='
    for line in (
        f'walnats_jobs_started_total{{{labels}}} 4.0',
        f'walnats_jobs_processed_total{{{labels}}} 3.0',
        f'{failed}"ZeroDivisionError"}} 1.0',
        f'{failed}"DecodeError"}} 1.0',
        f'walnats_job_duration_seconds_count{{{labels}}} 3.0',
    ):
        assert line in text.splitlines(), text
