from __future__ import annotations

from functools import partial

from walnats import Actor, DeadLetters, Event, Storage

from .schemas import Admin, Robot, User

USER = Event('user-created', User)
EITHER = Event[User | Robot]('either', User | Robot)
ANSWERED = USER.with_response(int)


def handle(message: User) -> None: ...


def handle_admin(message: Admin) -> None: ...


def handle_robot(message: Robot) -> None: ...


async def ahandle_robot(message: Robot) -> None: ...


def handle_nothing() -> None: ...


def handle_two(message: User, option: int) -> None: ...


def handle_by_name(*, message: User) -> None: ...


def answer_text(message: User) -> str:
    return message.name


async def aanswer_text(message: User) -> str:
    return message.name


async def answer_nothing(message: User) -> None: ...


async def answer_number(message: User) -> int:
    return len(message.name)


class Service:
    def handle(self, message: Robot) -> None: ...

    async def ahandle(self, message: Robot) -> None: ...


class Callee:
    def __call__(self, message: Robot) -> None: ...


class HalfMiddleware:
    def on_start(self, ctx: object) -> None: ...


# --- the message
Actor('a', USER, handle_robot)  # E
Actor('a', USER, ahandle_robot)  # E
Actor('a', USER, handle_admin)  # E
Actor('a', EITHER, handle)  # E
Actor('a', USER, Service().handle)  # E
Actor('a', USER, Service().ahandle)  # E
Actor('a', USER, Service.handle)  # E
Actor('a', USER, Callee())  # E
Actor('a', USER, handle_nothing)  # E
Actor('a', USER, handle_two)  # E
Actor('a', USER, handle_by_name)  # E
Actor('a', USER, lambda: None)  # E
Actor('a', USER, lambda message: message.level)  # E
Actor('a', USER, handle(User('Ann')))  # E
Actor('a', USER, 'handle')  # E
Actor('a', User, handle)  # E

# --- the response
Actor('a', ANSWERED, handle)  # E
Actor('a', ANSWERED, answer_text)  # E
Actor('a', ANSWERED, aanswer_text)  # E
Actor('a', ANSWERED, answer_nothing)  # E
Actor('a', ANSWERED, lambda message: message.name)  # E
Actor('a', ANSWERED, partial(aanswer_text))  # E
Actor('a', ANSWERED, ahandle_robot)  # E
Actor('a', USER.with_response(str), answer_number)  # E

# --- the message, where mypy doesn't look into the partial
Actor('a', USER, partial(handle_two, User('Ann')))  # E: basedpyright
Actor('a', USER, partial(ahandle_robot))  # E: basedpyright

# --- the other fields
Actor('a', USER)  # E
Actor('a', USER, handle, ack_wait='1')  # E
Actor('a', USER, handle, max_attempts=1.5)  # E
Actor('a', USER, handle, middlewares=[HalfMiddleware()])  # E
Actor('a', USER, handle, execute_in='thread')  # E
Actor('a', USER, handle, retry_delay=5)  # E
Actor('a', USER, handle, retry_delay=lambda attempt: attempt)  # E
Actor('a', USER, handle, priority='high')  # E
Actor('a', USER, handle, give_up_on=ValueError)  # E
Actor('a', USER, handle, give_up_on=[ValueError()])  # E
Actor('a', USER, handle, start='all')  # E
DeadLetters(storage=None)  # E
DeadLetters(Storage())  # E

# --- nothing declared ever changes
Actor('a', USER, handle).name = 'b'  # E
DeadLetters().storage = Storage()  # E
