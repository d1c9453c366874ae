from __future__ import annotations

import dataclasses
import inspect
import pickle
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from walnats import (
    Actor,
    DeadLetters,
    Event,
    ExecuteIn,
    Limits,
    Priority,
    Retention,
    Start,
    Storage,
)
from walnats.errors import DeclarationError, DeclarationTypeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NO_DEFAULT = inspect.Parameter.empty
MOST_SECONDS = 9_223_372_036  # 2**63 nanoseconds
COUNTED = Event('counted', int)


@dataclass
class Middleware:
    """Not hashable, as a dataclass that can change."""

    seen: list[object] = field(default_factory=list)

    def on_start(self, ctx: object) -> None:
        self.seen.append(ctx)

    async def on_success(self, ctx: object) -> None:
        self.seen.append(ctx)

    def on_failure(self, ctx: object) -> None:
        self.seen.append(ctx)


class HalfMiddleware:
    """Lacks a hook."""

    def on_start(self, ctx: object) -> None: ...

    def on_success(self, ctx: object) -> None: ...


def handle(message: int) -> None: ...


def handle_with(option: str, message: int, *, flag: bool = False) -> None: ...


async def ahandle(message: int) -> None: ...


async def ahandle_with(option: str, message: int) -> None: ...


def generate(message: int) -> Iterator[int]:
    yield message


async def agenerate(message: int) -> AsyncIterator[int]:
    yield message


def inject(function: Callable[[int, str], None]) -> Callable[[int], None]:
    @wraps(function)
    def wrapper(message: int) -> None:
        function(message, 'injected')

    return wrapper


@inject
def handle_injected(message: int, injected: str) -> None: ...


class Service:
    """Handlers of all kinds."""

    def handle(self, message: int) -> None: ...

    async def ahandle(self, message: int) -> None: ...

    def generate(self, message: int) -> Iterator[int]:
        yield message

    @classmethod
    def handle_by_class(cls, message: int) -> None: ...

    @classmethod
    async def ahandle_by_class(cls, message: int) -> None: ...

    @staticmethod
    def handle_static(message: int) -> None: ...

    @staticmethod
    async def ahandle_static(message: int) -> None: ...


class Callee:
    """A callable object."""

    def __call__(self, message: int) -> None: ...


class AsyncCallee:
    """An async callable object."""

    async def __call__(self, message: int) -> None: ...


class GeneratingCallee:
    """A generator that doesn't look like one."""

    def __call__(self, message: int) -> Iterator[int]:
        yield message


