"""The context of the job, for the code inside it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from ._base import Middleware

if TYPE_CHECKING:
    from .._context import Context


class CurrentContextMiddleware(Middleware):
    """Gives a handler, and what it calls, the context of its job.

        CURRENT = CurrentContextMiddleware()

        async def handle(user: User) -> None:
            if CURRENT.context.attempts > 1:
                ...

        ACTOR = walnats.Actor('greet', USER_CREATED, handle, middlewares=[CURRENT])

    In a pool of processes there is none.
    """

    def __init__(self) -> None:
        self._context: ContextVar[Context | None] = ContextVar('walnats_context', default=None)

    @property
    def context(self) -> Context:
        """The context of the current job. A LookupError outside of one."""
        context = self._context.get()
        if context is None:
            raise LookupError(
                'there is no current job: ask for the context inside of a handler whose actor has '
                'this CurrentContextMiddleware among its middlewares'
            )
        return context

    def on_start(self, ctx: Context, /) -> None:
        """Keep the context for the job."""
        self._context.set(ctx)
