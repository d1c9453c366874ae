from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode

from walnats._publisher.headers import build_headers
from walnats.errors import DeclarationTypeError
from walnats.middlewares import Middleware, OpenTelemetryTraceMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, Tracer
    from tests.unit.middlewares.conftest import Jobs

    from walnats._context import ErrorContext, OkContext

TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
SPAN_ID = 'b7ad6b7169203331'
PARENT = f'00-{TRACE_ID}-{SPAN_ID}-01'
OTHER = '00-11111111111111111111111111111111-2222222222222222-01'


class Otel:
    """A tracer that keeps its spans."""

    def __init__(self, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
        self.tracer: Tracer = provider.get_tracer('tests')
        self._exporter = exporter

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        return list(self._exporter.get_finished_spans())

    @property
    def only(self) -> ReadableSpan:
        (span,) = self.spans
        return span


@pytest.fixture
def otel() -> Iterator[Otel]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Otel(provider, exporter)
    provider.shutdown()


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def ids(span: ReadableSpan) -> tuple[str, str]:
    return f'{context_of(span).trace_id:032x}', f'{context_of(span).span_id:016x}'


def parent_ids(span: ReadableSpan) -> tuple[str, str] | None:
    if span.parent is None:
        return None
    return f'{span.parent.trace_id:032x}', f'{span.parent.span_id:016x}'


def emit() -> dict[str, str]:
    """Give the headers that a message would have which is emitted here."""
    return build_headers(uid=None, trace_id=None, due=None, meta=None) or {}


async def test_a_job_is_a_span(make_jobs: type[Jobs], otel: Otel) -> None:
    await make_jobs(OpenTelemetryTraceMiddleware(otel.tracer)).run(attempts=2)
    span = otel.only
    assert span.name == 'greet'
    assert span.kind is SpanKind.CONSUMER
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        'event': 'user.created',
        messaging_attributes.MESSAGING_SYSTEM: 'nats',
        messaging_attributes.MESSAGING_OPERATION_NAME: 'process',
        messaging_attributes.MESSAGING_OPERATION_TYPE: 'process',
        messaging_attributes.MESSAGING_DESTINATION_NAME: 'user.created',
        messaging_attributes.MESSAGING_CONSUMER_GROUP_NAME: 'greet',
        messaging_attributes.MESSAGING_MESSAGE_ID: '42',
        'walnats.attempts': 2,
    }


async def test_a_failed_job_has_the_error(make_jobs: type[Jobs], otel: Otel) -> None:
    await make_jobs(OpenTelemetryTraceMiddleware(otel.tracer)).fail(ValueError('text'))
    span = otel.only
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        'ValueError: text',
    )
    assert (span.attributes or {})[error_attributes.ERROR_TYPE] == 'ValueError'
    (event,) = span.events
    assert event.name == 'exception'
    assert (event.attributes or {})['exception.type'] == 'ValueError'
    assert (event.attributes or {})['exception.message'] == 'text'


async def test_the_type_of_an_error_is_its_full_name(make_jobs: type[Jobs], otel: Otel) -> None:
    jobs = make_jobs(OpenTelemetryTraceMiddleware(otel.tracer))
    await jobs.fail(asyncio.QueueEmpty())
    assert (otel.only.attributes or {})['error.type'] == 'asyncio.queues.QueueEmpty'


async def test_an_error_without_words_still_ends_the_span(
    make_jobs: type[Jobs], otel: Otel
) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise TypeError('no words')

    await make_jobs(OpenTelemetryTraceMiddleware(otel.tracer)).fail(SilentError())
    assert otel.only.name == 'greet'


async def test_a_message_that_can_not_be_decoded_is_a_span_too(
    make_jobs: type[Jobs], otel: Otel
) -> None:
    jobs = make_jobs(OpenTelemetryTraceMiddleware(otel.tracer))
    await jobs.fail_to_decode(ValueError('text'), headers={'traceparent': PARENT})
    assert otel.only.status.status_code is StatusCode.ERROR
    assert parent_ids(otel.only) == (TRACE_ID, SPAN_ID)


# --- The parent --------------------------------------------------------------


@pytest.mark.parametrize(
    'headers',
    [
        {'traceparent': PARENT},
        {'Traceparent': PARENT},
        {'traceparent': PARENT, 'Walnats-Trace': OTHER},
        {'Walnats-Trace': PARENT},
        {'traceparent': 'nonsense', 'Walnats-Trace': PARENT},
    ],
)
async def test_the_parent_is_traceparent_else_the_trace_id(
    headers: dict[str, str], make_jobs: type[Jobs], otel: Otel
) -> None:
    await make_jobs(OpenTelemetryTraceMiddleware(otel.tracer)).run(headers=headers)
    assert parent_ids(otel.only) == (TRACE_ID, SPAN_ID)
    assert otel.only.parent is not None
    assert otel.only.parent.is_remote


async def test_the_trace_state_goes_on(make_jobs: type[Jobs], otel: Otel) -> None:
    headers = {'traceparent': PARENT, 'tracestate': 'a=b,c=d'}
    await make_jobs(OpenTelemetryTraceMiddleware(otel.tracer)).run(headers=headers)
    assert context_of(otel.only).trace_state.to_header() == 'a=b,c=d'


