"""Decorators for handlers.

They take handlers of every kind: sync and async functions, functions that return an
awaitable, methods, partials and callable objects. The name, the docstring and what the handler
returns are kept. They stack, and work without walnats too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from ._actor import MIN_SECONDS
from ._checks import Fields
from ._handlers import find_callable_problem, is_async, takes
from .errors import GiveUp, Retry

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ['filter_time', 'rate_limit', 'require', 'suppress']

P = ParamSpec('P')
R = TypeVar('R')

Units: TypeAlias = int | Iterable[int] | None
"""The numbers that will do, None for all."""

_logger = logging.getLogger('walnats.decorators')

_RANGES = {'year': (1, 9999), 'month': (1, 12), 'day': (1, 31), 'hour': (0, 23), 'minute': (0, 59)}


class OptionalDecorator(Protocol):
    """Decorates a handler, which then may give None in place of its result."""

    @overload
    def __call__(
        self, handler: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R | None]]: ...

    @overload
    def __call__(
        self, handler: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Awaitable[R | None]]: ...

    @overload
    def __call__(self, handler: Callable[P, R], /) -> Callable[P, R | None]: ...


class AsyncDecorator(Protocol):
    """Decorates a handler, which then is async."""

    @overload
    def __call__(
        self, handler: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(self, handler: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...


def filter_time(
    year: Units = None,
    month: Units = None,
    day: Units = None,
    hour: Units = None,
    minute: Units = None,
    *,
    tz: tzinfo = UTC,
) -> OptionalDecorator:
    """Run the handler only at certain times; otherwise the message counts as handled.

    Each argument is a number, several of them, or None for any. All have to fit.

        @filter_time(hour=3, minute=0)
        async def clean_up(tick: datetime) -> None: ...

    The time is that of the message if it is a datetime, such as a tick of a Clock: so one
    that is late, or tried again, still counts as what it was. A naive one is taken as
    UTC. For other messages it is the time at which the handler is called.

    A handler that doesn't run gives None.

    :param tz: the time zone in which the numbers are meant.
    """
    rules = Fields(
        'filter_time',
        SimpleNamespace(year=year, month=month, day=day, hour=hour, minute=minute, tz=tz),
    )
    rules.instance('tz', tzinfo, "zoneinfo.ZoneInfo('Europe/Paris')")
    units = {'year': year, 'month': month, 'day': day, 'hour': hour, 'minute': minute}
    allowed = {
        unit: _read_numbers(rules, unit, value)
        for unit, value in units.items()
        if value is not None
    }

    def fits(arguments: Iterable[Any]) -> bool:
        moment = _find_moment(arguments, tz)
        return all(getattr(moment, unit) in numbers for unit, numbers in allowed.items())

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        _check_handler('filter_time', handler)

        def call(*args: Any, **kwargs: Any) -> Any:
            return handler(*args, **kwargs) if fits((*args, *kwargs.values())) else None

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await handler(*args, **kwargs) if fits((*args, *kwargs.values())) else None

        return _present(call_async if is_async(handler) else call, handler)

    return decorate


def rate_limit(max_jobs: int, period: float) -> AsyncDecorator:
    """Start at most so many jobs in any `period` seconds; more of them wait, in order.

        @rate_limit(max_jobs=10, period=1)
        async def call_partner(order: Order) -> None: ...

    It holds for one process. One decorator that is kept in a variable and put on several
    handlers limits them together. To wait is a part of the job: it takes a slot and is
    subject to the actor's `job_timeout`. So an actor's `max_jobs` should not be much more than
    what can start within that.

    The handler becomes async, a sync one too: it runs in the event loop.
    """
    rules = Fields('rate_limit', SimpleNamespace(max_jobs=max_jobs, period=period))
    rules.integer('max_jobs')
    rules.seconds('period', least=MIN_SECONDS)
    return _run_after('rate_limit', _Window(max_jobs, period).wait)


def require(predicate: Callable[[], bool | Awaitable[bool]], pause: float = 0) -> AsyncDecorator:
    """Wait until the predicate is true, and only then run the handler.

        @require(lambda: not maintenance.is_on, pause=1)
        async def handle(order: Order) -> None: ...

    To wait is a part of the job: it takes a slot and is subject to the actor's `job_timeout`.
    An error of the predicate is one of the job.

    The handler becomes async, a sync one too: it runs in the event loop.

    :param predicate: takes nothing; sync or async. It is asked before each job.
    :param pause: seconds between two questions of one job. Less than a millisecond is one.
    """
    rules = Fields('require', SimpleNamespace(pause=pause))
    _check_predicate(rules, predicate)
    rules.seconds('pause', least=0)

    async def wait() -> None:
        while not await _resolve(predicate()):  # noqa: ASYNC110 -- nobody tells of a change
            await asyncio.sleep(max(pause, MIN_SECONDS))

    return _run_after('require', wait)


def suppress(
    exc: type[BaseException],
    *excs: type[BaseException],
    logger: logging.Logger | None = _logger,
) -> OptionalDecorator:
    """Take these exceptions for success: the message counts as handled.

        @suppress(UserGoneError)
        async def send_email(user: User) -> None: ...

    A handler that raises one of them gives None. `Retry` and `GiveUp`, which a handler says to
    walnats, pass unless they themselves are named.

    :param logger: what to log a warning to, with the traceback; None for no record at all.
    """
    types = (exc, *excs)
    for item in types:
        _check_suppressed(item)

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        _check_handler('suppress', handler)
        suppressing = _Suppressing(types, handler, logger)

        def call(*args: Any, **kwargs: Any) -> Any:
            with suppressing:
                result = handler(*args, **kwargs)
                return finish(result) if inspect.isawaitable(result) else result

        async def finish(result: Awaitable[Any]) -> Any:
            with suppressing:
                return await result

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with suppressing:
                return await handler(*args, **kwargs)

        return _present(call_async if is_async(handler) else call, handler)

    return decorate


class _Window:
    """A limit of starts in a span of time that moves."""

    def __init__(self, max_jobs: int, period: float) -> None:
        self._period = period
        self._starts: deque[float] = deque(maxlen=max_jobs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Wait for one's turn. Who is cancelled meanwhile takes no one else's place."""
        async with self._find_lock():
            while (delay := self._find_delay()) > 0:  # noqa: ASYNC110 -- time itself changes it
                await asyncio.sleep(delay)
            self._starts.append(time.monotonic())

    def _find_lock(self) -> asyncio.Lock:
        # It keeps the order. A lock belongs to one event loop; a handler may see several.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock

    def _find_delay(self) -> float:
        if len(self._starts) < (self._starts.maxlen or 0):
            return 0
        return self._starts[0] + self._period - time.monotonic()


