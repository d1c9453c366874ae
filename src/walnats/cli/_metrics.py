"""One page of metrics for all worker processes.

Each process writes what is counted in it into files, as prometheus-client does when it is told a
directory for them; so counters don't fall when a process is started again. What the supervisor
knows of its workers is added.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from ._slot import WorkerView

VARIABLE = 'PROMETHEUS_MULTIPROC_DIR'
"""The environment variable that tells a process the directory."""


class Metrics:
    """The metrics of the processes that are told the directory."""

    def __init__(self, directory: str) -> None:
        self.environment = {VARIABLE: directory}
        self._directory = directory

    def render(self, workers: Sequence[WorkerView]) -> tuple[bytes, str]:
        """Give the page and its content type."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self._directory)  # type: ignore[no-untyped-call]  # prometheus_client's
        registry.register(_Workers(workers))
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4

    def forget(self, pid: int) -> None:
        """Remove the gauges of a process that has ended; what it counted stays."""
        mark_process_dead(pid, self._directory)  # type: ignore[no-untyped-call]  # prometheus_client's


@contextmanager
def temporary_metrics() -> Iterator[Metrics]:
    """Give metrics whose directory is removed at the end."""
    with tempfile.TemporaryDirectory(prefix='walnats-metrics-') as directory:
        yield Metrics(directory)


class _Workers(Collector):
    """What the supervisor knows of its workers."""

    def __init__(self, workers: Sequence[WorkerView]) -> None:
        self._workers = workers

    def collect(self) -> Iterable[Metric]:
        gauges = {
            name: GaugeMetricFamily(f'walnats_worker_{name}', text, labels=['worker'])
            for name, text in _GAUGES.items()
        }
        restarts = CounterMetricFamily(
            'walnats_worker_restarts',
            'How often its process was started again after it had died.',
            labels=['worker'],
        )
        for worker in self._workers:
            label = [str(worker.number)]
            for name, value in _values(worker).items():
                gauges[name].add_metric(label, value)
            restarts.add_metric(label, worker.restarts)
        return [*gauges.values(), restarts]


_GAUGES = {
    'up': '1 if its process runs.',
    'connected': '1 if it is connected to NATS.',
    'listening': '1 if it asks for messages.',
    'jobs': 'Jobs that run.',
    'held_messages': 'Messages that it holds: those of the jobs, and those that wait for a slot.',
    'silence_seconds': 'Since it said something: if it grows, its event loop is blocked.',
}


def _values(worker: WorkerView) -> dict[str, float]:
    report = worker.report
    return {
        'up': worker.pid is not None,
        'connected': report is not None and report.connected,
        'listening': report is not None and report.listening,
        'jobs': 0 if report is None else report.jobs,
        'held_messages': 0 if report is None else report.held,
        'silence_seconds': worker.silence,
    }
