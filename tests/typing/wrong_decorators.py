from __future__ import annotations

from typing import TYPE_CHECKING

from walnats import Actor, Event
from walnats.decorators import filter_time, rate_limit, require, suppress

from .schemas import Robot, User

if TYPE_CHECKING:
    from datetime import datetime

USER = Event('user-created', User)
ANSWERED = USER.with_response(int)


@rate_limit(10, 1)
async def handle_robot(message: Robot) -> None: ...


@filter_time(hour=3)
def clean_up(tick: datetime) -> None: ...


@suppress(KeyError)
async def answer(message: User) -> int:
    return len(message.name)


@rate_limit(10, 1)
def answer_text(message: User) -> str:
    return message.name


# The type of the message is kept.
Actor('a', USER, handle_robot)  # E
Actor('a', USER, clean_up)  # E
handle_robot(User('Ada'))  # E

# What may be suppressed or skipped gives no answer then.
Actor('a', ANSWERED, answer)  # E
Actor('a', ANSWERED, answer_text)  # E

# Arguments.
rate_limit('10', 1)  # E
rate_limit(10)  # E
suppress()  # E
suppress(KeyError('x'))  # E
filter_time(hour='3')  # E
filter_time(hour=3.5)  # E
require(handle_robot)  # E
require(lambda: True, pause='1')  # E
