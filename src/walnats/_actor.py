"""What an actor is: a named handler of one event, and how its jobs are run and retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from ._checks import MAX_SECONDS, Fields
from ._event import BaseEvent, Limits, Retention, Storage
from ._handlers import find_handler_problem, is_async, takes
from ._names import check_actor_name

T = TypeVar('T')
R = TypeVar('R')

RetryDelay: TypeAlias = Sequence[float] | Callable[[int, Exception], float]
"""Seconds before each retry, or a function `(attempt, exception) -> seconds`."""

DAY = 24 * 60 * 60
MIN_SECONDS = 0.001
"""The shortest time that an event loop keeps."""


class ExecuteIn(Enum):
    """Where the handler of an actor runs."""

    MAIN = 'main'
    """In the event loop."""
    THREAD = 'thread'
    """In a pool of threads."""
    PROCESS = 'process'
    """In a pool of processes."""


class Priority(Enum):
    """Who gets the next free slot when the process has no more of them."""

    HIGH = 'high'
    NORMAL = 'normal'
    LOW = 'low'


class Start(Enum):
    """What a new actor sees first."""

    ALL = 'all'
    """Everything that is kept."""
    NEW = 'new'
    """What is emitted from now on."""


class Hooks(Protocol):
    """What a middleware has: it observes the jobs of an actor. Each hook is sync or async."""

    def on_start(self, ctx: Any, /) -> object:
        """Run before the handler."""

    def on_success(self, ctx: Any, /) -> object:
        """Run after a job that went well."""

    def on_failure(self, ctx: Any, /) -> object:
        """Run after a job that failed."""


@dataclass(frozen=True)
class Actor(Generic[T, R]):
    """A named handler of one event.

        SEND_WELCOME = walnats.Actor('send-welcome', USER_CREATED, send_welcome)

    It does no I/O and can live in a module that services share. A value that can't be raises
    DeclarationError or InvalidNameError at once.
    """

    name: str
    """The name, unique per event; also that of the durable consumer."""
    event: BaseEvent[T, R]
    """The event to handle."""
    handler: Callable[[T], Awaitable[R] | R] = field(hash=False)
    """Any callable that takes the message, sync or async.

    What it returns is the response, if the event has one, else it's ignored. It may raise
    `Retry` or `GiveUp`.
    """
    description: str | None = field(default=None, hash=False)
    """What the actor does, for people. At most 4096 bytes."""
    ack_wait: float = field(default=16, hash=False)
    """Seconds without a sign of life after which the message is given to another worker."""
    max_attempts: int | None = field(default=None, hash=False)
    """How often a message is tried before the actor gives up on it. None is for ever."""
    max_ack_pending: int = field(default=1000, hash=False)
    """How many messages, in all workers, may be unsettled at once, delayed ones included."""
    middlewares: Sequence[Hooks] = field(default=(), hash=False)
    """What observes the jobs, in this order."""
    max_jobs: int = field(default=16, hash=False)
    """How many jobs of this actor run at once in one process."""
    job_timeout: float = field(default=32, hash=False)
    """Seconds after which a job is cancelled and counts as failed."""
    execute_in: ExecuteIn = field(default=ExecuteIn.MAIN, hash=False)
    """Where the handler runs."""
    retry_delay: RetryDelay = field(default=(0.5, 1, 2, 4), hash=False)
    """Seconds before each retry, where the last one repeats.

    Or a function `(attempt, exception) -> seconds`.
    """
    pulse: bool = field(default=True, hash=False)
    """Tell the server that a message is alive for as long as it is being worked on.

    Without it, a job longer than `ack_wait` runs twice.
    """
    priority: Priority = field(default=Priority.NORMAL, hash=False)
    """Who is first when the slots of the process are taken."""
    give_up_on: Sequence[type[BaseException]] = field(default=(), hash=False, kw_only=True)
    """Exceptions after which no more attempts are made."""
    start: Start | datetime = field(default=Start.ALL, hash=False, kw_only=True)
    """What a new actor sees first. A naive datetime is UTC."""

    def __post_init__(self) -> None:
        """Check the values."""
        check_actor_name(self.name)
        # A plain string: a member of an enum of strings formats as something else.
        self._set('name', str.__str__(self.name))
        rules = Fields(f'actor {self.name!r}', self)
        rules.instance('event', BaseEvent, "Event('user-created', User)")
        rules.description()
        rules.seconds('ack_wait', least=MIN_SECONDS)
        rules.integer('max_attempts', unless_none='to try for ever')
        rules.integer('max_ack_pending')
        rules.integer('max_jobs')
        rules.seconds('job_timeout', least=MIN_SECONDS)
        rules.member('execute_in', ExecuteIn)
        rules.boolean('pulse')
        rules.member('priority', Priority)
        _check_handler(rules, self.handler, self.execute_in)
        self._set('middlewares', _read_middlewares(rules))
        self._set('retry_delay', _read_retry_delay(rules, self.retry_delay))
        self._set('give_up_on', _read_give_up_on(rules))
        self._set('start', _read_start(rules, self.start))

    @property
    def consumer_name(self) -> str:
        """The name of the durable JetStream consumer: the actor's name."""
        return self.name

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """How the messages that actors gave up on are kept."""

    limits: Limits = field(default=Limits(age=30 * DAY))
    """How many and for how long; 30 days by default."""
    storage: Storage = field(default=Storage(retention=Retention.LIMITS))
    """How they are stored. They have no actor, so only retention LIMITS keeps them."""

    def __post_init__(self) -> None:
        """Check the values."""
        rules = Fields('DeadLetters', self)
        rules.instance('limits', Limits, 'Limits(age=86400)')
        rules.instance('storage', Storage, 'Storage(retention=Retention.LIMITS)')
        if self.storage.retention is not Retention.LIMITS:
            rule = 'must have retention=Retention.LIMITS: dead letters have no actor to keep them'
            rules.reject('storage', self.storage, rule)


