"""What was measured, as it is kept in JSON, and the ratios in it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Metric(StrEnum):
    RATE = 'messages/s'
    P50 = 'ms, median'
    P99 = 'ms, 99th percentile'
    TIME = 'ms'
    MEMORY = 'MiB at the peak'
    MEMORY_PER_ACTOR = 'KiB for each actor'

    @property
    def is_better_when_more(self) -> bool:
        return self is Metric.RATE


@dataclass(frozen=True)
class Sample:
    """One run of one contender."""

    messages: int
    seconds: float
    cpu: float
    """Seconds of CPU of all its processes."""
    server_cpu: float | None
    """Seconds of CPU of the nats-server meanwhile; None where the system doesn't tell."""
    memory: int = 0
    """Bytes at the peak, of its largest process."""
    growth: int = 0
    """Those of them that came after its imports."""
    actors: int = 1
    p50: float | None = None
    p99: float | None = None

    def value(self, metric: Metric) -> float:
        match metric:
            case Metric.RATE:
                return self.messages / self.seconds
            case Metric.P50:
                return 1000 * (self.p50 or 0)
            case Metric.P99:
                return 1000 * (self.p99 or 0)
            case Metric.TIME:
                return 1000 * self.seconds
            case Metric.MEMORY:
                return self.memory / 2**20
            case Metric.MEMORY_PER_ACTOR:
                return self.growth / self.actors / 2**10


@dataclass(frozen=True)
class Bar:
    """What the ratio of walnats' value to a peer's has to be."""

    metric: Metric
    at_least: float = 0
    at_most: float | None = None
    cores: int = 1
    """With fewer ones it can't be judged."""

    def __str__(self) -> str:
        if self.at_most is None:
            return f'≥ {self.at_least:g}'
        return f'{self.at_least:g}-{self.at_most:g}' if self.at_least else f'≤ {self.at_most:g}'

    def judge(self, ratio: float, cores: int) -> str:
        if cores < self.cores:
            return f'needs {self.cores} cores'
        met = self.at_least <= ratio <= (self.at_most or ratio)
        return 'met' if met else 'NOT MET'


class Spread(NamedTuple):
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Row:
    """One contender of a scenario."""

    label: str
    samples: list[Sample] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def spread(self, metric: Metric) -> Spread:
        return _spread([sample.value(metric) for sample in self.samples])

    def cpu(self) -> float:
        """Give microseconds of CPU for each message."""
        return 1e6 * statistics.median(sample.cpu / sample.messages for sample in self.samples)

    def server_cpu(self) -> float | None:
        """Give microseconds of the server's CPU for each message."""
        known = [
            sample.server_cpu / sample.messages
            for sample in self.samples
            if sample.server_cpu is not None
        ]
        return 1e6 * statistics.median(known) if known else None


@dataclass(frozen=True)
class ScenarioResult:
    name: str
    metrics: list[Metric]
    rows: list[Row]
    """The first one is what the others are compared with."""
    is_charted: bool = False

    def ratio(self, row: Row, metric: Metric) -> Spread:
        """Give the first row's value by that of `row`, round by round."""
        pairs = zip(self.rows[0].samples, row.samples, strict=True)
        return _spread([ours.value(metric) / (theirs.value(metric) or 1) for ours, theirs in pairs])


@dataclass(frozen=True)
class Machine:
    cores: int
    processor: str
    system: str
    python: str
    server: str


@dataclass(frozen=True)
class Results:
    date: str
    quick: bool
    machine: Machine
    versions: dict[str, dict[str, str]]
    """Of the packages, by environment."""
    scenarios: list[ScenarioResult] = field(default_factory=list)


def _spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))
