from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from walnats.middlewares import CurrentContextMiddleware, Middleware

if TYPE_CHECKING:
    from tests.unit.middlewares.conftest import Jobs

    from walnats._context import Context, OkContext


async def test_a_handler_has_the_context_of_its_job(make_jobs: type[Jobs]) -> None:
    current = CurrentContextMiddleware()
    seen: list[Context] = []
    await make_jobs(current).run(lambda _: seen.append(current.context), attempts=3)
    assert [(ctx.message, ctx.attempts) for ctx in seen] == [('Ada', 3)]


async def test_so_has_what_the_handler_calls(make_jobs: type[Jobs]) -> None:
    current = CurrentContextMiddleware()
    seen: list[int] = []

    def look() -> None:
        seen.append(current.context.attempts)

    async def handler(_: str) -> None:
        await asyncio.to_thread(look)
        await asyncio.create_task(asyncio.sleep(0))
        look()

    await make_jobs(current).run(handler, attempts=2)
    assert seen == [2, 2]


async def test_jobs_at_the_same_time_are_told_apart(make_jobs: type[Jobs]) -> None:
    current = CurrentContextMiddleware()
    barrier = asyncio.Barrier(8)
    seen: dict[str, str] = {}

    async def handler(message: str) -> None:
        await barrier.wait()
        seen[message] = current.context.message

    jobs = make_jobs(current)
    await asyncio.gather(*(jobs.run(handler, message=str(n)) for n in range(8)))
    assert seen == {str(n): str(n) for n in range(8)}


async def test_later_hooks_have_it_too(make_jobs: type[Jobs]) -> None:
    seen: list[str] = []

    class Looking(Middleware):
        def on_start(self, ctx: Context) -> None:
            seen.append(current.context.message)

        def on_success(self, ctx: OkContext) -> None:
            seen.append(current.context.message)

    current = CurrentContextMiddleware()
    await make_jobs(current, Looking()).run()
    assert seen == ['Ada', 'Ada']


async def test_each_instance_knows_its_own_jobs(make_jobs: type[Jobs]) -> None:
    one, other = CurrentContextMiddleware(), CurrentContextMiddleware()

    def handler(message: str) -> None:
        with pytest.raises(LookupError):
            _ = other.context
        assert one.context.message == message

    await make_jobs(one).run(handler)


async def test_outside_of_a_job_there_is_none(make_jobs: type[Jobs]) -> None:
    current = CurrentContextMiddleware()
    await make_jobs(current).run()
    with pytest.raises(LookupError, match=r'there is no current job: .*CurrentContextMiddleware'):
        _ = current.context
