"""Spans for Zipkin."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from .._checks import Fields
from ._base import Middleware
from ._optional import missing_package

if TYPE_CHECKING:
    from aiozipkin import SpanAbc, Tracer

    from .._context import Context, ErrorContext, OkContext

_TRACE_ID = re.compile(r'(?!0+\Z)[0-9a-f]{1,32}')
_TRACE_PARENT = re.compile(r'[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}')


class ZipkinMiddleware(Middleware):
    """Reports each job as a span to Zipkin, by aiozipkin.

    The span is named after the actor and of the kind consumer. It has the tag `event`, and
    after a failure the tag `error`. aiozipkin gives no duration to consumer spans, so an
    annotation, `processed` or `failed`, says when the job was over.

    The trace id is the `trace_id` of the message, which has to be at most 32 hex digits, not all
    of them zeros, a UUID, or a W3C `traceparent`, of which the trace id is taken. Zipkin would
    refuse another one, and with it what is sent in the same batch; so then a new trace is
    started, and the tag `trace_id` tells. Without a `trace_id`, a new trace is started.

    It needs the package `aiozipkin`: `pip install 'walnats[zipkin]'`. To close the tracer is
    up to you.

    :param tracer: what to report to, as `aiozipkin.create` gives it.
    :param sampled: if jobs are reported. By default, the tracer's sampler decides.
    """

    def __init__(self, tracer: Tracer, sampled: bool | None = None) -> None:  # noqa: FBT001 -- the public contract has it so
        try:
            import aiozipkin  # noqa: PLC0415 -- of an extra
            from aiozipkin.helpers import TraceContext  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package('ZipkinMiddleware', 'aiozipkin', 'zipkin') from exc
        rules = Fields('ZipkinMiddleware', SimpleNamespace(tracer=tracer, sampled=sampled))
        rules.instance('tracer', aiozipkin.Tracer, 'await aiozipkin.create(…)')
        if sampled is not None:
            rules.boolean('sampled')
        self._kind = aiozipkin.CONSUMER
        self._trace_context = TraceContext
        self._tracer = tracer
        self._sampled = sampled
        self._span: ContextVar[SpanAbc | None] = ContextVar('walnats_zipkin', default=None)

    @property
    def span(self) -> SpanAbc:
        """The span of the current job; outside of one, a span that is not reported."""
        return self._span.get() or self._tracer.new_trace(sampled=False)

    def on_start(self, ctx: Context, /) -> None:
        """Start the span."""
        self._span.set(self._start(ctx))

    def on_success(self, ctx: OkContext, /) -> None:  # noqa: ARG002 -- the span says it all
        """Finish the span."""
        span = self._span.get()
        if span is not None:
            self._span.set(None)
            span.annotate('processed').finish()

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """Finish the span with the error."""
        span = self._span.get() or self._start(ctx)
        self._span.set(None)
        # The annotation is too narrow: it takes what `isinstance` and `str` take.
        exception = cast('Exception', ctx.exception)
        span.annotate('failed').tag('exception', type(exception).__name__)
        span.finish(exception=exception)

    def _start(self, ctx: Context) -> SpanAbc:
        trace_id = _read_trace_id(ctx.trace_id or '')
        span = self._join(trace_id) if trace_id else self._tracer.new_trace(sampled=self._sampled)
        span.start().name(ctx.actor.name).kind(self._kind)
        span.tag('event', ctx.actor.event.name)
        if ctx.trace_id and not trace_id:
            span.tag('trace_id', ctx.trace_id)
        return span

    def _join(self, trace_id: str) -> SpanAbc:
        context = self._trace_context(
            trace_id=trace_id,
            parent_id=None,
            span_id=secrets.token_hex(8),
            sampled=self._sampled,
            debug=False,
            shared=False,
        )
        if self._sampled is None:
            # It asks the sampler. With a decision it would take the span for another's.
            return self._tracer.join_span(context)
        return self._tracer.to_span(context)


def _read_trace_id(text: str) -> str | None:
    """Give the trace id as Zipkin takes it, None if it can't be one."""
    text = text.lower()
    parent = _TRACE_PARENT.fullmatch(text)
    if parent is not None:
        return parent[1]
    digits = text.replace('-', '')
    return digits if _TRACE_ID.fullmatch(digits) else None
