"""Hooks are called in order, in the job's context, and harm nothing."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from nats.aio.msg import Msg

from walnats import Actor, Event
from walnats._jetstream.delivery import Delivery
from walnats._worker.hooks import HookRunner, make_context, make_error_context, make_ok_context
from walnats.middlewares import Middleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from walnats._context import Context

EVENT = Event('user.created', str)
STEPS = ('start', 'success', 'failure')


def make_actor(*middlewares: Any, **options: Any) -> Actor[str, Any]:
    return Actor('greet', EVENT, print, middlewares=middlewares, **options)


def make_delivery(headers: dict[str, str] | None = None) -> Delivery:
    reply = '$JS.ACK.user-created.greet.3.42.7.1359635400000000000.0'
    msg = Msg(cast('Any', None), 'user.created', reply, b'"Ada"', headers)
    return Delivery(cast('Any', None), msg, received_at=0.0)


def context(actor: Actor[str, Any], headers: dict[str, str] | None = None) -> Context:
    return make_context(actor, make_delivery(headers), 'Ada', attempts=2)


async def call_all(actor: Actor[str, Any]) -> None:
    """Call the hooks of each kind once."""
    for step in STEPS:
        await call(actor, step)


async def call(actor: Actor[str, Any], step: str) -> None:
    hooks, ctx = HookRunner(actor), context(actor)
    if step == 'start':
        await hooks.start(ctx)
    elif step == 'success':
        await hooks.success(make_ok_context(ctx, 0.5))
    else:
        await hooks.failure(make_error_context(ctx, ValueError('x')))


class Noting:
    """Notes its calls, and then does something."""

    def __init__(
        self,
        name: str,
        notes: list[tuple[str, str]],
        then: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name
        self.notes = notes
        self.then = then

    def _note(self, what: str) -> Any:
        self.notes.append((self.name, what))
        return None if self.then is None else self.then()

    def on_start(self, ctx: Context) -> Any:
        return self._note('start')

    def on_success(self, ctx: Context) -> Any:
        return self._note('success')

    def on_failure(self, ctx: Context) -> Any:
        return self._note('failure')


# --- Contexts ----------------------------------------------------------------


def test_a_context_says_what_is_known() -> None:
    actor = make_actor()
    ctx = context(actor, {'Walnats-Trace': 'abc', 'X-A': 'b'})
    assert ctx.actor is actor
    assert ctx.message == 'Ada'
    assert ctx.headers == {'Walnats-Trace': 'abc', 'X-A': 'b'}
    assert (ctx.seq_number, ctx.attempts, ctx.trace_id) == (42, 2, 'abc')
    assert (ctx.metadata.stream, ctx.metadata.consumer) == ('user-created', 'greet')
    assert (ctx.metadata.seq_number, ctx.metadata.num_delivered) == (42, 3)
    assert ctx.metadata.timestamp == datetime(2013, 1, 31, 12, 30, tzinfo=UTC)
    assert ctx.metadata.timestamp.tzinfo is UTC


@pytest.mark.parametrize('headers', [None, {}, {'Walnats-Trace': ''}, {'X-A': 'b'}])
def test_there_may_be_no_trace_id(headers: dict[str, str] | None) -> None:
    ctx = context(make_actor(), headers)
    assert ctx.headers == headers
    assert ctx.trace_id is None


def test_the_headers_are_a_copy() -> None:
    delivery = make_delivery({'X-A': 'b'})
    ctx = make_context(make_actor(), delivery, 'Ada', attempts=1)
    assert ctx.headers is not None
    ctx.headers.clear()
    assert delivery.headers == {'X-A': 'b'}


def test_the_context_of_an_end_adds_to_that_of_the_start() -> None:
    ctx = context(make_actor(), {'Walnats-Trace': 'abc'})
    error = ValueError('x')
    ok, failed = make_ok_context(ctx, 0.5), make_error_context(ctx, error)
    for end in (ok, failed):
        assert (end.actor, end.message, end.metadata) == (ctx.actor, ctx.message, ctx.metadata)
        assert (end.headers, end.attempts) == (ctx.headers, ctx.attempts)
        assert (end.seq_number, end.trace_id) == (42, 'abc')
    assert ok.duration == 0.5
    assert failed.exception is error


def test_a_context_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        context(make_actor()).attempts = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# --- Order and context -------------------------------------------------------


async def test_start_hooks_run_in_order_and_the_others_in_reverse() -> None:
    notes: list[tuple[str, str]] = []
    await call_all(make_actor(Noting('a', notes), Noting('b', notes)))
    assert notes == [
        ('a', 'start'),
        ('b', 'start'),
        ('b', 'success'),
        ('a', 'success'),
        ('b', 'failure'),
        ('a', 'failure'),
    ]


async def test_hooks_may_be_async_or_return_an_awaitable() -> None:
    notes: list[tuple[str, str]] = []
    ends: list[str] = []

    async def end() -> None:
        await asyncio.sleep(0)
        ends.append('coroutine')

    def end_later() -> Awaitable[None]:
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: ends.append('future'))
        future.get_loop().call_soon(future.set_result, None)
        return future

    await call(make_actor(Noting('a', notes, end), Noting('b', notes, end_later)), 'start')
    assert ends == ['coroutine', 'future']


async def test_what_a_hook_returns_is_ignored() -> None:
    notes: list[tuple[str, str]] = []
    await call_all(make_actor(Noting('a', notes, lambda: 'something')))
    assert len(notes) == 3


async def test_context_variables_are_seen_afterwards() -> None:
    variable: ContextVar[str] = ContextVar('variable', default='unset')
    seen: list[str] = []

    class Setting(Middleware):
        async def on_start(self, ctx: Context) -> None:
            await asyncio.sleep(0)
            variable.set('set')

        def on_success(self, ctx: Context) -> None:
            seen.append(variable.get())

    actor = make_actor(Setting())
    hooks, ctx = HookRunner(actor), context(actor)
    await hooks.start(ctx)
    seen.append(variable.get())
    await hooks.success(make_ok_context(ctx, 0.5))
    assert seen == ['set', 'set']


def test_without_hooks_there_is_nothing_to_call() -> None:
    class OnlyStart(Middleware):
        def on_start(self, ctx: Context) -> None: ...

    class Nothing(Middleware):
        pass

    assert HookRunner(make_actor()).is_empty
    assert HookRunner(make_actor(Nothing(), Middleware())).is_empty
    assert not HookRunner(make_actor(OnlyStart())).is_empty
    assert not HookRunner(make_actor(Nothing(), Noting('a', []))).is_empty


# --- Errors ------------------------------------------------------------------


class HookError(Exception):
    """An error of a hook's own."""


