"""Spans for OpenTelemetry."""

from __future__ import annotations

from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from .._checks import Fields
from ._base import Middleware
from ._optional import missing_package

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context as OtelContext
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from .._context import Context, ErrorContext, OkContext


class OpenTelemetryTraceMiddleware(Middleware):
    """Makes each job a span of OpenTelemetry.

    The span is named after the actor and of the kind consumer. It has the attribute `event` and
    those of the semantic conventions for messaging; after a failure its status is error, with
    the exception as an event. Its parent is the header `traceparent` of the message, else its
    `trace_id` if that is in the form of one, else it starts a new trace.

    It is the current span in the handler. So spans that are made there are its children, and
    what is emitted there carries its context on.

    It needs the package `opentelemetry-api`: `pip install 'walnats[opentelemetry]'`.

    :param tracer: what makes the spans, as `opentelemetry.trace.get_tracer` gives it.
    """

    def __init__(self, tracer: Tracer) -> None:
        try:
            from opentelemetry import context, trace  # noqa: PLC0415 -- of an extra
            from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package(
                'OpenTelemetryTraceMiddleware', 'opentelemetry-api', 'opentelemetry'
            ) from exc
        rules = Fields('OpenTelemetryTraceMiddleware', SimpleNamespace(tracer=tracer))
        rules.instance('tracer', trace.Tracer, 'opentelemetry.trace.get_tracer(__name__)')
        self._context = context
        self._trace = trace
        self._propagator = tracecontext.TraceContextTextMapPropagator()
        self._tracer = tracer
        self._running: ContextVar[_Running | None] = ContextVar(
            'walnats_opentelemetry', default=None
        )

    @property
    def span(self) -> Span:
        """The span of the current job; outside of one, a span that is not recorded."""
        running = self._running.get()
        return self._trace.INVALID_SPAN if running is None else running.span

    def on_start(self, ctx: Context, /) -> None:
        """Start the span, and make it the current one."""
        self._start(ctx)

    def on_success(self, ctx: OkContext, /) -> None:  # noqa: ARG002 -- the span says it all
        """End the span."""
        running = self._running.get()
        if running is not None:
            self._end(running)

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """End the span with the error."""
        running = self._running.get() or self._start(ctx)
        try:
            self._describe_failure(running.span, ctx.exception)
        finally:
            self._end(running)

    def _describe_failure(self, span: Span, exception: BaseException) -> None:
        span.set_attribute('error.type', _name_of(type(exception)))
        span.record_exception(exception)
        status = self._trace.StatusCode.ERROR
        span.set_status(status, f'{type(exception).__name__}: {exception}')

    def _start(self, ctx: Context) -> _Running:
        span = self._tracer.start_span(
            ctx.actor.name,
            context=self._find_parent(ctx),
            kind=self._trace.SpanKind.CONSUMER,
            attributes=_describe(ctx),
        )
        token = self._context.attach(self._trace.set_span_in_context(span))
        running = _Running(span, token)
        self._running.set(running)
        return running

    def _end(self, running: _Running) -> None:
        self._running.set(None)
        running.span.end()
        self._context.detach(running.token)

    def _find_parent(self, ctx: Context) -> OtelContext:
        """Give a context with the parent, or without: never the span in which `listen` runs."""
        headers = {name.lower(): value for name, value in (ctx.headers or {}).items()}
        for carrier in (headers, {'traceparent': ctx.trace_id or ''}):
            parent = self._propagator.extract(carrier, self._context.Context())
            if self._trace.get_current_span(parent).get_span_context().is_valid:
                return parent
        return self._context.Context()


class _Running(NamedTuple):
    """The span of a job, and what makes the one before it current again."""

    span: Span
    token: Token[OtelContext]


def _describe(ctx: Context) -> dict[str, AttributeValue]:
    event = ctx.actor.event
    attributes: dict[str, AttributeValue] = {
        'event': event.name,
        'messaging.system': 'nats',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.destination.name': event.subject_name,
        'messaging.consumer.group.name': ctx.metadata.consumer,
        'messaging.message.id': str(ctx.seq_number),
        'walnats.attempts': ctx.attempts,
    }
    if ctx.trace_id is not None:
        attributes['walnats.trace_id'] = ctx.trace_id
    return attributes


def _name_of(exception: type[Any]) -> str:
    if exception.__module__ == 'builtins':
        return exception.__qualname__
    return f'{exception.__module__}.{exception.__qualname__}'
