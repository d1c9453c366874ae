"""What is measured: the scenarios, their contenders, and the bars for the ratios."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from .results import Bar, Metric


class Kind(Enum):
    EMIT = auto()
    """Afterwards the stream has all messages."""
    HANDLE = auto()
    """The messages are there first; afterwards all are acknowledged."""
    BOTH = auto()
    """The contender emits, and handles."""
    IDLE = auto()
    IMPORT = auto()


@dataclass(frozen=True)
class Contender:
    """A program that takes part.

    :param environment: the one of `packages` in which it runs.
    :param function: its module in `contenders`, and the function; or what to import.
    :param share: which part of the messages it gets. The slow ones get fewer.
    :param messages: how many it gets, in any case.
    :param processes: how many run at once. More than none share the messages until all are done.
    :param is_long: a quick run leaves it out.
    """

    label: str
    environment: str
    function: str
    bars: tuple[Bar, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    share: float = 1
    messages: int | None = None
    processes: int = 0
    is_long: bool = False


@dataclass(frozen=True)
class Scenario:
    """A piece of work, done by all contenders in turn. The first one is who is judged.

    :param size: of a message's payload in bytes; 0 for a plain flight.
    :param rounds: the most there are; for `IMPORT`, which is quick, how many there are.
    :param is_charted: the chart has it.
    """

    name: str
    kind: Kind
    messages: int
    contenders: tuple[Contender, ...]
    metrics: tuple[Metric, ...] = (Metric.RATE,)
    size: int = 0
    rounds: int = 5
    is_charted: bool = False


def _bars(at_least: float, at_most: float | None, metric: Metric = Metric.RATE) -> tuple[Bar, ...]:
    return (Bar(metric, at_least, at_most),) if at_least or at_most else ()


def _ours(function: str, label: str = 'walnats', share: float = 1, **options: Any) -> Contender:
    return Contender(label, 'walnats', f'ours.{function}', options=options, share=share)


def _nats(
    label: str, function: str, at_least: float = 0, share: float = 1, **options: Any
) -> Contender:
    return Contender(
        f'nats-py, {label}',
        'nats-py',
        f'hand_written.{function}',
        _bars(at_least, None),
        options,
        share,
    )


def _faststream(
    label: str, function: str, at_least: float = 0, share: float = 0.2, **options: Any
) -> Contender:
    return Contender(
        f'FastStream, {label}',
        'faststream',
        f'fast_stream.{function}',
        _bars(at_least, None),
        options,
        share,
    )


def _taskiq(label: str, function: str, share: float = 0.1, **options: Any) -> Contender:
    return Contender(
        f'taskiq-nats, {label}', 'taskiq-nats', f'task_iq.{function}', (), options, share
    )


def _with_payload(name: str, size: int, messages: int) -> tuple[Scenario, ...]:
    return (
        Scenario(
            f'emit, {name}',
            Kind.EMIT,
            messages,
            (
                _ours('emit'),
                _nats('nc.publish of ready bytes', 'publish'),
                _faststream('publish', 'publish'),
            ),
            size=size,
            rounds=3,
        ),
        Scenario(
            f'handle, {name}',
            Kind.HANDLE,
            messages,
            (
                _ours('handle', 'walnats, max_jobs=256', max_jobs=256),
                _nats('fetch(256)', 'fetch', batch=256),
                _faststream('pull of 256', 'pull', batch=256),
            ),
            size=size,
            rounds=3,
        ),
    )


def _backlog(label: str, messages: int, *, is_long: bool = False) -> Contender:
    """Make one whose rate is within 15 % of the first one's, and whose memory within 10 %."""
    return Contender(
        label,
        'walnats',
        'ours.handle',
        bars=(
            Bar(Metric.RATE, round(1 / 1.15, 2), round(1 / 0.85, 2)),
            Bar(Metric.MEMORY, round(1 / 1.1, 2), round(1 / 0.9, 2)),
        ),
        messages=messages,
        is_long=is_long,
    )


def _idle(actors: int) -> Scenario:
    options: dict[str, Any] = {'actors': actors, 'settle': 0.5}
    return Scenario(
        f'{actors} idle actors' if actors > 1 else 'an idle actor',
        Kind.IDLE,
        0,
        (
            _ours('idle', **options),
            _nats('fetch(256) loops', 'idle', **options),
            _faststream('pull of 256', 'idle', **options),
        ),
        metrics=(Metric.MEMORY_PER_ACTOR, Metric.MEMORY),
        rounds=2,
    )


def _import(module: str, environment: str, at_most: float | None = None) -> Contender:
    return Contender(f'import {module}', environment, module, _bars(0, at_most, Metric.TIME))


