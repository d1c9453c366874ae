"""Calls to the JetStream API of the server, and its errors as data."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..errors import JetStreamDisabledError, JetStreamError, JetStreamTimeoutError, WalnatsError

if TYPE_CHECKING:
    from .client import Message
    from .connection import Connection

T = TypeVar('T')

TIMEOUT = 5.0

# Codes in answers of the API: server/errors.json in the source of nats-server.
CONSUMER_NOT_FOUND = 10014
# A consumer was made, or removed, since it was looked for.
CONSUMER_RACE = (10148, 10149)
STREAM_IN_USE = 10058
STREAM_NOT_FOUND = 10059
DISABLED = (10039, 10076)
MESSAGE_NOT_FOUND = (10037, 10043, 10057)
WRONG_LAST_SEQUENCE = 10071

_NO_RESPONDERS = '503'


class ApiError(msgspec.Struct):
    """Why the server refused."""

    code: int = 0
    err_code: int = 0
    description: str = ''


class StoredMessage(msgspec.Struct):
    """A message as it lies in a stream."""

    subject: str
    seq: int
    data: bytes = b''
    hdrs: bytes = b''


class Answer(msgspec.Struct):
    """What matters of any answer of the API: an error, or what was asked for."""

    error: ApiError | None = None
    config: dict[str, Any] = {}
    message: StoredMessage | None = None
    num_ack_pending: int = 0
    num_pending: int = 0


async def call(connection: Connection, method: str, body: dict[str, Any] | None = None) -> Answer:
    """Call a method, such as `STREAM.INFO.user-created`. It raises as `call_for` does."""
    return await call_for(Answer, connection, method, body)


async def call_for(
    kind: type[T], connection: Connection, method: str, body: dict[str, Any] | None = None
) -> T:
    """Call a method, and read its answer as that class.

    :raises JetStreamDisabledError: nobody answers for the JetStream API.
    :raises JetStreamTimeoutError: no answer in time, or the connection is lost.
    :raises JetStreamError: the answer isn't one of JetStream.
    :raises PermissionDeniedError: the user may not call it.
    """
    subject = f'$JS.API.{method}'
    payload = b'' if body is None else msgspec.json.encode(body)
    msg = await request(connection, subject, payload, timeout=TIMEOUT)
    if is_no_responders(msg):
        raise JetStreamDisabledError(
            f"nobody answers '{subject}': JetStream is turned off on this server or account; "
            'start nats-server with `-js`'
        )
    try:
        return msgspec.json.decode(msg.data, type=kind)
    except msgspec.MsgspecError as exc:
        raise JetStreamError(f"the answer of '{subject}' can't be read: {exc}") from exc


async def request(
    connection: Connection,
    subject: str,
    payload: bytes,
    *,
    headers: dict[str, str] | None = None,
    timeout: float,
) -> Message:
    """Send one message and wait for its answer."""
    await connection.inbox.open(subject)
    answered: asyncio.Future[Message | WalnatsError] = asyncio.get_running_loop().create_future()
    reply = connection.inbox.expect(subject, lambda answer: _resolve(answered, answer))
    try:
        await connection.publish(subject, payload, reply=reply, headers=headers)
        async with asyncio.timeout(timeout):
            answer = await answered
    except TimeoutError:
        raise JetStreamTimeoutError(
            f"no answer from '{subject}' within {timeout:g} s"
            + ('' if connection.nc.is_connected else ': the connection to NATS is lost')
        ) from None
    finally:
        connection.inbox.forget(reply)
    if isinstance(answer, WalnatsError):
        raise answer
    return answer


def is_no_responders(msg: Message) -> bool:
    """If the server says that nobody is subscribed to the subject."""
    return not msg.data and msg.headers is not None and msg.headers.get('Status') == _NO_RESPONDERS


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