@pytest.mark.parametrize('step', STEPS)
@pytest.mark.parametrize('kind', ['sync', 'async'])
@pytest.mark.parametrize(
    'error', [HookError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, TimeoutError]
)
async def test_an_error_is_logged_and_the_other_hooks_are_called(
    step: str, kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    async def afail() -> None:
        raise error

    notes: list[tuple[str, str]] = []
    failing = Noting('failing', notes, fail if kind == 'sync' else afail)
    await call(make_actor(Noting('before', notes), failing, Noting('after', notes)), step)
    assert sorted(notes) == [('after', step), ('before', step), ('failing', step)]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ('walnats.middlewares', logging.ERROR)
    assert record.getMessage() == (
        f"middleware Noting.on_{step} of actor 'greet' raised {error.__name__}; the job goes on"
    )
    assert record.exc_info is not None
    assert record.exc_info[0] is error


async def test_a_hook_without_a_name_can_fail(caplog: pytest.LogCaptureFixture) -> None:
    class Hook:
        def __call__(self, ctx: Context) -> None:
            raise HookError

    middleware = Middleware()
    middleware.on_start = Hook()  # type: ignore[method-assign]
    await call(make_actor(middleware), 'start')
    assert 'middleware Hook of actor' in caplog.text


async def test_a_hook_that_takes_longer_than_a_job_may_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cancelled: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    notes: list[tuple[str, str]] = []
    actor = make_actor(Noting('a', notes, hang), Noting('b', notes), job_timeout=0.05)
    await call(actor, 'start')
    assert notes == [('a', 'start'), ('b', 'start')]
    assert cancelled == [True]
    assert 'raised TimeoutError' in caplog.text


@pytest.mark.parametrize('step', STEPS)
async def test_to_cancel_the_job_cancels_the_hooks(
    step: str, caplog: pytest.LogCaptureFixture
) -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    notes: list[tuple[str, str]] = []
    task = asyncio.create_task(call(make_actor(Noting('a', notes, hang)), step))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert caplog.records == []


async def test_after_the_job_was_cancelled_the_failure_hooks_still_run() -> None:
    notes: list[tuple[str, str]] = []
    ends: list[str] = []

    async def end() -> None:
        await asyncio.sleep(0)
        ends.append('end')

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as exc:
            hooks, ctx = HookRunner(actor), context(actor)
            await hooks.failure(make_error_context(ctx, exc))
            raise

    actor = make_actor(Noting('a', notes, end), Noting('b', notes, end))
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert notes == [('b', 'failure'), ('a', 'failure')]
    assert ends == ['end', 'end']
