"""Acknowledged publishing: a message is sent until the server says that it is stored."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .._headers import MSG_ID
from ..errors import (
    ConnectionClosedError,
    JetStreamDisabledError,
    JetStreamError,
    MaxPayloadError,
    NotConfirmedError,
    OutboundBufferLimitError,
    PermissionDeniedError,
    StreamFullError,
    StreamNotFoundError,
    WalnatsError,
)
from . import api, settings, topology

if TYPE_CHECKING:
    from .client import Message
    from .connection import Connection

DEADLINE = 30.0
"""Seconds within which an acknowledged publish is retried."""

UNAVAILABLE = 503
"""The code of refusals that may pass."""

_ATTEMPT_TIMEOUT = 5.0
# For those who may not ask if there is a stream. To elect a leader takes almost that long.
_NO_STREAM_PATIENCE = 10.0
_ASK_TIMEOUT = 1.0
_BACK_OFF = 0.1
_MESSAGE_TOO_BIG = 10054
# Insufficient resources; memory, storage of the account; the store itself.
_NO_ROOM = (10023, 10028, 10047)
_STORE_FAILED = 10077
# A cluster is just storing an earlier copy.
_IN_PROCESS = 10158
# What the server doesn't say in so many words.
_NO_STREAM = api.ApiError(UNAVAILABLE, api.STREAM_NOT_FOUND, 'no stream takes the subject')
_NO_LEADER = api.ApiError(UNAVAILABLE, 0, 'no server answers for its stream')
_NOT_JETSTREAM = api.ApiError(0, 0, 'somebody else answers to the subject, before JetStream does')


class PubAck(msgspec.Struct):
    """The answer of JetStream to a published message."""

    stream: str = ''
    seq: int = 0
    duplicate: bool = False
    error: api.ApiError | None = None


_decode = msgspec.json.Decoder(PubAck).decode


async def store(
    connection: Connection,
    subject: str,
    payload: bytes,
    headers: dict[str, str],
    *,
    stream: str,
) -> PubAck:
    """Publish until the message is stored, or known not to be.

    :param headers: with a `Nats-Msg-Id`, under which repeats are stored once.
    :raises NotConfirmedError: no answer within the deadline; it may have been stored.
    :raises WalnatsError: it is not stored, for the reason that the error names.
    """
    await connection.inbox.open(subject)
    publishing = _Publishing(connection, subject, payload, headers, stream)
    while True:
        ack = await publishing.attempt()
        if ack is not None:
            return ack


def read_ack(msg: Message) -> PubAck:
    """Give the acknowledgement in an answer; whatever else it is, as one with an error."""
    if api.is_no_responders(msg):
        return PubAck(error=_NO_STREAM)
    try:
        ack = _decode(msg.data)
    except msgspec.MsgspecError:
        ack = PubAck()
    if ack.error is None and not ack.stream:
        # Whoever is subscribed to the subject may answer, and does so sooner than JetStream.
        return PubAck(error=_NOT_JETSTREAM)
    return ack


def refusal(
    subject: str, stream: str, headers: dict[str, str] | None, error: api.ApiError
) -> WalnatsError:
    """Give the error that says why the server didn't store the message."""
    prefix = f"event '{subject}': the message is not stored"
    if error is _NOT_JETSTREAM or error.err_code == _IN_PROCESS:
        return not_confirmed(subject, headers, error.description)
    if error.err_code == _MESSAGE_TOO_BIG:
        return MaxPayloadError(
            f"{prefix}: with its headers it is over the limit of stream '{stream}', "
            '`limits.message_size`'
        )
    details: dict[str, Any] = {
        'code': error.code,
        'err_code': error.err_code,
        'description': error.description,
    }
    if error.err_code == api.STREAM_NOT_FOUND:
        return StreamNotFoundError(
            f"{prefix}: there is no stream '{stream}' that takes it; call `register` first",
            **details,
        )
    if _is_full(error):
        return StreamFullError(
            f"{prefix}: stream '{stream}' is full: {error.description}", **details
        )
    number = f' (error {error.err_code})' if error.err_code else ''
    return JetStreamError(f'{prefix}: {error.description}{number}', **details)


def unanswered(subject: str, headers: dict[str, str] | None, reason: WalnatsError) -> WalnatsError:
    """Give the error for a message that was sent and, for the reason, gets no answer."""
    if isinstance(reason, ConnectionClosedError):
        return not_confirmed(subject, headers, 'the connection was closed before the answer')
    if isinstance(reason, PermissionDeniedError):
        # It's the message that is denied, or else the subscription to the answers.
        is_stored = '' if str(reason).startswith(f"'{subject}'") else _may_be_stored(headers)
        return PermissionDeniedError(f"event '{subject}': {reason}{is_stored}")
    return reason


def not_confirmed(subject: str, headers: dict[str, str] | None, reason: str) -> NotConfirmedError:
    """Give the error for a message of which nobody knows if it's stored."""
    uid = (headers or {}).get(MSG_ID)
    return NotConfirmedError(f"event '{subject}': {reason}{_may_be_stored(headers)}", uid=uid)


