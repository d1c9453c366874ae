from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import logging
import pickle
import time
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from walnats import Actor, Event, ExecuteIn, GiveUp, Retry
from walnats.decorators import filter_time, rate_limit, require, suppress
from walnats.errors import DeclarationError, DeclarationTypeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

EVENT = Event('counted', int)
TICK = datetime(2013, 1, 31, 12, 30, 45, tzinfo=UTC)


# --- Handlers of all kinds, which double a number -----------------------------


def handle(message: int) -> int:
    """Double it."""
    return 2 * message


async def ahandle(message: int) -> int:
    """Double it."""
    await asyncio.sleep(0)
    return 2 * message


def handle_later(message: int) -> Awaitable[int]:
    """Double it."""
    return ahandle(message)


def handle_with(factor: int, message: int) -> int:
    """Double it."""
    return factor * message


async def ahandle_with(factor: int, message: int) -> int:
    """Double it."""
    return factor * message


class Service:
    """Holds handlers."""

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def handle(self, message: int) -> int:
        """Double it."""
        return self.factor * message

    async def ahandle(self, message: int) -> int:
        """Double it."""
        return self.factor * message

    @classmethod
    def handle_by_class(cls, message: int) -> int:
        """Double it."""
        return 2 * message

    @staticmethod
    async def handle_static(message: int) -> int:
        """Double it."""
        return 2 * message