SCENARIOS = (
    Scenario(
        'emit',
        Kind.EMIT,
        102_400,
        (
            _ours('emit'),
            _nats('nc.publish of ready bytes', 'publish', 0.7),
            _faststream('publish', 'publish', 1.5),
        ),
        is_charted=True,
    ),
    Scenario(
        'emit, sync, one by one',
        Kind.EMIT,
        5_120,
        (
            _ours('emit_sync'),
            _nats('js.publish', 'js_publish', 0.97),
            _faststream('publish to a stream', 'js_publish', share=1),
            _taskiq('kiq', 'kick', share=1),
        ),
        is_charted=True,
    ),
    Scenario(
        'emit_many',
        Kind.EMIT,
        51_200,
        (
            _ours('emit_many'),
            _nats('publish_async', 'publish_async', 2.2),
            _nats('js.publish gathered, 10,000 at once', 'gather', 4, share=0.6, batch=10_000),
            _nats('js.publish gathered, 1,000 at once', 'gather', 4, share=0.6, batch=1_000),
            _faststream('publish gathered, 1,000 at once', 'gather', batch=1_000),
        ),
        is_charted=True,
    ),
    Scenario(
        'handle, max_jobs=256',
        Kind.HANDLE,
        51_200,
        (
            _ours('handle', max_jobs=256),
            _nats('continuous pull and nothing else', 'ceiling', 0.6),
            _nats('push', 'push'),
            _nats('fetch(256)', 'fetch', 2, batch=256),
            _nats('fetch(1)', 'fetch', share=0.05, batch=1),
            _faststream('pull of 256', 'pull', 5, batch=256),
            _faststream('pull of 256 as lists', 'pull_lists', share=0.4, batch=256),
            _faststream('push', 'push', 2.8),
            _taskiq('pull of 256', 'pull', batch=256),
        ),
        is_charted=True,
    ),
    Scenario(
        'handle, default settings',
        Kind.HANDLE,
        51_200,
        (
            _ours('handle'),
            _nats('fetch(256)', 'fetch', 1, batch=256),
            _nats('fetch(16)', 'fetch', batch=16),
        ),
        is_charted=True,
    ),
    Scenario(
        'handle, 5 ms of sleep each, 256 at once',
        Kind.HANDLE,
        20_480,
        (
            _ours('handle', max_jobs=256, pause=0.005),
            _nats('fetch(256), gathered', 'fetch', batch=256, pause=0.005),
            _faststream('pull of 256', 'pull', share=0.5, batch=256, pause=0.005),
            _taskiq('pull of 256', 'pull', share=0.25, batch=256, pause=0.005),
        ),
        is_charted=True,
    ),
    Scenario(
        'three actors on one event',
        Kind.HANDLE,
        20_480,
        (
            _ours('handle', max_jobs=256, actors=3),
            _nats('three fetch(256) loops', 'fetch', batch=256, actors=3),
            _faststream('three pulls of 256', 'pull', share=0.1, batch=256, actors=3),
        ),
        is_charted=True,
    ),
    Scenario(
        'two processes',
        Kind.HANDLE,
        102_400,
        (
            Contender('two processes', 'walnats', 'ours.share', processes=2),
            Contender(
                'one process',
                'walnats',
                'ours.share',
                # Beside the two there is the server.
                (Bar(Metric.RATE, 1.6, cores=3),),
                processes=1,
            ),
        ),
    ),
    Scenario(
        'request and response, one by one',
        Kind.BOTH,
        2_560,
        (
            _ours('request'),
            _nats('stored, with a push subscription', 'stored_request'),
            _faststream('stored, with a push subscription', 'request', share=1),
            _nats('nc.request, not stored', 'request'),
        ),
        metrics=(Metric.RATE, Metric.P50),
        is_charted=True,
    ),
    Scenario(
        'idle latency, emit to handler',
        Kind.BOTH,
        512,
        (
            _ours('latency', pause=0.002),
            Contender(
                'nats-py, push',
                'nats-py',
                'hand_written.latency',
                _bars(0, 1.25, Metric.P50),
                {'pause': 0.002},
            ),
        ),
        metrics=(Metric.P50, Metric.P99),
        is_charted=True,
    ),
    *_with_payload('1 KiB', 2**10, 25_600),
    *_with_payload('64 KiB', 2**16, 2_560),
    Scenario(
        'backlog, default settings',
        Kind.HANDLE,
        0,
        (
            _backlog('10,000 messages', 10_000),
            _backlog('100,000 messages', 100_000),
            _backlog('1,000,000 messages', 1_000_000, is_long=True),
        ),
        metrics=(Metric.RATE, Metric.MEMORY),
        rounds=3,
    ),
    _idle(1),
    _idle(10),
    _idle(100),
    Scenario(
        'import',
        Kind.IMPORT,
        0,
        (
            _import('walnats', 'walnats'),
            # What is used is imported then: this is what a service with events and actors pays.
            replace(_import('walnats.types', 'walnats'), label='walnats, events and actors'),
            _import('nats', 'nats-py', 1.3),
            _import('faststream.nats', 'faststream'),
            _import('taskiq_nats', 'taskiq-nats'),
        ),
        metrics=(Metric.TIME,),
        rounds=21,
    ),
    Scenario(
        'uvloop: emit',
        Kind.EMIT,
        102_400,
        (
            _ours('emit', 'walnats, uvloop', uvloop=True),
            _ours('emit', 'walnats, asyncio'),
            _nats('nc.publish, uvloop', 'publish', uvloop=True),
        ),
        rounds=3,
    ),
    Scenario(
        'uvloop: handle, max_jobs=256',
        Kind.HANDLE,
        51_200,
        (
            _ours('handle', 'walnats, uvloop', max_jobs=256, uvloop=True),
            _ours('handle', 'walnats, asyncio', max_jobs=256),
            _nats('fetch(256), uvloop', 'fetch', batch=256, uvloop=True),
        ),
        rounds=3,
    ),
)
