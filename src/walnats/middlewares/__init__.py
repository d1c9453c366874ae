"""Middlewares: what observes the jobs of actors.

An actor names them in `middlewares`. Those of an optional package import it when they are
created, and say which extra to install if it isn't there.
"""

from __future__ import annotations

from ._base import Middleware
from ._current_context import CurrentContextMiddleware
from ._error_threshold import ErrorThresholdMiddleware
from ._frequency import FrequencyMiddleware
from ._log import ExtraLogMiddleware, TextLogMiddleware
from ._opentelemetry import OpenTelemetryTraceMiddleware
from ._prometheus import PrometheusMiddleware
from ._sentry import SentryMiddleware
from ._statsd import StatsdMiddleware
from ._zipkin import ZipkinMiddleware

__all__ = [
    'CurrentContextMiddleware',
    'ErrorThresholdMiddleware',
    'ExtraLogMiddleware',
    'FrequencyMiddleware',
    'Middleware',
    'OpenTelemetryTraceMiddleware',
    'PrometheusMiddleware',
    'SentryMiddleware',
    'StatsdMiddleware',
    'TextLogMiddleware',
    'ZipkinMiddleware',
]