def _check_handler(rules: Fields, handler: object, execute_in: ExecuteIn) -> None:
    problem = find_handler_problem(handler)
    if problem is not None:
        rules.reject_type('handler', handler, problem)
    if execute_in is not ExecuteIn.MAIN and callable(handler) and is_async(handler):
        rule = 'must be ExecuteIn.MAIN, because the handler is async and needs the event loop'
        rules.reject('execute_in', execute_in, rule)


def _read_middlewares(rules: Fields) -> tuple[Hooks, ...]:
    middlewares = rules.sequence('middlewares', 'middlewares')
    for middleware in middlewares:
        hooks = (
            getattr(middleware, name, None) for name in ('on_start', 'on_success', 'on_failure')
        )
        if isinstance(middleware, type) or not all(map(callable, hooks)):
            rule = 'must be instances with the methods on_start, on_success and on_failure'
            rules.reject_type('middlewares', middleware, rule)
    return middlewares


def _read_retry_delay(rules: Fields, retry_delay: RetryDelay) -> RetryDelay:
    if callable(retry_delay):
        if isinstance(retry_delay, type) or is_async(retry_delay) or not takes(retry_delay, 2):
            rule = (
                'must be a sequence of seconds or a sync function (attempt, exception) -> seconds'
            )
            rules.reject_type('retry_delay', retry_delay, rule)
        return retry_delay
    delays = rules.sequence('retry_delay', 'seconds, or a function (attempt, exception) -> seconds')
    rule = f'must be at least one number of seconds from 0 to {MAX_SECONDS}'
    if not delays:
        rules.reject('retry_delay', delays, rule)
    for delay in delays:
        if isinstance(delay, bool) or not isinstance(delay, (int, float)):
            rules.reject_type('retry_delay', delay, rule)
        if not 0 <= delay <= MAX_SECONDS:
            rules.reject('retry_delay', delay, rule)
    return delays


def _read_give_up_on(rules: Fields) -> tuple[type[BaseException], ...]:
    types = rules.sequence('give_up_on', 'exception types')
    for item in types:
        if not isinstance(item, type) or not issubclass(item, BaseException):
            rules.reject_type('give_up_on', item, 'must be exception types, not anything else')
    return types


def _read_start(rules: Fields, start: Start | datetime) -> Start | datetime:
    if isinstance(start, Start):
        return start
    if not isinstance(start, datetime):
        rules.reject_type('start', start, 'must be Start.ALL, Start.NEW or a datetime')
    if start.utcoffset() is None:
        return start.replace(tzinfo=UTC)
    try:
        return start.astimezone(UTC)
    except OverflowError:
        rules.reject('start', start, 'must be a datetime that exists in UTC: the years 1 to 9999')
