"""Only failures that don't stop."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING

from .._checks import Fields
from ._base import Middleware
from ._wrapped import check_wrapped, key_of

if TYPE_CHECKING:
    from .._actor import Hooks
    from .._context import Context, ErrorContext, OkContext
    from ._wrapped import ActorKey


class ErrorThresholdMiddleware(Middleware):
    """Passes a failure on to another middleware once there were too many without a success.

    A single failure is retried and mostly forgotten. This one tells when it isn't: when one
    of these counts is above its threshold. A success sets the count of its actor and that of
    all actors back to 0. Starts and successes are all passed on.

        REPORT = ErrorThresholdMiddleware(SentryMiddleware(), message_failures=3)

    :param middleware: the one to pass on to.
    :param total_failures: the threshold of the failures before this one, of all actors that
        share this instance.
    :param actor_failures: that of the failures before this one, of its actor alone.
    :param message_failures: that of the attempts at its message, this one included.
    """

    def __init__(
        self,
        middleware: Hooks,
        total_failures: int = 20,
        actor_failures: int = 20,
        message_failures: int = 20,
    ) -> None:
        limits = SimpleNamespace(
            total_failures=total_failures,
            actor_failures=actor_failures,
            message_failures=message_failures,
        )
        check_wrapped('ErrorThresholdMiddleware', middleware)
        rules = Fields('ErrorThresholdMiddleware', limits)
        for name in vars(limits):
            rules.integer(name, least=0)
        self._middleware = middleware
        self._limits = limits
        self._total = 0
        self._of_actors: Counter[ActorKey] = Counter()

    def on_start(self, ctx: Context, /) -> object:
        """Pass it on."""
        return self._middleware.on_start(ctx)

    def on_success(self, ctx: OkContext, /) -> object:
        """Count anew, and pass it on."""
        self._total = 0
        self._of_actors.pop(key_of(ctx.actor), None)
        return self._middleware.on_success(ctx)

    def on_failure(self, ctx: ErrorContext, /) -> object:
        """Count it, and pass it on if there were too many before it."""
        key = key_of(ctx.actor)
        is_over = (
            self._total > self._limits.total_failures
            or self._of_actors[key] > self._limits.actor_failures
            or ctx.attempts > self._limits.message_failures
        )
        self._total += 1
        self._of_actors[key] += 1
        return self._middleware.on_failure(ctx) if is_over else None
