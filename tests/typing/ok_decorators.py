from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_type

from walnats import Actor, Event
from walnats.decorators import filter_time, rate_limit, require, suppress

from .schemas import User

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

USER = Event('user-created', User)
TICK = Event('minute-passed', datetime)
ANSWERED = USER.with_response(int)


@suppress(KeyError, ValueError)
def handle(message: User) -> int:
    return len(message.name)


@suppress(KeyError, logger=None)
async def ahandle(message: User) -> int:
    return len(message.name)


@suppress(KeyError)
def handle_later(message: User) -> Awaitable[int]:
    return ahandle_limited(message)


@rate_limit(10, 1)
async def ahandle_limited(message: User) -> int:
    return len(message.name)


@rate_limit(max_jobs=10, period=0.5)
def handle_limited(message: User) -> int:
    return len(message.name)


@require(lambda: True)
def handle_required(message: User) -> str:
    return message.name


@require(asyncio.Event().wait, pause=1)
async def ahandle_required(message: User) -> str:
    return message.name


@filter_time(2013, month=[1, 2], day=range(1, 8), hour={3}, minute=0)
async def clean_up(tick: datetime) -> None: ...


class Service:
    @suppress(KeyError)
    def handle(self, message: User) -> int:
        return len(message.name)

    @filter_time(hour=3)
    @rate_limit(1, 1)
    async def clean_up(self, tick: datetime) -> None: ...


async def call(user: User) -> None:
    assert_type(handle(user), int | None)
    assert_type(await ahandle(user), int | None)
    assert_type(await handle_later(user), int | None)
    assert_type(await ahandle_limited(user), int)
    assert_type(await handle_limited(user), int)
    assert_type(await handle_required(user), str)
    assert_type(await ahandle_required(user), str)
    assert_type(Service().handle(user), int | None)
    asyncio.create_task(ahandle(message=user)).cancel()


LIMITED: Callable[[User], Coroutine[Any, Any, int]] = ahandle_limited

assert_type(Actor('a', USER, handle), Actor[User, Any])
assert_type(Actor('a', USER, ahandle), Actor[User, Any])
Actor('a', USER, handle_later)
Actor('a', USER, handle_required)
Actor('a', USER, Service().handle)
Actor('a', TICK, clean_up)
Actor('a', TICK, Service().clean_up)
assert_type(Actor('a', ANSWERED, ahandle_limited), Actor[User, int])
Actor('a', ANSWERED, handle_limited)
