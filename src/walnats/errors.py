"""Every exception of walnats.

    WalnatsError
    ├── InvalidNameError            (ValueError)
    ├── DeclarationError            (ValueError)
    │   └── DeclarationTypeError    (TypeError)
    ├── RegistryError               (ValueError)
    ├── NotRegisteredError          (LookupError)
    ├── DeadLetterNotFoundError     (LookupError)
    ├── SerializerNotFoundError     (LookupError)
    ├── HeaderError                 (ValueError)
    │   └── HeaderTypeError         (TypeError)
    ├── EncodeError                 (TypeError)
    ├── DecodeError                 (ValueError)
    ├── ServerStartError            (RuntimeError)
    ├── ConnectError                (ConnectionError, nats.errors.NoServersError)
    │   └── AuthorizationError      (nats.errors.AuthorizationError)
    ├── ConnectionClosedError       (nats.errors.ConnectionClosedError)
    ├── OutboundBufferLimitError    (nats.errors.OutboundBufferLimitError)
    ├── MaxPayloadError             (nats.errors.MaxPayloadError, ValueError)
    ├── PermissionDeniedError       (PermissionError)
    ├── NotConfirmedError           (nats.errors.TimeoutError, TimeoutError)
    ├── EmitManyError
    ├── RequestTimeoutError         (nats.errors.TimeoutError, TimeoutError)
    ├── RequestFailedError
    ├── JetStreamError              (nats.js.errors.APIError)
    │   ├── JetStreamDisabledError  (nats.js.errors.ServiceUnavailableError)
    │   ├── JetStreamTimeoutError   (nats.errors.TimeoutError, TimeoutError)
    │   ├── StreamNotFoundError     (nats.js.errors.NotFoundError, NoStreamResponseError)
    │   ├── StreamFullError         (nats.js.errors.ServerError)
    │   ├── StreamExistsError       (nats.js.errors.BadRequestError)
    │   ├── StreamConfigError       (nats.js.errors.ServerError)
    │   ├── ConsumerConfigError     (nats.js.errors.BadRequestError)
    │   ├── ReplayError             (nats.js.errors.BadRequestError)
    │   └── ConsumerNotFoundError   (nats.js.errors.NotFoundError)

Each one is also an instance of the classes in brackets, so code written for plain
nats-py, or for the standard library, catches it too.

Two classes here are no errors but words of a handler: :class:`Retry` and
:class:`GiveUp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nats.errors
import nats.js.errors

__all__ = [
    'AuthorizationError',
    'ConnectError',
    'ConnectionClosedError',
    'ConsumerConfigError',
    'ConsumerNotFoundError',
    'DeadLetterNotFoundError',
    'DeclarationError',
    'DeclarationTypeError',
    'DecodeError',
    'EmitManyError',
    'EncodeError',
    'FailedMessage',
    'GiveUp',
    'HeaderError',
    'HeaderTypeError',
    'InvalidNameError',
    'JetStreamDisabledError',
    'JetStreamError',
    'JetStreamTimeoutError',
    'MaxPayloadError',
    'NotConfirmedError',
    'NotRegisteredError',
    'OutboundBufferLimitError',
    'PermissionDeniedError',
    'RegistryError',
    'ReplayError',
    'RequestFailedError',
    'RequestTimeoutError',
    'Retry',
    'SerializerNotFoundError',
    'ServerStartError',
    'StreamConfigError',
    'StreamExistsError',
    'StreamFullError',
    'StreamNotFoundError',
    'WalnatsError',
]


class WalnatsError(Exception):
    """The root of all errors that walnats raises."""

    def __str__(self) -> str:
        """Give the message as it was raised: the classes of nats-py would replace it."""
        return str(self.args[0]) if self.args else type(self).__name__

    # The API errors of nats-py are dataclasses that compare by value and so can't be hashed.
    __eq__ = Exception.__eq__
    __hash__ = Exception.__hash__


class InvalidNameError(WalnatsError, ValueError):
    """The name of an event or an actor breaks a rule of NATS or of walnats."""


class DeclarationError(WalnatsError, ValueError):
    """A field of an event, actor or another declaration has a value that can't be."""


class DeclarationTypeError(DeclarationError, TypeError):
    """A field of a declaration has a value of a wrong type."""


class RegistryError(WalnatsError, ValueError):
    """A registry of events or actors is empty, or two of its members collide."""


class NotRegisteredError(WalnatsError, LookupError):
    """The event or actor isn't in the registry that was connected."""


class DeadLetterNotFoundError(WalnatsError, LookupError):
    """The dead letter isn't there any more: replayed, discarded or too old."""


class SerializerNotFoundError(WalnatsError, LookupError):
    """No serializer fits the schema of the event."""


class HeaderError(WalnatsError, ValueError):
    """A header can't be sent: its name or its value is not safe or is reserved."""


class HeaderTypeError(HeaderError, TypeError):
    """A header's name or value isn't a string."""


