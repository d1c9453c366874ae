from __future__ import annotations

from walnats import Event, Limits, Storage
from walnats.serializers import Serializer

from .schemas import Robot, Row, User, UserId

USER = Event('user-created', User)
USERS = Event('users', list[User])
EITHER = Event[User | Robot]('either', User | Robot)
NUMBER = Event('number', int)
ROW = Event('row', Row)
ID = Event('id', UserId)
ANSWERED = USER.with_response(int)


class RobotSerializer(Serializer[Robot]):
    def encode(self, message: Robot) -> bytes:
        return message.name.encode()

    def decode(self, data: bytes) -> Robot:
        return Robot(data.decode())


# --- messages
USER.encode(Robot('R2'))  # E
USER.encode(User)  # E
USER.encode(None)  # E
USERS.encode(User('Ann'))  # E
USERS.encode([Robot('R2')])  # E
EITHER.encode(1)  # E
NUMBER.encode('1')  # E
NUMBER.encode(1.5)  # E
ROW.encode({'y': 1})  # E
ID.encode(1)  # E
robot: Robot = USER.decode(b'')  # E
user: User = EITHER.decode(b'')  # E

# --- responses
ANSWERED.encode(Robot('R2'))  # E
ANSWERED.encode_response('1')  # E
text: str = ANSWERED.decode_response(b'')  # E
USER.encode_response(1)  # E

# --- declarations
Event('user-created')  # E
Event(b'user-created', User)  # E
Event('user-created', User('Ann'))  # E
Event[User]('user-created', Robot)  # E
Event[User]('user-created', User, RobotSerializer())  # E
Event('user-created', User, None, None, Limits(), Storage())  # E
Event('user-created', User, storage=Limits())  # E
USER.with_response(1)  # E
widened: Event[object] = USER  # E
narrowed: Event[User] = EITHER  # E
Limits(age='1')  # E
Limits(messages=1.5)  # E
Limits().evolve(age='1')  # E
Limits().evolve(years=1)  # E
Storage('limits')  # E
Storage(retention='limits')  # E
Storage(replicas=1.5)  # E

# --- nothing declared ever changes
USER.name = 'user-updated'  # E
ANSWERED.response_schema = int  # E
Limits().age = 1  # E
Storage().replicas = 3  # E
