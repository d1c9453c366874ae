from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, assert_type

from walnats import Actor, Actors, DeadLetters, Event, ExecuteIn, Limits, Priority, Start

from .schemas import Admin, Robot, User

if TYPE_CHECKING:
    from collections.abc import Awaitable

USER = Event('user-created', User)
EITHER = Event[User | Robot]('either', User | Robot)
ANSWERED = USER.with_response(int)
LISTED = USER.with_response(list[User])


def handle(message: User) -> None: ...


async def ahandle(message: User) -> None: ...


def handle_anything(message: object) -> str:
    return str(message)


def handle_either(message: User | Robot) -> str:
    return message.name


def handle_with(message: User, option: int, *, flag: bool) -> bool:
    return message.name == str(option) or flag


async def ahandle_with(message: User, option: int) -> bool:
    return message.name == str(option)


def answer(message: User) -> int:
    return len(message.name)


async def aanswer(message: User) -> int:
    return len(message.name)


async def aanswer_bool(message: User) -> bool:
    return bool(message.name)


def answer_later(message: User) -> Awaitable[int]:
    return aanswer(message)


def answer_now_or_later(message: User) -> int | Awaitable[int]:
    return answer(message) or aanswer(message)


async def answer_list(message: User) -> list[User]:
    return [message]


class Service:
    def handle(self, message: User) -> None: ...

    async def ahandle(self, message: User) -> int:
        return len(message.name)

    @classmethod
    def handle_by_class(cls, message: User) -> None: ...

    @staticmethod
    async def handle_static(message: User) -> None: ...


class Callee:
    async def __call__(self, message: User) -> int:
        return len(message.name)


class Middleware:
    def on_start(self, ctx: object) -> None: ...

    async def on_success(self, ctx: object) -> None: ...

    def on_failure(self, ctx: Any) -> Awaitable[None] | None: ...


# The handler of a plain event returns what it likes.
assert_type(Actor('a', USER, handle), Actor[User, Any])
assert_type(Actor('a', USER, ahandle), Actor[User, Any])
assert_type(Actor('a', USER, answer), Actor[User, Any])
assert_type(Actor('a', EITHER, handle_either), Actor[User | Robot, Any])
Actor('a', USER, handle_anything)
Actor('a', USER, handle_either)
Actor('a', USER, print)
Actor('a', USER, lambda message: message.name)
Actor('a', USER, partial(handle_with, option=1, flag=True))
Actor('a', USER, partial(ahandle_with, option=1))
Actor('a', USER, Service().handle)
Actor('a', USER, Service().ahandle)
Actor('a', USER, Service().handle_by_class)
Actor('a', USER, Service.handle_static)
Actor('a', USER, Callee())

# The handler of an event with a response returns one.
assert_type(Actor('a', ANSWERED, answer), Actor[User, int])
assert_type(Actor('a', ANSWERED, aanswer), Actor[User, int])
assert_type(Actor('a', ANSWERED, Service().ahandle), Actor[User, int])
assert_type(Actor('a', ANSWERED, Callee()), Actor[User, int])
assert_type(Actor('a', LISTED, answer_list), Actor[User, list[User]])
Actor('a', ANSWERED, aanswer_bool)
Actor('a', ANSWERED, answer_later)
Actor('a', ANSWERED, answer_now_or_later)
Actor('a', ANSWERED, lambda message: len(message.name))
Actor('a', ANSWERED, partial(ahandle_with, option=1))

# All fields.
Actor(
    'a',
    USER,
    handle,
    'greets',
    1.5,
    3,
    10,
    [Middleware()],
    4,
    5,
    ExecuteIn.MAIN,
    [1, 2.5],
    False,
    Priority.HIGH,
    give_up_on=[ValueError, KeyError],
    start=Start.NEW,
)
Actor('a', USER, handle, retry_delay=lambda attempt, exc: attempt + len(exc.args))
Actor('a', USER, handle, give_up_on=(ValueError,), start=datetime(2013, 1, 1, tzinfo=UTC))
DeadLetters(limits=Limits(age=60))

# What belongs to any actor takes every actor.
EVERY: list[Actor[Any, Any]] = [Actor('a', USER, handle), Actor('b', ANSWERED, answer)]
Actors(Actor('a', USER, handle), Actor('b', ANSWERED, answer), *EVERY)
assert_type(Actor('a', ANSWERED, answer).event.decode(b''), User)
assert_type(Admin('Bob').level, int)
