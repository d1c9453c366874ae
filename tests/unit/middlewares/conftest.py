"""What the tests of middlewares share: jobs that are run as a worker runs them, without one."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from walnats import Actor, Event
from walnats._context import Context, Metadata
from walnats._worker.hooks import HookRunner, make_error_context, make_ok_context

if TYPE_CHECKING:
    from collections.abc import Callable

STORED = datetime(2013, 1, 31, 12, 30, tzinfo=UTC)


class Jobs:
    """Runs jobs of the actors that have the middlewares."""

    def __init__(self, *middlewares: Any) -> None:
        self.middlewares = middlewares

    def actor(self, name: str = 'greet', event: str = 'user.created') -> Actor[str, Any]:
        return Actor(name, Event(event, str), print, middlewares=self.middlewares)

    def context(self, *, attempts: int = 1, **options: Any) -> Context:
        actor = self.actor(options.get('actor', 'greet'), options.get('event', 'user.created'))
        metadata = Metadata(
            stream=actor.event.stream_name,
            consumer=actor.consumer_name,
            seq_number=42,
            num_delivered=attempts,
            timestamp=STORED,
        )
        return Context(
            actor=actor,
            message=options.get('message', 'Ada'),
            metadata=metadata,
            headers=options.get('headers'),
            attempts=attempts,
        )

    async def run(self, handler: Callable[[str], Any] = str.lower, **options: Any) -> None:
        """Run one job in a task of its own."""
        await asyncio.create_task(self._work(handler, self.context(**options)))

    async def fail(self, exception: BaseException, **options: Any) -> None:
        """Run one job that raises the exception."""

        def handler(_: str) -> None:
            raise exception

        await self.run(handler, **options)

    async def fail_to_decode(self, exception: Exception, **options: Any) -> None:
        """Have one message that can't be decoded."""
        ctx = self.context(message=None, **options)
        await asyncio.create_task(HookRunner(ctx.actor).failure(make_error_context(ctx, exception)))

    async def hand_back(self, **options: Any) -> None:
        """Have one job that is handed back because its worker stops."""

        async def work() -> None:
            ctx = self.context(**options)
            hooks = HookRunner(ctx.actor)
            await hooks.start(ctx)
            await hooks.failure(make_error_context(ctx, asyncio.CancelledError()))

        await asyncio.create_task(work())

    async def _work(self, handler: Callable[[str], Any], ctx: Context) -> None:
        hooks = HookRunner(ctx.actor)
        await hooks.start(ctx)
        try:
            result = handler(ctx.message)
            if inspect.isawaitable(result):
                await result
        except BaseException as exc:  # noqa: BLE001 -- as a worker does
            await hooks.failure(make_error_context(ctx, exc))
        else:
            await hooks.success(make_ok_context(ctx, 0.25))


class Recorder:
    """A middleware that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_start(self, ctx: Context) -> None:
        self.notes.append(f'start {ctx.actor.name}')

    async def on_success(self, ctx: Context) -> None:
        self.notes.append(f'success {ctx.actor.name}')

    async def on_failure(self, ctx: Context) -> None:
        self.notes.append(f'failure {ctx.actor.name}')

    def take(self) -> list[str]:
        """Give what was noted since the last time."""
        notes, self.notes = self.notes, []
        return notes


@pytest.fixture
def make_jobs() -> type[Jobs]:
    return Jobs


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