class _PayloadError(WalnatsError):
    """What encoding and decoding errors share: the event's name in front of the reason."""

    _doing = ''

    def __init__(
        self, reason: str, *, event: str | None = None, position: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.event = event
        """The name of the event, None where a serializer is used by itself."""
        self.position = position
        """The offset, in bytes, at which the payload is wrong, where that is known."""

    def __str__(self) -> str:
        where = '' if self.position is None else f' (at byte {self.position})'
        if self.event is None:
            return f'{self.reason}{where}'
        return f"event '{self.event}': can't {self._doing} the message: {self.reason}{where}"


class EncodeError(_PayloadError, TypeError):
    """The message isn't what the event's schema says, so it can't be encoded."""

    _doing = 'encode'


class DecodeError(_PayloadError, ValueError):
    """The payload isn't what the event's schema says. The payload is never in the text."""

    _doing = 'decode'


class ServerStartError(WalnatsError, RuntimeError):
    """The embedded nats-server isn't installed, didn't start or died."""


class ConnectError(WalnatsError, ConnectionError, nats.errors.NoServersError):
    """No connection to a NATS server could be made before the deadline."""


class AuthorizationError(ConnectError, nats.errors.AuthorizationError):
    """The NATS server doesn't accept the credentials."""


class ConnectionClosedError(WalnatsError, nats.errors.ConnectionClosedError):
    """The connection to NATS is closed for good."""


class OutboundBufferLimitError(WalnatsError, nats.errors.OutboundBufferLimitError):
    """The connection is lost and the pending queue (`pending_size`) has no room."""


class MaxPayloadError(WalnatsError, nats.errors.MaxPayloadError, ValueError):
    """The payload and its headers are more than the server or the stream takes."""


class PermissionDeniedError(WalnatsError, PermissionError):
    """The NATS user has no permission for the subject."""


class NotConfirmedError(WalnatsError, nats.errors.TimeoutError):
    """No answer came before the deadline: the message may have been stored.

    Emit it again with the same :attr:`uid`: JetStream stores it once.
    """

    def __init__(self, message: str, *, uid: str | None = None) -> None:
        super().__init__(message)
        self.uid = uid


@dataclass(frozen=True)
class FailedMessage:
    """A message that `emit_many` couldn't have stored."""

    index: int
    """Its place among the messages, from 0."""
    message: Any
    """The message as it was given."""
    error: Exception
    """Why it isn't stored, or isn't known to be."""


class EmitManyError(WalnatsError):
    """Some of the messages of `emit_many` are not stored; the rest is."""

    def __init__(
        self, message: str, *, failed: list[FailedMessage] | None = None, summary: Any = None
    ) -> None:
        super().__init__(message)
        self.failed = failed or []
        """What failed, by index."""
        self.summary = summary
        """The EmitSummary of the rest."""


class RequestTimeoutError(WalnatsError, nats.errors.TimeoutError):
    """No actor answered the request in time. It may still be handled."""


class RequestFailedError(WalnatsError):
    """An actor gave up on the request; :attr:`reason` says why."""

    def __init__(self, message: str, *, reason: str = '') -> None:
        super().__init__(message)
        self.reason = reason


class JetStreamError(WalnatsError, nats.js.errors.APIError):
    """JetStream refused what was asked of it; the base of more exact errors.

    :attr:`code`, :attr:`err_code` and :attr:`description` are those of the server's answer,
    None where the error was found without asking it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        err_code: int | None = None,
        description: str | None = None,
    ) -> None:
        Exception.__init__(self, message)
        self.code = code
        self.err_code = err_code
        self.description = description
        self.stream = None
        self.seq = None


class JetStreamDisabledError(JetStreamError, nats.js.errors.ServiceUnavailableError):
    """The server, or the account, has JetStream turned off."""


class JetStreamTimeoutError(JetStreamError, nats.errors.TimeoutError):
    """JetStream didn't answer in time."""


class StreamNotFoundError(
    JetStreamError, nats.js.errors.NotFoundError, nats.js.errors.NoStreamResponseError
):
    """No stream takes the event: nobody has called `register` for it."""


class StreamFullError(JetStreamError, nats.js.errors.ServerError):
    """The stream is at a limit and its `discard` says to refuse new messages."""


class StreamExistsError(JetStreamError, nats.js.errors.BadRequestError):
    """There is a stream of this name that has other settings or takes another event."""


class StreamConfigError(JetStreamError, nats.js.errors.ServerError):
    """The server refuses the settings of the stream; :attr:`description` has its words."""


class ConsumerConfigError(JetStreamError, nats.js.errors.BadRequestError):
    """The server refuses the settings of the consumer; :attr:`description` has its words."""


class ConsumerNotFoundError(JetStreamError, nats.js.errors.NotFoundError):
    """The actor has no consumer: nobody has called `register` for it."""


class ReplayError(JetStreamError, nats.js.errors.BadRequestError):
    """A dead letter can't be delivered again: its actor wouldn't get it. The letter stays."""


class Retry(Exception):  # noqa: N818 -- a word of the handler, not an error
    """Raise it in a handler to have the message handled again.

    :param delay: seconds to wait before that; the actor's `retry_delay` by default.
    """

    def __init__(self, delay: float | None = None) -> None:
        super().__init__(delay)
        self.delay = delay


class GiveUp(Exception):  # noqa: N818 -- a word of the handler, not an error
    """Raise it in a handler to make the message a dead letter, without more attempts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
