from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Optional, Union, assert_type

from walnats import Discard, Event, Events, Limits, Medium, Retention, Storage
from walnats.serializers import Serializer
from walnats.types import BaseEvent, EventWithResponse

from .schemas import Admin, Robot, Row, User, UserId


class UserSerializer(Serializer[User]):
    def encode(self, message: User) -> bytes:
        return message.name.encode()

    def decode(self, data: bytes) -> User:
        return User(data.decode())


USER = Event('user-created', User)
BY_NAME = Event(name='user-created', schema=User, serializer=UserSerializer())
BY_PLACE = Event(
    'user-created', User, UserSerializer(), 'somebody signed up', Limits(age=60), storage=Storage()
)

# The type of the messages is known without being told.
assert_type(USER, Event[User])
assert_type(BY_NAME, Event[User])
assert_type(BY_PLACE, Event[User])
assert_type(Event('users', list[User]), Event[list[User]])
assert_type(Event('users', dict[str, User]), Event[dict[str, User]])
assert_type(Event('tick', datetime), Event[datetime])
assert_type(Event('number', int), Event[int])
assert_type(Event('row', Row), Event[Row])
assert_type(Event('id', UserId), Event[UserId])

# It can be told, and has to be for a union, in whichever way that is written.
EITHER = Event[User | Robot]('either', User | Robot)
assert_type(EITHER, Event[User | Robot])
OLD_EITHER = Event[Union[User, Robot]]('either', Union[User, Robot])  # noqa: UP007 -- the older way
assert_type(OLD_EITHER, Event[User | Robot])
MAYBE = Event[Optional[User]]('maybe', Optional[User])  # noqa: UP045 -- the older way
assert_type(MAYBE, Event[User | None])
EXPLICIT = Event[User]('user-created', User)
assert_type(EXPLICIT, Event[User])
LETTER = Event[Literal['a', 'b']]('letter', Literal['a', 'b'])
assert_type(LETTER, Event[Literal['a', 'b']])
POSITIVE = Event[int]('positive', Annotated[int, 'positive'])
NOTHING = Event[None]('nothing', None)
WHATEVER = Event[Any]('whatever', Any)

# Messages are typed both ways.
assert_type(USER.encode(User('Ann')), bytes)
assert_type(USER.encode(Admin('Bob')), bytes)
assert_type(USER.decode(b''), User)
assert_type(EITHER.decode(b''), User | Robot)
EITHER.encode(User('Ann'))
EITHER.encode(Robot('R2'))
MAYBE.encode(None)
NOTHING.encode(None)
Event('share', float).encode(1)

# So are responses.
ANSWERED = USER.with_response(int)
assert_type(ANSWERED, EventWithResponse[User, int])
assert_type(ANSWERED.encode(User('Ann')), bytes)
assert_type(ANSWERED.encode_response(1), bytes)
assert_type(ANSWERED.decode_response(b''), int)
assert_type(USER.with_response(User, UserSerializer()), EventWithResponse[User, User])
assert_type(USER.with_response(list[Robot]).decode_response(b''), list[Robot])

# What belongs to any event takes every event.
EVERY: list[BaseEvent[Any, Any]] = [USER, EITHER, ANSWERED]
Events(USER, EITHER, ANSWERED)
NAMES = [event.stream_name for event in EVERY]
assert_type(NAMES, list[str])

# The other declarations.
assert_type(Limits(60, 1, 2, 3, 4).evolve(age=None, bytes=9), Limits)
Storage(
    retention=Retention.LIMITS,
    medium=Medium.MEMORY,
    replicas=3,
    discard=Discard.NEW,
    compression=True,
    dedup_window=1,
)
