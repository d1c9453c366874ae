"""Failures for Sentry."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ._base import Middleware
from ._optional import missing_package

if TYPE_CHECKING:
    from .._context import Context, ErrorContext, OkContext


class SentryMiddleware(Middleware):
    """Reports failures to Sentry.

    Each job has an isolation scope of its own, with the tags `event` and `actor`, the actor's
    name as the transaction, and a context `walnats` that says which message it is. All that is
    reported inside the job carries them. The message itself is never reported by this
    middleware; but Sentry adds the local variables of a traceback's frames, a handler's
    argument included, unless `sentry_sdk.init` gets `include_local_variables=False`.

    Sentry also turns log records of errors into reports. So that a failure isn't reported
    twice, and can be kept back by a FrequencyMiddleware or an ErrorThresholdMiddleware around
    this one, those of the logger `walnats.actor` are left out from now on, in the whole
    process: give this middleware to all actors whose failures you want to see. A job that is
    handed back because its worker stops isn't reported.

    It needs the package `sentry-sdk`: `pip install 'walnats[sentry]'`. To call
    `sentry_sdk.init` is up to you.
    """

    def __init__(self) -> None:
        try:
            import sentry_sdk  # noqa: PLC0415 -- of an extra
            from sentry_sdk.integrations.logging import ignore_logger  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package('SentryMiddleware', 'sentry-sdk', 'sentry') from exc
        ignore_logger('walnats.actor')
        self._sentry = sentry_sdk
        self._scope: ContextVar[ExitStack | None] = ContextVar('walnats_sentry', default=None)

    def on_start(self, ctx: Context, /) -> None:
        """Begin the scope of the job."""
        self._begin(ctx)

    def on_success(self, ctx: OkContext, /) -> None:  # noqa: ARG002 -- the job's name says it
        """End the scope of the job."""
        self._end()

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """Report the exception, and end the scope of the job."""
        if self._scope.get() is None:
            self._begin(ctx)
        try:
            if not _is_handed_back(ctx.exception):
                self._sentry.capture_exception(ctx.exception)
        finally:
            self._end()

    def _begin(self, ctx: Context) -> None:
        # Closed by the hook that ends the job.
        stack = ExitStack()
        scope = stack.enter_context(self._sentry.isolation_scope())
        self._scope.set(stack)
        scope.clear_breadcrumbs()
        scope.set_transaction_name(ctx.actor.name)
        scope.set_tag('event', ctx.actor.event.name)
        scope.set_tag('actor', ctx.actor.name)
        details = {
            'stream': ctx.metadata.stream,
            'seq_number': ctx.seq_number,
            'attempts': ctx.attempts,
            'trace_id': ctx.trace_id,
            'stored_at': ctx.metadata.timestamp.isoformat(),
        }
        scope.set_context('walnats', details)

    def _end(self) -> None:
        stack = self._scope.get()
        if stack is not None:
            self._scope.set(None)
            stack.close()


def _is_handed_back(exception: BaseException) -> bool:
    # A CancelledError that comes out of a handler is a failure, and has a traceback.
    return isinstance(exception, asyncio.CancelledError) and exception.__traceback__ is None
