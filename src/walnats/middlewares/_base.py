"""What a middleware is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._context import Context, ErrorContext, OkContext


class Middleware:
    """Observes the jobs of the actors that have it among their `middlewares`.

    Subclass it and define the hooks that you need, sync or async. They observe, they don't
    steer: what they return is ignored, and an error in one is logged and harms nothing. An
    async one that takes longer than the actor's `job_timeout` is cancelled. A sync one should
    not block: all jobs of the worker wait for it.

    One instance may serve many actors, and then sees the jobs of all of them, mixed.
    """

    def on_start(self, ctx: Context, /) -> object:
        """Do something before the handler starts: it waits for this.

        Context variables that are set here are seen by the handler and by later hooks.
        """

    def on_success(self, ctx: OkContext, /) -> object:
        """Do something after a job that went well, when its message is settled."""

    def on_failure(self, ctx: ErrorContext, /) -> object:
        """Do something after a job that failed, when its message is settled or handed back.

        A message that can't be decoded fails without a start: its `ctx.message` is None.
        """