class NoTime(tzinfo):
    """What makes a datetime naive in spite of its tzinfo."""

    def utcoffset(self, dt: datetime | None, /) -> None: ...

    def dst(self, dt: datetime | None, /) -> None: ...

    def tzname(self, dt: datetime | None, /) -> str:
        return 'none'


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be where local time is not UTC."""
    monkeypatch.setenv('TZ', 'Asia/Tokyo')
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def declare(**values: Any) -> Actor[int, Any]:
    """Declare an actor with the given fields and nothing else of note."""
    return Actor(**{'name': 'count', 'event': COUNTED, 'handler': handle, **values})


# --- What is declared --------------------------------------------------------


def test_arguments_of_actor() -> None:
    assert [
        (param.name, param.kind is param.KEYWORD_ONLY, param.default)
        for param in inspect.signature(Actor).parameters.values()
    ] == [
        ('name', False, NO_DEFAULT),
        ('event', False, NO_DEFAULT),
        ('handler', False, NO_DEFAULT),
        ('description', False, None),
        ('ack_wait', False, 16),
        ('max_attempts', False, None),
        ('max_ack_pending', False, 1000),
        ('middlewares', False, ()),
        ('max_jobs', False, 16),
        ('job_timeout', False, 32),
        ('execute_in', False, ExecuteIn.MAIN),
        ('retry_delay', False, (0.5, 1, 2, 4)),
        ('pulse', False, True),
        ('priority', False, Priority.NORMAL),
        ('give_up_on', True, ()),
        ('start', True, Start.ALL),
    ]


def test_arguments_of_dead_letters() -> None:
    assert [
        (param.name, param.kind is param.KEYWORD_ONLY, param.default)
        for param in inspect.signature(DeadLetters).parameters.values()
    ] == [
        ('limits', True, Limits(age=timedelta(days=30).total_seconds())),
        ('storage', True, Storage(retention=Retention.LIMITS)),
    ]


@pytest.mark.parametrize(('declaration', 'name'), [(declare(), 'name'), (DeadLetters(), 'limits')])
def test_a_declaration_never_changes(declaration: object, name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(declaration, name, 1)


def test_name_of_the_consumer() -> None:
    assert declare(name='send-email').consumer_name == 'send-email'


def test_sequences_become_tuples() -> None:
    middlewares, delays, exceptions = [Middleware()], [1, 2.5], [ValueError, KeyError]
    actor = declare(middlewares=middlewares, retry_delay=delays, give_up_on=exceptions)
    middlewares.clear()
    delays.clear()
    exceptions.clear()
    assert actor.middlewares == (Middleware(),)
    assert actor.retry_delay == (1, 2.5)
    assert actor.give_up_on == (ValueError, KeyError)


def test_the_same_declaration_made_twice_is_equal() -> None:
    def declare_service(service: Service, **values: Any) -> Actor[int, Any]:
        return declare(handler=service.handle, middlewares=[Middleware()], **values)

    service = Service()
    assert declare_service(service) == declare_service(service)
    assert len({declare_service(service), declare_service(service)}) == 1
    assert declare_service(service) != declare_service(Service())
    assert declare_service(service) != declare_service(service, max_jobs=17)
    assert declare_service(service) != declare_service(service, event=Event('counted', float))


def test_it_can_be_sent_to_another_process() -> None:
    actor = declare(give_up_on=(ValueError,), event=COUNTED.with_response(int))
    assert pickle.loads(pickle.dumps(actor)) == actor  # noqa: S301 -- it's our own


# --- Handlers ----------------------------------------------------------------

SYNC_HANDLERS: list[Any] = [
    handle,
    lambda _: None,
    lambda *_: None,
    lambda _, option=1: option,
    partial(handle_with, 'option'),
    partial(handle_with, 'option', flag=True),
    partial(partial(handle_with), 'option'),
    partial(Callee()),
    partial(Service().handle),
    Service().handle,
    Service().handle_by_class,
    Service.handle_static,
    Callee(),
    handle_injected,
    print,
    [].append,
]
ASYNC_HANDLERS: list[Any] = [
    ahandle,
    partial(ahandle_with, 'option'),
    partial(partial(ahandle_with), 'option'),
    partial(AsyncCallee()),
    partial(Service().ahandle),
    Service().ahandle,
    Service().ahandle_by_class,
    Service.ahandle_static,
    AsyncCallee(),
]
POOLS = [ExecuteIn.THREAD, ExecuteIn.PROCESS]


@pytest.mark.parametrize('handler', SYNC_HANDLERS + ASYNC_HANDLERS)
def test_good_handler(handler: Any) -> None:
    assert declare(handler=handler).handler is handler


@pytest.mark.parametrize('pool', POOLS)
@pytest.mark.parametrize('handler', ASYNC_HANDLERS)
def test_async_handler_runs_in_no_pool(pool: ExecuteIn, handler: Any) -> None:
    rule = r"actor 'count': execute_in must be ExecuteIn\.MAIN, because the handler is async"
    with pytest.raises(DeclarationError, match=rule):
        declare(handler=handler, execute_in=pool)


@pytest.mark.parametrize('pool', POOLS)
@pytest.mark.parametrize('handler', SYNC_HANDLERS)
def test_sync_handlers_can_run_in_pools(pool: ExecuteIn, handler: Any) -> None:
    assert declare(handler=handler, execute_in=pool).execute_in is pool


@pytest.mark.parametrize(
    ('handler', 'rule'),
    [
        (None, 'must be a function or another callable'),
        ('handle', 'must be a function or another callable'),
        (COUNTED, 'must be a function or another callable'),
        (Service(), 'must be a function or another callable'),
        (Callee, 'must not be a class: pass a method or an instance of Callee'),
        (Service, 'must not be a class'),
        (int, 'must not be a class'),
        (generate, 'must not be a generator'),
        (agenerate, 'must not be a generator'),
        (partial(agenerate), 'must not be a generator'),
        (Service().generate, 'must not be a generator'),
        (GeneratingCallee(), 'must not be a generator'),
        (lambda: None, 'must take one positional argument, the message, not ()'),
        (lambda a, b: (a, b), 'must take one positional argument, the message, not (a, b)'),
        (lambda *, message: message, 'must take one positional argument, the message'),
        (lambda _, *, option: option, 'must take one positional argument, the message'),
        (lambda **options: options, 'must take one positional argument, the message'),
        (partial(handle_with, 'option', 1), 'must take one positional argument, the message'),
        (handle_with, 'must take one positional argument, the message, not (option'),
        (Service.handle, 'must take one positional argument, the message, not (self, message'),
        (Callee.__call__, 'must take one positional argument, the message, not (self, message'),
    ],
)
def test_bad_handler(handler: Any, rule: str) -> None:
    with pytest.raises(DeclarationTypeError) as caught:
        declare(handler=handler)
    assert f"actor 'count': handler {rule}" in str(caught.value)
    assert f'; it is {handler!r}'[:80] in str(caught.value)


# --- What is refused ---------------------------------------------------------

huge = pytest.param(10**5000, id='huge')


@pytest.mark.parametrize('name', ['max_attempts', 'max_ack_pending', 'max_jobs'])
@pytest.mark.parametrize('value', [0, -1, 2**63, huge, True, 1.0, '1'])
def test_counts(name: str, value: object) -> None:
    assert getattr(declare(**{name: 1}), name) == 1
    assert getattr(declare(**{name: 2**63 - 1}), name) == 2**63 - 1
    with pytest.raises(DeclarationError, match=f"actor 'count': {name} must be an integer from 1"):
        declare(**{name: value})


@pytest.mark.parametrize('name', ['ack_wait', 'job_timeout'])
@pytest.mark.parametrize('value', [True, '1', timedelta(1), None])
def test_seconds_that_are_no_number(name: str, value: object) -> None:
    with pytest.raises(DeclarationTypeError, match=f"actor 'count': {name} must be a number of s"):
        declare(**{name: value})


@pytest.mark.parametrize('name', ['ack_wait', 'job_timeout'])
@given(value=st.floats() | st.integers())
def test_seconds_are_taken_exactly_if_they_fit(name: str, value: float) -> None:
    if 0.001 <= value <= MOST_SECONDS:
        assert getattr(declare(**{name: value}), name) == value
        return
    with pytest.raises(
        DeclarationError, match=f"actor 'count': {name} must be a number of seconds"
    ):
        declare(**{name: value})


def function_of_two(attempt: int, exception: Exception) -> float:
    return attempt + len(exception.args)


async def afunction_of_two(attempt: int, exception: Exception) -> float:
    return function_of_two(attempt, exception)


@pytest.mark.parametrize('value', [(0,), (1.5, 0, 3), function_of_two, lambda *_: 1])
def test_good_retry_delay(value: object) -> None:
    assert declare(retry_delay=value).retry_delay == value


@pytest.mark.parametrize(
    ('value', 'error', 'rule'),
    [
        (
            5,
            DeclarationTypeError,
            'must be a sequence of seconds, or a function (attempt, exception)',
        ),
        (None, DeclarationTypeError, 'must be a sequence of seconds'),
        ('12', DeclarationTypeError, 'must be a sequence of seconds'),
        ({1}, DeclarationTypeError, 'must be a sequence of seconds'),
        (iter([1]), DeclarationTypeError, 'must be a sequence of seconds'),
        ((), DeclarationError, 'must be at least one number of seconds from 0 to 9223372036'),
        ((1, -1), DeclarationError, 'must be at least one number of seconds'),
        ((1, float('nan')), DeclarationError, 'must be at least one number of seconds'),
        ((float('inf'),), DeclarationError, 'must be at least one number of seconds'),
        ((1, True), DeclarationTypeError, 'must be at least one number of seconds'),
        ((1, None), DeclarationTypeError, 'must be at least one number of seconds'),
        (['1'], DeclarationTypeError, 'must be at least one number of seconds'),
        (handle, DeclarationTypeError, 'must be a sequence of seconds or a sync function (attempt'),
        (
            afunction_of_two,
            DeclarationTypeError,
            'must be a sequence of seconds or a sync function',
        ),
        (complex, DeclarationTypeError, 'must be a sequence of seconds or a sync function'),
    ],
)
def test_bad_retry_delay(value: object, error: type[Exception], rule: str) -> None:
    with pytest.raises(error, match=re.escape(f"actor 'count': retry_delay {rule}")):
        declare(retry_delay=value)


@pytest.mark.parametrize('value', [date(2013, 1, 1), '2013-01-01', 0, None, 'all'])
def test_bad_start(value: object) -> None:
    rule = r"actor 'count': start must be Start\.ALL, Start\.NEW or a datetime; it is "
    with pytest.raises(DeclarationTypeError, match=rule):
        declare(start=value)


@pytest.mark.parametrize(
    'moment',
    [
        datetime(2013, 1, 1, 12),  # noqa: DTZ001 -- naive on purpose
        datetime(2013, 1, 1, 12, tzinfo=NoTime()),
        datetime(2013, 1, 1, 12, tzinfo=UTC),
        datetime(2013, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
@pytest.mark.usefixtures('in_tokyo')
def test_start_at_a_moment_is_kept_in_utc(moment: datetime) -> None:
    start = declare(start=moment).start
    assert isinstance(start, datetime)
    assert start.isoformat() == '2013-01-01T12:00:00+00:00'


def test_start_at_a_moment_that_is_not_in_utc() -> None:
    moment = datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(
        DeclarationError, match="actor 'count': start must be a datetime that exists"
    ):
        declare(start=moment)


@pytest.mark.parametrize(
    ('name', 'value', 'rule'),
    [
        ('event', 'counted', 'must be an instance of BaseEvent, such as Event('),
        ('event', int, 'must be an instance of BaseEvent, such as Event('),
        ('event', Event, 'must be an instance of BaseEvent, such as Event('),
        ('description', 5, 'must be a string or None'),
        ('description', 'x' * 4097, 'must be at most 4096 bytes of UTF-8, these are 4097'),
        ('execute_in', 'main', 'must be one of ExecuteIn.MAIN, ExecuteIn.THREAD, ExecuteIn.PRO'),
        ('execute_in', None, 'must be one of ExecuteIn.MAIN'),
        ('pulse', 1, 'must be True or False'),
        ('pulse', None, 'must be True or False'),
        ('priority', 'high', 'must be one of Priority.HIGH, Priority.NORMAL, Priority.LOW'),
        ('priority', 1, 'must be one of Priority.HIGH'),
        ('middlewares', Middleware(), 'must be a sequence of middlewares'),
        ('middlewares', None, 'must be a sequence of middlewares'),
        ('middlewares', {'a': Middleware()}, 'must be a sequence of middlewares'),
        ('middlewares', [Middleware], 'must be instances with the methods on_start, on_success'),
        ('middlewares', [Middleware(), HalfMiddleware()], 'must be instances with the methods'),
        ('middlewares', [handle], 'must be instances with the methods'),
        ('give_up_on', ValueError, 'must be a sequence of exception types: put a single one in'),
        ('give_up_on', 'ValueError', 'must be a sequence of exception types'),
        ('give_up_on', [ValueError()], 'must be exception types'),
        ('give_up_on', [ValueError, int], 'must be exception types'),
        ('give_up_on', ['ValueError'], 'must be exception types'),
    ],
)
def test_bad_field(name: str, value: object, rule: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(**{name: value})
    assert str(caught.value).startswith(f"actor 'count': {name} {rule}")
    assert '; it is ' in str(caught.value)


def test_dead_letters_need_a_retention_that_keeps_them() -> None:
    rule = r'DeadLetters: storage must have retention=Retention\.LIMITS'
    with pytest.raises(DeclarationError, match=rule):
        DeadLetters(storage=Storage())
    storage = Storage(retention=Retention.LIMITS, replicas=3)
    assert DeadLetters(limits=Limits(), storage=storage).storage is storage


@pytest.mark.parametrize(
    ('name', 'value'), [('limits', None), ('limits', 5), ('storage', Limits())]
)
def test_bad_dead_letters(name: str, value: object) -> None:
    with pytest.raises(DeclarationTypeError, match=f'DeadLetters: {name} must be an instance of'):
        DeadLetters(**{name: value})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
