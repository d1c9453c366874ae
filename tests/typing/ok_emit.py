from __future__ import annotations

from typing import TYPE_CHECKING

from walnats import CloudEvent, Event, Events

from .schemas import Admin, Robot, Row, User, UserId

if TYPE_CHECKING:
    from walnats.types import ConnectedEvents

USER = Event('user-created', User)
USERS = Event('users', list[User])
EITHER = Event[User | Robot]('either', User | Robot)
MAYBE = Event[User | None]('maybe', User | None)
ANSWERED = USER.with_response(int)


async def main() -> None:
    async with Events(USER, EITHER).connect() as conn:
        await conn.emit(USER, User('Ann'))
        await emit_all(conn)


async def emit_all(conn: ConnectedEvents) -> None:
    await conn.emit(USER, User('Ann'))
    await conn.emit(USER, Admin('Bob'))
    await conn.emit(USER, User('Ann'), uid='1', trace_id='2', delay=1, meta={}, sync=True)
    await conn.emit(USER, User('Ann'), meta=CloudEvent('1', '/users', 'created'))
    await conn.emit(event=USER, message=User('Ann'))
    await conn.emit(USERS, [User('Ann')])
    await conn.emit(USERS, [])
    await conn.emit(EITHER, User('Ann'))
    await conn.emit(EITHER, Robot('R2'))
    await conn.emit(MAYBE, None)
    await conn.emit(ANSWERED, User('Ann'))
    await conn.emit(Event('share', float), 1)
    await conn.emit(Event('row', Row), Row(x=1))
    await conn.emit(Event('id', UserId), UserId(1))
    await conn.emit(Event('anything', object), 1)
