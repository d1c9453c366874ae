from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, assert_type

from walnats import Actor, Event
from walnats.middlewares import (
    CurrentContextMiddleware,
    ErrorThresholdMiddleware,
    ExtraLogMiddleware,
    FrequencyMiddleware,
    Middleware,
    OpenTelemetryTraceMiddleware,
    PrometheusMiddleware,
    SentryMiddleware,
    StatsdMiddleware,
    TextLogMiddleware,
    ZipkinMiddleware,
)

from .schemas import User

if TYPE_CHECKING:
    from datetime import datetime

    from aiozipkin import Tracer as ZipkinTracer
    from datadog.dogstatsd.base import DogStatsd
    from opentelemetry.trace import Tracer
    from prometheus_client import CollectorRegistry

    from walnats._context import Context, ErrorContext, OkContext

USER = Event('user-created', User)


def handle(message: User) -> None: ...


class Sync(Middleware):
    def on_start(self, ctx: Context) -> None:
        assert_type(ctx.actor, Actor[Any, Any])
        assert_type(ctx.message, Any)
        assert_type(ctx.headers, dict[str, str] | None)
        assert_type(ctx.seq_number, int)
        assert_type(ctx.attempts, int)
        assert_type(ctx.trace_id, str | None)
        stored_at: datetime = ctx.metadata.timestamp
        assert_type(ctx.metadata.stream, str)
        assert_type(ctx.metadata.num_delivered, int)
        assert_type(stored_at.year, int)


class Async(Middleware):
    async def on_success(self, ctx: OkContext) -> None:
        assert_type(ctx.duration, float)

    async def on_failure(self, ctx: ErrorContext) -> None:
        assert_type(ctx.exception, BaseException)


class Plain:
    def on_start(self, ctx: Context) -> None: ...
    async def on_success(self, ctx: OkContext) -> None: ...
    def on_failure(self, ctx: ErrorContext) -> None: ...


CURRENT = CurrentContextMiddleware()
SENTRY = ErrorThresholdMiddleware(SentryMiddleware(), 5, actor_failures=5, message_failures=3)


def make(
    statsd: DogStatsd, registry: CollectorRegistry, tracer: Tracer, zipkin: ZipkinTracer
) -> None:
    Actor(
        'a',
        USER,
        handle,
        middlewares=[
            Sync(),
            Async(),
            Plain(),
            CURRENT,
            SENTRY,
            FrequencyMiddleware(Plain(), timeframe=0.5),
            ExtraLogMiddleware(),
            TextLogMiddleware(logger=logging.getLogger('mine')),
            PrometheusMiddleware(),
            PrometheusMiddleware(registry=registry),
            StatsdMiddleware(statsd),
            ZipkinMiddleware(zipkin, sampled=True),
            OpenTelemetryTraceMiddleware(tracer),
        ],
    )
