"""One job: a delivery becomes an outcome. A job decides, it never talks to NATS."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from .. import _headers
from .._actor import ExecuteIn
from .._checks import MAX_SECONDS
from .._context import CURRENT_HEADERS
from .._event import EventWithResponse
from ..errors import DecodeError
from .answer import reply_subject
from .deadlines import Deadlines
from .hooks import HookRunner, make_context, make_error_context, make_ok_context
from .outcome import HAND_BACK, Ack, Dead, Postpone, Retry
from .retry import after_failure, is_poison, number_attempt

if TYPE_CHECKING:
    from .._actor import Actor
    from .._context import Context
    from .._jetstream.delivery import Delivery
    from .outcome import Outcome
    from .pools import Pools

_HANDLED = Ack()

logger = logging.getLogger('walnats.actor')


class Jobs:
    """What the jobs of one actor share.

    Once :attr:`cancelled` is set, the tasks that run jobs may be cancelled, and the message of
    a job that ends by that is handed back. A handler that raises CancelledError for a reason of
    its own has just failed.
    """

    def __init__(self, actor: Actor[Any, Any], pools: Pools) -> None:
        self.cancelled = False
        self.actor = actor
        self.pools = pools
        self.hooks = HookRunner(actor)
        self.decode = actor.event.decode
        self.encode_response = (
            actor.event.encode_response if isinstance(actor.event, EventWithResponse) else None
        )
        self.deadlines = Deadlines(actor.job_timeout)
        self.is_pooled = actor.execute_in is not ExecuteIn.MAIN


class Job:
    """Handles one message."""

    __slots__ = (
        '_began_at',
        '_context',
        '_delivery',
        '_duration',
        '_jobs',
        '_running',
        'attempt',
        'reply',
    )

    def __init__(self, jobs: Jobs, delivery: Delivery) -> None:
        self.attempt = 0
        """The number of this attempt, once it is known, from 1."""
        self.reply: str | None = None
        """Where an answer is waited for."""
        self._jobs = jobs
        self._delivery = delivery
        self._context: Context | None = None
        self._began_at = 0.0
        self._duration = 0.0
        self._running: asyncio.Future[Any] | None = None

    async def run(self) -> Outcome:
        """Handle the message, in the current task."""
        jobs, delivery = self._jobs, self._delivery
        due = None if delivery.headers is None else _due(delivery, delivery.headers)
        if due is not None and (delivery.deliveries == 1 or due > time.time()):
            return Postpone(max(0.0, due - time.time()))
        deliveries = delivery.deliveries - (due is not None)
        self.attempt = number_attempt(jobs.actor, deliveries)
        if jobs.encode_response is not None:
            self.reply = reply_subject(delivery)
        if is_poison(jobs.actor, deliveries):
            return Dead(f'delivered {deliveries} times without any outcome')
        try:
            message = jobs.decode(delivery.data)
        except DecodeError as exc:
            return self._after_undecodable(exc)
        CURRENT_HEADERS.set(delivery.headers)
        try:
            if not jobs.hooks.is_empty:
                await jobs.hooks.start(self._describe(message))
            response = await self._handle(message)
            self._duration = time.monotonic() - self._began_at
            if self.reply is None or jobs.encode_response is None:
                return _HANDLED
            return Ack(jobs.encode_response(response))
        except GeneratorExit:
            # The loop is closed and the task with it: there is no one to tell.
            raise
        except BaseException as exc:  # noqa: BLE001 -- a SystemExit of the handler's is not ours
            return await self._after_error(exc)

    @property
    def is_observed(self) -> bool:
        """If there are middlewares to tell what the message came to."""
        return self._context is not None

    async def report(self, outcome: Outcome) -> None:
        """Tell the middlewares what the message came to, after it was settled."""
        if self._context is None:
            return
        hooks = self._jobs.hooks
        match outcome:
            case Ack():
                await hooks.success(make_ok_context(self._context, self._duration))
            case Retry(exception=exception) | Dead(exception=exception) if exception is not None:
                await hooks.failure(make_error_context(self._context, exception))
            case _:
                # It was begun and then handed back, because the worker was cancelled.
                await hooks.failure(make_error_context(self._context, asyncio.CancelledError()))

    @property
    def has_ended(self) -> bool:
        """If the handler has really ended: in a pool it may outlive its job."""
        return self._running is None or self._running.done()

    async def end(self) -> None:
        """Wait until the handler has really ended."""
        if self._running is None:
            return
        await asyncio.wait({self._running})
        if not self._running.cancelled():
            self._running.exception()

    async def _handle(self, message: Any) -> Any:
        if self._jobs.is_pooled:
            return await self._handle_in_pool(message)
        self._begin()
        deadline = self._jobs.deadlines.start()
        try:
            response = self._jobs.actor.handler(message)
            return await response if inspect.isawaitable(response) else response
        except asyncio.CancelledError as exc:
            cancelled = exc
        finally:
            is_overdue = self._jobs.deadlines.end(deadline)
        if is_overdue:
            # The cause shows where the job was at that time.
            raise self._overdue() from cancelled
        raise cancelled

    async def _handle_in_pool(self, message: Any) -> Any:
        actor = self._jobs.actor
        running = await self._jobs.pools.start(
            actor.execute_in, actor.handler, message, wants_result=self.reply is not None
        )
        self._running = running
        done, _ = await asyncio.wait({running}, timeout=self._begin())
        if not done:
            raise self._overdue()
        self._running = None
        return running.result()

    def _begin(self) -> float:
        """Note that the handler runs from now on, and give the seconds that it has."""
        self._began_at = time.monotonic()
        self._delivery.runs_until = self._began_at + self._jobs.actor.job_timeout
        return self._jobs.actor.job_timeout

    def _overdue(self) -> TimeoutError:
        return TimeoutError(
            f'the job ran into its job_timeout of {self._jobs.actor.job_timeout:g} s'
        )

    def _after_undecodable(self, exc: DecodeError) -> Outcome:
        if not self._jobs.hooks.is_empty:
            self._describe(None)
        self._log(exc)
        return Dead("it can't be decoded", exc)

    async def _after_error(self, exc: BaseException) -> Outcome:
        if self._jobs.cancelled and isinstance(exc, asyncio.CancelledError):
            await self.end()
            return HAND_BACK
        self._log(exc)
        return after_failure(self._jobs.actor, self.attempt, exc)

    def _describe(self, message: Any) -> Context:
        self._context = make_context(
            self._jobs.actor, self._delivery, message, attempts=self.attempt
        )
        return self._context

    def _log(self, exception: BaseException) -> None:
        logger.error(
            'Unhandled %s in "%s" actor',
            type(exception).__name__,
            self._jobs.actor.name,
            exc_info=exception,
        )


def _due(delivery: Delivery, headers: dict[str, str]) -> float | None:
    """Give the moment before which the message is held back, None if it isn't."""
    text = headers.get(_headers.DELAY)
    if text is None:
        return None
    try:
        due = float(text)
    except ValueError:
        due = math.nan
    if math.isfinite(due) and due - time.time() < MAX_SECONDS:
        return due
    # So far ahead is as malformed as no number at all: perhaps these are milliseconds.
    logger.warning(
        'message %s has the %s %.40r, which is ignored', delivery.seq, _headers.DELAY, text
    )
    return None
