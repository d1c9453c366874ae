"""Calls what observes the jobs of an actor."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

from .._context import Context, ErrorContext, Metadata, OkContext
from ..middlewares import Middleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._actor import Actor
    from .._jetstream.delivery import Delivery

    Hook = Callable[[Any], object]

logger = logging.getLogger('walnats.middlewares')


class HookRunner:
    """Calls the hooks of one actor's middlewares. What goes wrong in one is logged, no more.

    Start hooks are called in the order of the middlewares, the others in the reverse, so that
    what was begun last ends first. A hook gets as long as a job: its `job_timeout`.

    Call all of them in the task of the job. Then what a hook sets in the context is there
    for the handler and for later hooks.
    """

    def __init__(self, actor: Actor[Any, Any]) -> None:
        middlewares = actor.middlewares
        self._actor = actor
        self._start = _find_hooks(middlewares, 'on_start')
        self._success = _find_hooks(reversed(middlewares), 'on_success')
        self._failure = _find_hooks(reversed(middlewares), 'on_failure')
        self.is_empty = not (self._start or self._success or self._failure)
        """If there is nothing to call, so that no context need be made."""

    async def start(self, ctx: Context) -> None:
        """Tell that the job is about to run."""
        for hook in self._start:
            await self._call(hook, ctx)

    async def success(self, ctx: OkContext) -> None:
        """Tell that the job went well."""
        for hook in self._success:
            await self._call(hook, ctx)

    async def failure(self, ctx: ErrorContext) -> None:
        """Tell that the job failed."""
        for hook in self._failure:
            await self._call(hook, ctx)

    async def _call(self, hook: Hook, ctx: Context) -> None:
        try:
            result = hook(ctx)
            if result is not None and inspect.isawaitable(result):
                async with asyncio.timeout(self._actor.job_timeout):
                    await result
        except GeneratorExit:
            # The loop is closed and the task with it.
            raise
        except BaseException as exc:  # a SystemExit of a hook's is not ours
            if isinstance(exc, asyncio.CancelledError) and _is_cancelled():
                raise
            logger.exception(
                'middleware %s of actor %r raised %s; the job goes on',
                _name_of(hook),
                self._actor.name,
                type(exc).__name__,
            )


def make_context(
    actor: Actor[Any, Any], delivery: Delivery, message: Any, *, attempts: int
) -> Context:
    """Describe the job of a delivery."""
    metadata = Metadata(
        stream=actor.event.stream_name,
        consumer=actor.consumer_name,
        seq_number=delivery.seq,
        num_delivered=delivery.deliveries,
        timestamp=delivery.timestamp,
    )
    return Context(
        actor=actor,
        message=message,
        metadata=metadata,
        # A copy: what a middleware does to it is not for the message.
        headers=dict(delivery.headers) if delivery.headers is not None else None,
        attempts=attempts,
    )


def make_ok_context(ctx: Context, duration: float) -> OkContext:
    """Describe the job once it went well, in so many seconds."""
    return OkContext(
        actor=ctx.actor,
        message=ctx.message,
        metadata=ctx.metadata,
        headers=ctx.headers,
        attempts=ctx.attempts,
        duration=duration,
    )


def make_error_context(ctx: Context, exception: BaseException) -> ErrorContext:
    """Describe the job once it failed."""
    return ErrorContext(
        actor=ctx.actor,
        message=ctx.message,
        metadata=ctx.metadata,
        headers=ctx.headers,
        attempts=ctx.attempts,
        exception=exception,
    )


def _find_hooks(middlewares: Iterable[Any], name: str) -> tuple[Hook, ...]:
    """Give the hooks that do something."""
    nothing = getattr(Middleware, name)
    hooks = (getattr(middleware, name) for middleware in middlewares)
    return tuple(hook for hook in hooks if getattr(hook, '__func__', None) is not nothing)


def _is_cancelled() -> bool:
    """Tell whether somebody cancelled this task: a hook can raise CancelledError by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _name_of(hook: Hook) -> str:
    owner = getattr(hook, '__self__', None)
    name = getattr(hook, '__name__', type(hook).__name__)
    return name if owner is None else f'{type(owner).__name__}.{name}'