@pytest.mark.parametrize(
    'headers',
    [None, {'X-A': 'b'}, {'Walnats-Trace': TRACE_ID}, {'traceparent': ''}, {'traceparent': '00-0'}],
)
async def test_else_it_starts_a_trace_also_where_listen_has_a_span(
    headers: dict[str, str] | None, make_jobs: type[Jobs], otel: Otel
) -> None:
    with otel.tracer.start_as_current_span('main'):
        await make_jobs(OpenTelemetryTraceMiddleware(otel.tracer)).run(headers=headers)
    job, main = otel.spans
    assert main.name == 'main'
    assert job.parent is None
    assert ids(job)[0] != ids(main)[0]


async def test_a_trace_id_of_another_form_is_an_attribute(
    make_jobs: type[Jobs], otel: Otel
) -> None:
    jobs = make_jobs(OpenTelemetryTraceMiddleware(otel.tracer))
    await jobs.run(headers={'Walnats-Trace': 'request-7'})
    assert (otel.only.attributes or {})['walnats.trace_id'] == 'request-7'


async def test_a_parent_that_is_not_sampled_is_followed(make_jobs: type[Jobs], otel: Otel) -> None:
    jobs = make_jobs(OpenTelemetryTraceMiddleware(otel.tracer))
    await jobs.run(headers={'traceparent': f'00-{TRACE_ID}-{SPAN_ID}-00'})
    assert otel.spans == []


# --- In the handler ----------------------------------------------------------


async def test_the_span_is_the_current_one(make_jobs: type[Jobs], otel: Otel) -> None:
    async def handler(_: str) -> None:
        assert trace.get_current_span() is middleware.span
        with otel.tracer.start_as_current_span('inner'):
            await asyncio.sleep(0)
        middleware.span.set_attribute('own', 'attribute')
        await asyncio.to_thread(lambda: middleware.span.set_attribute('in', 'thread'))

    middleware = OpenTelemetryTraceMiddleware(otel.tracer)
    await make_jobs(middleware).run(handler)
    inner, job = otel.spans
    assert parent_ids(inner) == ids(job)
    assert (job.attributes or {})['own'] == 'attribute'
    assert (job.attributes or {})['in'] == 'thread'


async def test_after_the_job_the_one_before_is_current_again(
    make_jobs: type[Jobs], otel: Otel, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    class Looking(Middleware):
        def on_success(self, ctx: OkContext) -> None:
            seen.extend([trace.get_current_span(), middleware.span])

        def on_failure(self, ctx: ErrorContext) -> None:
            seen.extend([trace.get_current_span(), middleware.span])

    middleware = OpenTelemetryTraceMiddleware(otel.tracer)
    jobs = make_jobs(Looking(), middleware)
    with otel.tracer.start_as_current_span('main') as main:
        await jobs.run()
        await jobs.fail(ValueError('x'))
    assert seen == [main, trace.INVALID_SPAN] * 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_outside_of_a_job_there_is_a_span_that_is_not_recorded(
    make_jobs: type[Jobs], otel: Otel
) -> None:
    middleware = OpenTelemetryTraceMiddleware(otel.tracer)
    await make_jobs(middleware).run()
    middleware.span.set_attribute('a', 'b')
    assert not middleware.span.is_recording()


async def test_jobs_at_the_same_time_are_told_apart(make_jobs: type[Jobs], otel: Otel) -> None:
    barrier = asyncio.Barrier(4)

    async def handler(message: str) -> None:
        await barrier.wait()
        middleware.span.set_attribute('message', message)

    middleware = OpenTelemetryTraceMiddleware(otel.tracer)
    jobs = make_jobs(middleware)
    await asyncio.gather(*(jobs.run(handler, message=str(n), actor=f'actor-{n}') for n in range(4)))
    seen = {(span.name, (span.attributes or {})['message']) for span in otel.spans}
    assert seen == {(f'actor-{n}', str(n)) for n in range(4)}


async def test_producers_and_consumers_join_in_one_trace(make_jobs: type[Jobs], otel: Otel) -> None:
    emitted: dict[str, str] = {}

    async def emitting(_: str) -> None:
        emitted.update(emit())

    jobs = make_jobs(OpenTelemetryTraceMiddleware(otel.tracer))
    with otel.tracer.start_as_current_span('request'):
        headers = emit()
    await jobs.run(emitting, actor='first', headers=headers)
    await jobs.run(actor='second', headers=headers)
    await jobs.run(actor='third', headers=emitted)
    spans = {span.name: span for span in otel.spans}
    assert {ids(span)[0] for span in spans.values()} == {ids(spans['request'])[0]}
    assert parent_ids(spans['first']) == ids(spans['request'])
    assert parent_ids(spans['second']) == ids(spans['request'])
    assert parent_ids(spans['third']) == ids(spans['first'])


@pytest.mark.parametrize('value', [None, TracerProvider])
def test_what_is_no_tracer_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='tracer must be an instance of Tracer'):
        OpenTelemetryTraceMiddleware(value)