class Callee:
    """Double it."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, message: int) -> int:
        return 2 * message


class AsyncCallee:
    """Double it."""

    async def __call__(self, message: int) -> int:
        return 2 * message


HANDLERS: list[tuple[Callable[[int], Any], str]] = [
    (handle, 'handle'),
    (ahandle, 'ahandle'),
    (handle_later, 'handle_later'),
    (functools.partial(handle_with, 2), 'handle_with'),
    (functools.partial(functools.partial(ahandle_with), 2), 'ahandle_with'),
    (Service().handle, 'handle'),
    (Service().ahandle, 'ahandle'),
    (Service.handle_by_class, 'handle_by_class'),
    (Service.handle_static, 'handle_static'),
    (functools.partial(Service().handle), 'handle'),
    (Callee(), 'Callee'),
    (AsyncCallee(), 'AsyncCallee'),
]
DECORATORS: dict[str, Any] = {
    'filter_time': filter_time(),
    'rate_limit': rate_limit(1000, 0.001),
    'require': require(lambda: True),
    'suppress': suppress(KeyError),
}
CLASS_METHOD: Any = vars(Service)['handle_by_class']
BECOME_ASYNC = {'rate_limit', 'require'}
ASYNC = {'ahandle', 'ahandle_with', 'handle_static', 'AsyncCallee'}


async def resolve(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


@pytest.mark.parametrize('decorator', DECORATORS)
@pytest.mark.parametrize(('handler', 'name'), HANDLERS)
async def test_handlers_of_all_kinds_work(
    decorator: str, handler: Callable[[int], Any], name: str
) -> None:
    decorated = DECORATORS[decorator](handler)
    assert await resolve(decorated(21)) == 42
    assert await resolve(Actor('a', EVENT, decorated).handler(21)) == 42


@pytest.mark.parametrize('decorator', DECORATORS)
@pytest.mark.parametrize(('handler', 'name'), HANDLERS)
def test_name_docstring_and_signature_are_kept(
    decorator: str, handler: Callable[[int], Any], name: str
) -> None:
    decorated = DECORATORS[decorator](handler)
    assert decorated.__name__ == name
    assert decorated.__doc__ == 'Double it.'
    assert decorated.__wrapped__ is handler
    assert decorated.__module__ == __name__
    assert inspect.signature(decorated) == inspect.signature(handler)


@pytest.mark.parametrize('decorator', DECORATORS)
@pytest.mark.parametrize(('handler', 'name'), HANDLERS)
def test_only_some_decorators_make_a_handler_async(
    decorator: str, handler: Callable[[int], Any], name: str
) -> None:
    decorated = DECORATORS[decorator](handler)
    is_async = decorator in BECOME_ASYNC or name in ASYNC
    assert inspect.iscoroutinefunction(decorated) == is_async


@pytest.mark.parametrize('decorator', DECORATORS)
async def test_methods_can_be_decorated_where_they_are_written(decorator: str) -> None:
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = DECORATORS[decorator]

    class Decorated:
        factor = 2

        @decorate
        def handle(self, message: int) -> int:
            return self.factor * message

        @decorate
        async def ahandle(self, message: int) -> int:
            return self.factor * message

        @classmethod
        @decorate
        def handle_by_class(cls, message: int) -> int:
            return cls.factor * message

        @staticmethod
        @decorate
        def handle_static(message: int) -> int:
            return 2 * message

    one = Decorated()
    for handler in (one.handle, one.ahandle, one.handle_by_class, one.handle_static):
        assert await resolve(handler(21)) == 42
        Actor('a', EVENT, handler)


async def test_they_stack() -> None:
    decorated = filter_time()(rate_limit(10, 1)(require(lambda: True)(suppress(KeyError)(handle))))
    assert decorated.__name__ == 'handle'
    assert await decorated(21) == 42


@pytest.mark.parametrize('decorator', DECORATORS)
def test_attributes_of_a_function_are_kept_those_of_an_object_are_not(decorator: str) -> None:
    def marked(message: int) -> None: ...

    marked.mark = 1  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess] -- it has none
    assert DECORATORS[decorator](marked).mark == 1
    assert not {'calls', '__init__'} & vars(DECORATORS[decorator](Callee())).keys()


@suppress(KeyError)
@filter_time()
def handle_in_pool(message: int) -> None: ...


def test_a_decorated_function_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(handle_in_pool)) is handle_in_pool  # noqa: S301 -- our own


@pytest.mark.parametrize('decorator', ['rate_limit', 'require'])
def test_a_handler_that_became_async_is_not_for_a_pool(decorator: str) -> None:
    with pytest.raises(DeclarationError, match=r'must be ExecuteIn\.MAIN'):
        Actor('a', EVENT, DECORATORS[decorator](handle), execute_in=ExecuteIn.THREAD)


# --- What can not be decorated -----------------------------------------------


def generate(message: int) -> Iterator[int]:
    yield message


async def agenerate(message: int) -> AsyncIterator[int]:
    yield message


class Generating:
    def __call__(self, message: int) -> Iterator[int]:
        yield message


@pytest.mark.parametrize('decorator', DECORATORS)
@pytest.mark.parametrize(
    ('handler', 'problem'),
    [
        (None, 'must be a function or another callable'),
        (Callee, 'must not be a class: pass a method or an instance of Callee'),
        (generate, 'must not be a generator'),
        (agenerate, 'must not be a generator'),
        (functools.partial(generate), 'must not be a generator'),
        (Generating(), 'must not be a generator'),
        (staticmethod(handle), 'must not be a staticmethod: write this decorator below that one'),
        (
            vars(Service)['handle_by_class'],
            'must not be a classmethod: write this decorator below that one',
        ),
    ],
)
def test_what_is_no_handler_is_refused(decorator: str, handler: Any, problem: str) -> None:
    with pytest.raises(DeclarationTypeError, match=f'{decorator}: the handler {problem}'):
        DECORATORS[decorator](handler)


@pytest.mark.parametrize('decorator', DECORATORS)
def test_an_actor_still_sees_a_handler_without_a_message(decorator: str) -> None:
    def handle_nothing() -> None: ...

    with pytest.raises(DeclarationTypeError, match='must take one positional argument'):
        Actor('a', EVENT, DECORATORS[decorator](handle_nothing))


@pytest.mark.parametrize('decorator', [filter_time, rate_limit, require, suppress])
def test_a_decorator_without_its_arguments_is_refused(decorator: Any) -> None:
    with pytest.raises(TypeError):
        decorator(handle)


# --- filter_time -------------------------------------------------------------


@pytest.mark.parametrize(
    ('units', 'fits'),
    [
        ({}, True),
        ({'year': 2013}, True),
        ({'year': 2014}, False),
        ({'month': 1}, True),
        ({'month': [2, 3]}, False),
        ({'day': range(25, 32)}, True),
        ({'day': 1}, False),
        ({'hour': {12, 13}}, True),
        ({'hour': 0}, False),
        ({'minute': iter([0, 15, 30, 45])}, True),
        ({'minute': 0}, False),
        ({'year': 2013, 'month': 1, 'day': 31, 'hour': 12, 'minute': 30}, True),
        ({'hour': 12, 'minute': 0}, False),
    ],
)
async def test_a_handler_runs_at_its_times(*, units: dict[str, Any], fits: bool) -> None:
    decorate = filter_time(**units)
    for handler in (handle_tick, ahandle_tick, handle_tick_later):
        for _ in range(2):
            assert await resolve(decorate(handler)(TICK)) == ('ran' if fits else None)


def handle_tick(tick: datetime) -> str:
    return 'ran'


async def ahandle_tick(tick: datetime) -> str:
    return 'ran'


def handle_tick_later(tick: datetime) -> Awaitable[str]:
    return ahandle_tick(tick)


def test_the_order_of_the_units() -> None:
    assert filter_time(2013, 1, 31, 12, 30)(handle_tick)(TICK) == 'ran'


@given(tick=st.datetimes(timezones=st.just(UTC)), is_in_kwargs=st.booleans())
def test_any_tick_fits_its_own_numbers(*, tick: datetime, is_in_kwargs: bool) -> None:
    decorated = filter_time(tick.year, tick.month, tick.day, tick.hour, tick.minute)(handle_tick)
    assert (decorated(tick=tick) if is_in_kwargs else decorated(tick)) == 'ran'


@pytest.fixture(params=['UTC', 'Asia/Tokyo'])
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv('TZ', request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_it_is_utc_whatever_the_zones_of_the_tick_and_the_machine(local_zone: None) -> None:
    decorated = filter_time(hour=12)(handle_tick)
    assert decorated(TICK.astimezone(timezone(timedelta(hours=5)))) == 'ran'
    assert decorated(TICK.replace(tzinfo=None)) == 'ran'
    assert decorated(TICK.replace(tzinfo=timezone(timedelta(hours=5)))) is None


def test_another_zone_can_be_meant() -> None:
    decorated = filter_time(hour=14, tz=ZoneInfo('Europe/Paris'))(handle_tick)
    assert decorated(datetime(2013, 7, 1, 12, tzinfo=UTC)) == 'ran'
    assert decorated(datetime(2013, 1, 1, 12, tzinfo=UTC)) is None
    assert decorated(datetime(2013, 1, 1, 13, tzinfo=UTC)) == 'ran'


def test_for_other_messages_it_is_the_time_now() -> None:
    now = datetime.now(UTC)
    assert filter_time(year=(now.year, now.year + 1))(handle)(21) == 42
    assert filter_time(year=2013)(handle)(21) is None


def test_the_message_of_a_method_is_the_one_that_counts() -> None:
    class Ticking:
        @filter_time(year=2013)
        def handle(self, tick: datetime) -> str:
            return 'ran'

    assert Ticking().handle(TICK) == 'ran'
    assert Ticking().handle(tick=TICK) == 'ran'


@pytest.mark.parametrize(
    ('unit', 'value'),
    [
        ('year', 0),
        ('month', 13),
        ('day', 0),
        ('hour', 24),
        ('minute', [0, 60]),
        ('minute', []),
        ('minute', itertools.count(0, 15)),
    ],
)
def test_a_time_that_never_comes_is_refused(unit: str, value: Any) -> None:
    with pytest.raises(DeclarationError, match=f'filter_time: {unit} must be an integer from'):
        filter_time(**{unit: value})


@pytest.mark.parametrize('value', ['3', b'3', 3.0, [3, None], True, handle])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='filter_time: hour must be an integer from 0'):
        filter_time(hour=value)


def test_what_is_no_time_zone_is_refused() -> None:
    name: Any = 'Europe/Paris'
    with pytest.raises(DeclarationTypeError, match='filter_time: tz must be an instance'):
        filter_time(tz=name)


# --- rate_limit --------------------------------------------------------------


async def start_times(decorate: Any, count: int) -> list[float]:
    """Call a handler so often at once, and give the times at which it ran."""
    times: list[float] = []

    async def note(_: int) -> None:
        times.append(time.monotonic())

    decorated = decorate(note)
    await asyncio.gather(*(decorated(n) for n in range(count)))
    return times


def most_within(times: list[float], period: float) -> int:
    """Count the most starts in any span of that length."""
    return max(sum(start <= other < start + period for other in times) for start in times)


async def test_no_more_jobs_start_in_any_period() -> None:
    times = await start_times(rate_limit(3, 0.1), 10)
    # A bit less than the period, for the time from the start to the note.
    assert most_within(times, 0.09) == 3
    # And not much fewer: the last one starts after three periods.
    assert 0.3 <= times[-1] - times[0] < 3


async def test_the_first_ones_start_at_once() -> None:
    async with asyncio.timeout(5):
        await start_times(rate_limit(100, 1000), 100)


async def test_what_waits_starts_in_order() -> None:
    started: list[int] = []

    @rate_limit(1, 0.01)
    def note(number: int) -> None:
        started.append(number)

    await asyncio.gather(*(note(n) for n in range(10)))
    assert started == list(range(10))


async def test_it_limits_starts_not_how_many_run() -> None:
    barrier = asyncio.Barrier(4)

    @rate_limit(2, 0.05)
    async def meet(_: int) -> None:
        await barrier.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(*(meet(n) for n in range(4)))


async def test_one_that_is_cancelled_while_it_waits_costs_nothing() -> None:
    decorated = rate_limit(1, 0.2)(handle)
    await decorated(1)
    waiting = [asyncio.create_task(decorated(n)) for n in range(50)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    async with asyncio.timeout(5):
        assert await decorated(21) == 42


async def test_one_decorator_limits_its_handlers_together() -> None:
    limit = rate_limit(1, 1000)
    one, other, apart = limit(handle), limit(ahandle), rate_limit(1, 1000)(handle)
    await one(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other(1), 0.05)
    async with asyncio.timeout(5):
        await apart(1)


def test_it_works_in_one_event_loop_after_the_other() -> None:
    limit = rate_limit(1, 0.01)
    for _ in range(2):
        assert len(asyncio.run(start_times(limit, 3))) == 3


@pytest.mark.parametrize(
    ('max_jobs', 'period', 'name'), [(0, 1, 'max_jobs'), (1, 0, 'period'), (1, -1, 'period')]
)
def test_a_limit_that_is_none_is_refused(max_jobs: int, period: float, name: str) -> None:
    with pytest.raises(DeclarationError, match=f'rate_limit: {name} must be'):
        rate_limit(max_jobs, period)


# --- require -----------------------------------------------------------------


@pytest.mark.parametrize('kind', ['sync', 'async'])
async def test_a_handler_waits_until_it_is_true(kind: str) -> None:
    answers = [False, False, True]
    asked: list[bool] = []

    def ask() -> bool:
        asked.append(answers[len(asked)])
        return asked[-1]

    async def ask_async() -> bool:
        await asyncio.sleep(0)
        return ask()

    decorated = require(ask if kind == 'sync' else ask_async)(handle)
    assert await decorated(21) == 42
    assert asked == answers


async def test_it_is_asked_before_each_job() -> None:
    asked: list[None] = []

    def ask() -> bool:
        asked.append(None)
        return True

    decorated = require(ask)(ahandle)
    for _ in range(3):
        await decorated(1)
    assert len(asked) == 3


async def test_it_waits_between_two_questions() -> None:
    times: list[float] = []

    def ask() -> bool:
        times.append(time.monotonic())
        return len(times) == 3

    await require(ask, pause=0.05)(handle)(1)
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))


async def test_without_a_pause_others_go_on_and_the_loop_has_some_rest() -> None:
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        return open_now

    open_now = False
    job = asyncio.create_task(require(ask)(handle)(21))
    await asyncio.sleep(0.1)
    open_now = True
    assert await job == 42
    assert asked < 200


async def test_an_event_that_is_waited_for_will_do() -> None:
    event = asyncio.Event()
    job = asyncio.create_task(require(event.wait)(handle)(21))
    await asyncio.sleep(0)
    event.set()
    assert await job == 42


async def test_an_error_of_the_predicate_is_one_of_the_job() -> None:
    def ask() -> bool:
        raise KeyError('x')

    with pytest.raises(KeyError):
        await require(ask)(handle)(1)


@pytest.mark.parametrize('value', [None, True, handle])
def test_what_can_not_be_asked_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='predicate must be a function without arg'):
        require(value)


@pytest.mark.parametrize('pause', [-1, float('nan')])
def test_a_pause_that_is_none_is_refused(pause: float) -> None:
    with pytest.raises(DeclarationError, match='require: pause must be a number of seconds'):
        require(lambda: True, pause)


# --- suppress ----------------------------------------------------------------


def failing(error: BaseException) -> list[Any]:
    """Give handlers of all kinds that raise the error."""

    def fail(message: int) -> int:
        raise error

    async def afail(message: int) -> int:
        await asyncio.sleep(0)
        raise error

    def fail_later(message: int) -> Awaitable[int]:
        return afail(message)

    return [fail, afail, fail_later]


KINDS = range(3)


def suppressing(*types: type[BaseException], **options: Any) -> Callable[[Any], Callable[..., Any]]:
    """Give the decorator, for handlers of which nobody knows the type."""
    return suppress(*types, **options)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('error', [KeyError('x'), ValueError('x'), UnicodeError('a subclass')])
async def test_the_named_exceptions_become_none(
    kind: int, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    handler = failing(error)[kind]
    assert await resolve(suppressing(KeyError, ValueError)(handler)(1)) is None
    (record,) = caplog.records
    assert (record.name, record.levelno) == ('walnats.decorators', logging.WARNING)
    name = f'failing.<locals>.{handler.__name__}'
    assert record.getMessage() == f'suppressed {type(error).__name__} in {name}'
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize('kind', KINDS)
async def test_others_are_raised(kind: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(IndexError):
        await resolve(suppressing(KeyError, ValueError)(failing(IndexError())[kind])(1))
    assert caplog.records == []


@pytest.mark.parametrize('kind', KINDS)
async def test_to_cancel_the_job_cancels_it(kind: int) -> None:
    with pytest.raises(asyncio.CancelledError):
        await resolve(suppressing(Exception)(failing(asyncio.CancelledError())[kind])(1))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('word', [Retry(5), GiveUp('x')])
async def test_the_words_of_a_handler_pass_unless_they_are_named(
    kind: int, word: Exception
) -> None:
    handler = failing(word)[kind]
    with pytest.raises(type(word)):
        await resolve(suppressing(Exception)(handler)(1))
    assert await resolve(suppressing(KeyError, type(word), logger=None)(handler)(1)) is None


async def test_a_handler_that_exits_can_be_kept_from_it() -> None:
    assert suppressing(SystemExit, logger=None)(failing(SystemExit(1))[0])(1) is None


async def test_the_logger_can_be_chosen_or_left_out(caplog: pytest.LogCaptureFixture) -> None:
    handler = failing(KeyError('x'))[0]
    suppressing(KeyError, logger=logging.getLogger('mine'))(handler)(1)
    suppressing(KeyError, logger=None)(handler)(1)
    assert [record.name for record in caplog.records] == ['mine']


async def test_a_partial_and_a_callable_object_have_a_name_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing:
        def __call__(self, message: int) -> None:
            raise KeyError

    suppressing(KeyError)(functools.partial(failing(KeyError())[0]))(1)
    suppressing(KeyError)(Failing())(1)
    texts = [record.getMessage().rpartition('.')[2] for record in caplog.records]
    assert texts == ['fail', 'Failing']


@pytest.mark.parametrize('value', [KeyError(), 'KeyError', int, None])
def test_what_is_no_exception_type_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='suppress: excs must be exception types'):
        suppress(KeyError, value)


@pytest.mark.parametrize('value', [asyncio.CancelledError, BaseException])
def test_what_ends_a_job_can_not_be_suppressed(value: Any) -> None:
    with pytest.raises(DeclarationError, match='must not include CancelledError'):
        suppress(value)
