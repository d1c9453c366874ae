"""Not the same thing over and over again."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

from .._actor import MIN_SECONDS
from .._checks import Fields
from ._base import Middleware
from ._wrapped import check_wrapped, key_of

if TYPE_CHECKING:
    from .._actor import Hooks
    from .._context import Context, ErrorContext, OkContext


class FrequencyMiddleware(Middleware):
    """Passes on to another middleware the same thing only once in a time frame.

    A start and a success are the same if they are of the same actor, a failure if its
    exception is of the same type too. The first one is passed on at once.

        REPORT = FrequencyMiddleware(SentryMiddleware(), timeframe=3600)

    :param middleware: the one to pass on to. One that needs the start of a job to understand
        its end, such as a tracing one, is no use here.
    :param timeframe: seconds.
    """

    def __init__(self, middleware: Hooks, timeframe: float = 600) -> None:
        check_wrapped('FrequencyMiddleware', middleware)
        rules = Fields('FrequencyMiddleware', SimpleNamespace(timeframe=timeframe))
        rules.seconds('timeframe', least=MIN_SECONDS)
        self._middleware = middleware
        self._timeframe = timeframe
        self._passed: dict[object, float] = {}

    def on_start(self, ctx: Context, /) -> object:
        """Pass it on if it is the first one of the actor in the time frame."""
        is_new = self._is_new('start', key_of(ctx.actor))
        return self._middleware.on_start(ctx) if is_new else None

    def on_success(self, ctx: OkContext, /) -> object:
        """Pass it on if it is the first one of the actor in the time frame."""
        is_new = self._is_new('success', key_of(ctx.actor))
        return self._middleware.on_success(ctx) if is_new else None

    def on_failure(self, ctx: ErrorContext, /) -> object:
        """Pass it on if it is the first one of the actor and the exception's type."""
        is_new = self._is_new('failure', key_of(ctx.actor), type(ctx.exception))
        return self._middleware.on_failure(ctx) if is_new else None

    def _is_new(self, *key: object) -> bool:
        now = time.monotonic()
        passed = self._passed.get(key)
        if passed is not None and now - passed < self._timeframe:
            return False
        self._passed[key] = now
        return True