class _Publishing:
    """One message on its way, over as many attempts as it takes."""

    def __init__(
        self,
        connection: Connection,
        subject: str,
        payload: bytes,
        headers: dict[str, str],
        stream: str,
    ) -> None:
        self._connection = connection
        self._subject = subject
        self._payload = payload
        self._headers = headers
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._no_stream_since: float | None = None
        self._unanswered = 0
        self._unsent: OutboundBufferLimitError | None = None

    async def attempt(self) -> PubAck | None:
        """Send it once. None if that has to be repeated."""
        answer = await self._send()
        if answer is None:
            return None
        if isinstance(answer, WalnatsError):
            raise self._without_answer(answer)
        self._unanswered -= 1
        ack = read_ack(answer)
        if ack.error is None:
            return ack
        await self._handle_refusal(ack.error)
        return None

    async def _send(self) -> Message | WalnatsError | None:
        answered: asyncio.Future[Message | WalnatsError | None] = self._loop.create_future()
        reply = self._connection.inbox.expect(self._subject, partial(_resolve, answered))
        # What was on its way when the connection was lost is sent again at once.
        undo = self._connection.on_reconnect(partial(_resolve, answered, None))
        try:
            async with asyncio.timeout(self._patience()):
                await self._publish(reply)
                return await answered
        except TimeoutError:
            await self._handle_silence()
            return None
        except WalnatsError as exc:
            if not self._unanswered:
                raise
            raise not_confirmed(self._subject, self._headers, str(exc)) from exc
        finally:
            undo()
            self._connection.inbox.forget(reply)

    def _patience(self) -> float:
        """Give the time for one attempt."""
        left = max(0, DEADLINE - self._passed())
        # What is in the pending queue needn't be there once more: it goes out, and the attempt
        # ends, when the connection is back.
        return min(_ATTEMPT_TIMEOUT, left) if self._connection.nc.is_connected else left

    async def _publish(self, reply: str) -> None:
        try:
            await self._connection.publish(
                self._subject, self._payload, reply=reply, headers=self._headers
            )
        except OutboundBufferLimitError as exc:
            # The connection may come back before the deadline.
            self._unsent = exc
        else:
            self._unanswered += 1

    def _without_answer(self, reason: WalnatsError) -> WalnatsError:
        if self._unanswered == 0:
            return reason
        if self._unanswered == 1:
            return unanswered(self._subject, self._headers, reason)
        return not_confirmed(self._subject, self._headers, str(reason))

    async def _handle_silence(self) -> None:
        """Raise if it's too late for another attempt, or pointless."""
        if self._passed() >= DEADLINE:
            if self._unsent is not None and not self._unanswered:
                raise self._unsent
            raise not_confirmed(self._subject, self._headers, f'no answer within {DEADLINE:g} s')
        # Where somebody just looks on, the server doesn't say that nobody stores.
        if self._no_stream_since is None and not await self._may_have_stream():
            raise self._refusal(_NO_STREAM)

    async def _handle_refusal(self, error: api.ApiError) -> None:
        """Raise, unless the refusal is of a kind that passes."""
        if error.err_code == api.STREAM_NOT_FOUND:
            if not await self._may_have_stream():
                raise self._refusal(error)
            error = _NO_LEADER
        passes = error.code == UNAVAILABLE or error.err_code == _IN_PROCESS
        if not passes or _is_full(error) or self._passed() >= DEADLINE:
            raise self._refusal(error)
        await asyncio.sleep(_BACK_OFF)

    def _refusal(self, error: api.ApiError) -> WalnatsError:
        return refusal(self._subject, self._stream, self._headers, error)

    async def _may_have_stream(self) -> bool:
        """If there may be a stream that just has no leader now."""
        now = self._loop.time()
        if self._no_stream_since is None:
            self._no_stream_since = now
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                config = await topology.read_stream(self._connection, self._stream)
        except JetStreamDisabledError as exc:
            raise JetStreamDisabledError(
                f"event '{self._subject}': the message is not stored: {exc}",
                code=exc.code,
                err_code=exc.err_code,
                description=exc.description,
            ) from exc
        except PermissionDeniedError:
            # A publisher needn't be allowed to ask.
            return now < self._no_stream_since + _NO_STREAM_PATIENCE
        except (TimeoutError, WalnatsError):
            return True
        return config is not None and settings.takes(config.get('subjects', []), self._subject)

    def _passed(self) -> float:
        return self._loop.time() - self._started_at


def _may_be_stored(headers: dict[str, str] | None) -> str:
    """Give the end of an error's text."""
    uid = (headers or {}).get(MSG_ID)
    hint = '' if uid is None else f', retry with uid {uid!r}'
    return f'; the message may have been stored{hint}'


def _is_full(error: api.ApiError) -> bool:
    return error.err_code in _NO_ROOM or (
        error.err_code == _STORE_FAILED and 'exceeded' in error.description
    )


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
