"""Metrics for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from ._base import Middleware
from ._optional import missing_package

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from .._context import Context, ErrorContext, OkContext

# Seconds. Handlers take from less than a millisecond to more than `job_timeout` by default.
_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class PrometheusMiddleware(Middleware):
    """Counts jobs and measures how long they take, for Prometheus.

    The metrics, each with the labels `event` and `actor`:

    - `walnats_jobs_started_total`, a counter.
    - `walnats_jobs_processed_total`, a counter of the jobs that went well.
    - `walnats_jobs_failed_total`, a counter that has the label `exception`, too: the name
      of the class.
    - `walnats_job_duration_seconds`, a histogram of the jobs that went well.

    To serve them is up to you: `prometheus_client.start_http_server(8000)`. All instances with
    the same registry share the metrics.

    It needs the package `prometheus-client`: `pip install 'walnats[prometheus]'`.

    :param registry: where the metrics are kept; the package's own by default.
    """

    def __init__(self, *, registry: CollectorRegistry | None = None) -> None:
        try:
            import prometheus_client  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package(
                'PrometheusMiddleware', 'prometheus-client', 'prometheus'
            ) from exc
        self._metrics = _Metrics.of(prometheus_client.REGISTRY if registry is None else registry)

    def on_start(self, ctx: Context, /) -> None:
        """Count the start."""
        self._metrics.started.labels(ctx.actor.event.name, ctx.actor.name).inc()

    def on_success(self, ctx: OkContext, /) -> None:
        """Count the success and how long it took."""
        labels = ctx.actor.event.name, ctx.actor.name
        self._metrics.processed.labels(*labels).inc()
        self._metrics.duration.labels(*labels).observe(ctx.duration)

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """Count the failure."""
        exception = type(ctx.exception).__name__
        self._metrics.failed.labels(ctx.actor.event.name, ctx.actor.name, exception).inc()


class _Metrics:
    """The metrics in one registry, which takes each name only once."""

    _made: ClassVar[WeakKeyDictionary[CollectorRegistry, _Metrics]] = WeakKeyDictionary()

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Histogram  # noqa: PLC0415 -- of an extra

        labels = ('event', 'actor')
        self.started = Counter(
            'walnats_jobs_started', 'Jobs that have started.', labels, registry=registry
        )
        self.processed = Counter(
            'walnats_jobs_processed', 'Jobs that went well.', labels, registry=registry
        )
        self.failed = Counter(
            'walnats_jobs_failed', 'Jobs that failed.', (*labels, 'exception'), registry=registry
        )
        self.duration = Histogram(
            'walnats_job_duration_seconds',
            'How long the jobs took that went well.',
            labels,
            registry=registry,
            buckets=_BUCKETS,
        )

    @classmethod
    def of(cls, registry: CollectorRegistry) -> _Metrics:
        """Give the metrics of the registry, made when they are first asked for."""
        if registry not in cls._made:
            cls._made[registry] = cls(registry)
        return cls._made[registry]