class _Suppressing:
    """A context that takes exceptions for success. Many jobs can be in it at once."""

    def __init__(
        self,
        types: tuple[type[BaseException], ...],
        handler: Callable[..., Any],
        logger: logging.Logger | None,
    ) -> None:
        self._types = types
        self._words = tuple(word for word in (Retry, GiveUp) if not _is_any(types, word))
        self._handler = handler
        self._logger = logger

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(exception, self._types) or isinstance(exception, self._words):
            return False
        if self._logger is not None:
            name = getattr(_find_named(self._handler), '__qualname__', '?')
            self._logger.warning(
                'suppressed %s in %s', type(exception).__name__, name, exc_info=exception
            )
        return True


def _run_after(owner: str, wait: Callable[[], Awaitable[None]]) -> AsyncDecorator:
    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        _check_handler(owner, handler)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await wait()
            return await _resolve(handler(*args, **kwargs))

        return _present(call, handler)

    return decorate


async def _resolve(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _read_numbers(rules: Fields, unit: str, value: Any) -> frozenset[int]:
    least, most = _RANGES[unit]
    rule = f'must be an integer from {least} to {most}, several of them, or None for any'
    if isinstance(value, int):
        value = [value]
    elif isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        rules.reject_type(unit, value, rule)
    numbers: set[int] = set()
    for number in value:  # it may have no end, like itertools.count()
        if isinstance(number, bool) or not isinstance(number, int):
            rules.reject_type(unit, number, rule)
        if not least <= number <= most:
            rules.reject(unit, number, rule)
        numbers.add(number)
    if not numbers:
        rules.reject(unit, value, f'{rule}: nothing fits none')
    return frozenset(numbers)


def _find_moment(arguments: Iterable[Any], tz: tzinfo) -> datetime:
    """Give the time that counts. The message is the last argument: a method has `self` first."""
    *_, message = (None, *arguments)
    if not isinstance(message, datetime):
        return datetime.now(tz)
    if message.utcoffset() is None:
        message = message.replace(tzinfo=UTC)
    return message.astimezone(tz)


def _check_predicate(rules: Fields, predicate: object) -> None:
    if not callable(predicate) or not takes(predicate, 0):
        rule = 'must be a function without arguments that says if the handler may run'
        rules.reject_type('predicate', predicate, rule)


def _check_suppressed(item: object) -> None:
    rules = Fields('suppress', item)
    if not isinstance(item, type) or not issubclass(item, BaseException):
        rules.reject_type('excs', item, 'must be exception types, not anything else')
    if issubclass(asyncio.CancelledError, item):
        rule = 'must not include CancelledError, by which job_timeout and shutdown end a job'
        rules.reject('excs', item, rule)


def _is_any(types: tuple[type[BaseException], ...], word: type[Exception]) -> bool:
    return any(issubclass(item, word) for item in types)


def _check_handler(owner: str, handler: object) -> None:
    rules = Fields(owner, handler)
    if isinstance(handler, (staticmethod, classmethod)):
        rule = f'must not be a {type(handler).__name__}: write this decorator below that one'
        rules.reject_type('the handler', handler, rule)
    problem = find_callable_problem(handler)
    if problem is not None:
        rules.reject_type('the handler', handler, problem)


def _present(wrapper: Callable[..., Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make the wrapper look like the handler, its signature included."""
    named = _find_named(handler)
    if isinstance(named, type):
        # What is in a class is not for a function.
        names = ('__module__', '__name__', '__qualname__', '__doc__')
        functools.update_wrapper(wrapper, named, assigned=names, updated=())
    else:
        functools.update_wrapper(wrapper, named)
    presented: Any = wrapper
    presented.__wrapped__ = handler
    with contextlib.suppress(TypeError, ValueError):  # some builtins have none
        presented.__signature__ = inspect.signature(handler, follow_wrapped=False)
    return wrapper


def _find_named(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Find what has a name: what a partial wraps, and the class of a callable object."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if hasattr(handler, '__name__') else type(handler)
