from __future__ import annotations

from typing import TYPE_CHECKING

from walnats import Event

from .schemas import Admin, Robot, Row, User, UserId

if TYPE_CHECKING:
    from walnats.types import ConnectedEvents

USER = Event('user-created', User)
USERS = Event('users', list[User])
EITHER = Event[User | Robot]('either', User | Robot)
INFERRED = Event('either', User | Robot)
NUMBER = Event('number', int)
ROW = Event('row', Row)
ID = Event('id', UserId)
ANSWERED = USER.with_response(int)


async def main(conn: ConnectedEvents, anything: object) -> None:
    await conn.emit(USER, Robot('R2'))  # E
    await conn.emit(USER, User)  # E
    await conn.emit(USER, None)  # E
    await conn.emit(USER, 'Ann')  # E
    await conn.emit(USER, anything)  # E
    await conn.emit(USER, Robot('R2'), sync=True)  # E
    await conn.emit(message=Robot('R2'), event=USER)  # E
    await conn.emit(USERS, User('Ann'))  # E
    await conn.emit(USERS, [Robot('R2')])  # E
    await conn.emit(USERS, ['Ann'])  # E
    await conn.emit(EITHER, 1)  # E
    await conn.emit(EITHER, [User('Ann'), Robot('R2')])  # E
    await conn.emit(INFERRED, 1)  # E
    await conn.emit(NUMBER, '1')  # E
    await conn.emit(NUMBER, 1.5)  # E
    await conn.emit(ROW, Robot('R2'))  # E
    await conn.emit(ROW, {'y': 1})  # E
    await conn.emit(ID, 1)  # E
    await conn.emit(ANSWERED, Robot('R2'))  # E
    await conn.emit(User, User('Ann'))  # E
    await conn.emit(USER)  # E
    await conn.emit(USER, User('Ann'), '1')  # E
    await conn.emit(USER, User('Ann'), uid=1)  # E

    # These are right, but mypy settles the type of such an argument before it looks at the
    # event. A name for the message helps: `rows: list[User] = [Admin('Bob')]`, `Row(x=1)`.
    await conn.emit(USERS, [Admin('Bob')])  # E: mypy
    await conn.emit(ROW, {'x': 1})  # E: mypy
