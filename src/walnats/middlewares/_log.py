"""Log records of all jobs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ._base import Middleware

if TYPE_CHECKING:
    from .._context import Context, ErrorContext, OkContext

_LOGGER = logging.getLogger('walnats.middlewares')


class TextLogMiddleware(Middleware):
    """Logs each job as text: level debug, and level error for a failure.

    The traceback of a failure is not repeated: the logger `walnats.actor` has written it.

    :param logger: what to log to; the logger `walnats.middlewares` by default.
    """

    def __init__(self, *, logger: logging.Logger | None = None) -> None:
        self._logger = logger or _LOGGER

    def on_start(self, ctx: Context, /) -> None:
        """Log that a message has come."""
        self._logger.debug('event %s: received by %s', ctx.actor.event.name, ctx.actor.name)

    def on_success(self, ctx: OkContext, /) -> None:
        """Log that it was handled."""
        self._logger.debug('event %s: processed by %s', ctx.actor.event.name, ctx.actor.name)

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """Log that the actor failed."""
        self._logger.error('event %s: actor %s failed', ctx.actor.event.name, ctx.actor.name)


class ExtraLogMiddleware(Middleware):
    """Logs each job as a constant text with attributes (`extra`), for structured logs.

    Level debug, and level error for a failure. All records have the attributes `event`, `actor`,
    `attempts`, `seq_number` and `trace_id`. After a job there is also its `duration`, in seconds,
    or `exception_type`, the name of the class. The traceback of a failure is not
    repeated: the logger `walnats.actor` has written it.

    :param logger: what to log to; the logger `walnats.middlewares` by default.
    """

    def __init__(self, *, logger: logging.Logger | None = None) -> None:
        self._logger = logger or _LOGGER

    def on_start(self, ctx: Context, /) -> None:
        """Log that a message has come."""
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug('event received', extra=_describe(ctx))

    def on_success(self, ctx: OkContext, /) -> None:
        """Log that it was handled."""
        if self._logger.isEnabledFor(logging.DEBUG):
            extra = {**_describe(ctx), 'duration': ctx.duration}
            self._logger.debug('event processed', extra=extra)

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """Log that the actor failed."""
        extra = {**_describe(ctx), 'exception_type': type(ctx.exception).__name__}
        self._logger.error('actor failed', extra=extra)


def _describe(ctx: Context) -> dict[str, Any]:
    return {
        'event': ctx.actor.event.name,
        'actor': ctx.actor.name,
        'attempts': ctx.attempts,
        'seq_number': ctx.seq_number,
        'trace_id': ctx.trace_id,
    }
