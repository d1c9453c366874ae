"""A message made ready to be sent: checked, encoded, with its headers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import _headers
from .._checks import MAX_SECONDS, show
from ..errors import DeclarationError, DeclarationTypeError, HeaderError, MaxPayloadError
from .headers import as_due, build_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._cloud_event import CloudEvent
    from .._event import BaseEvent
    from .._jetstream.connection import Connection


Outgoing: TypeAlias = tuple[bytes, dict[str, str] | None]
"""What goes over the wire: the payload and the headers."""


def prepare(
    event: BaseEvent[Any, Any],
    message: object,
    *,
    max_payload: int,
    uid: str | None = None,
    trace_id: str | None = None,
    delay: float | None = None,
    meta: CloudEvent | dict[str, str] | None = None,
    reply: str | None = None,
) -> Outgoing:
    """Encode the message and build its headers.

    :param max_payload: bytes that the server takes. It closes the connection of a client that
        sends more, so it must not be sent.
    :raises EncodeError: the message isn't what the event's schema says.
    :raises HeaderError: something can't be sent as a header.
    :raises MaxPayloadError: payload and headers are too big for the server or the stream.
    """
    due = None if delay is None else _due(event, delay)
    headers = build_headers(uid=uid, trace_id=trace_id, due=due, meta=meta, reply=reply)
    return _seal(event, message, headers, max_payload)


def prepare_many(
    event: BaseEvent[Any, Any],
    connection: Connection,
    *,
    trace_id: str | None,
    delay: float | None,
    meta: CloudEvent | dict[str, str] | None,
) -> Callable[[object, str], Outgoing]:
    """Give a function that makes a message ready under a uid, which must be safe in a header.

    What many messages share is checked, and built, once. It raises as `prepare` does.
    """
    shared = build_headers(uid=None, trace_id=trace_id, due=None, meta=meta) or {}
    if delay is not None:
        _due(event, delay)

    def prepare_one(message: object, uid: str) -> Outgoing:
        headers = {**shared, _headers.MSG_ID: uid}
        if delay:
            headers[_headers.DELAY] = as_due(time.time() + delay)
        return _seal(event, message, headers, connection.nc.max_payload)

    return prepare_one


def _seal(
    event: BaseEvent[Any, Any],
    message: object,
    headers: dict[str, str] | None,
    max_payload: int,
) -> Outgoing:
    payload = event.encode(message)
    size = len(payload) if headers is None else len(payload) + _size_of(event, headers)
    limit = event.limits.message_size
    if limit is not None and size > limit:
        raise _too_big(event, size, f'`limits.message_size` of the event is {limit}')
    if size > max_payload:
        raise _too_big(event, size, f'`max_payload` of the server is {max_payload}')
    return payload, headers


def _too_big(event: BaseEvent[Any, Any], size: int, limit: str) -> MaxPayloadError:
    return MaxPayloadError(
        f"event '{event.name}': the message has {size} bytes with its headers, {limit}; "
        'send a reference to the data in place of the data'
    )


def _size_of(event: BaseEvent[Any, Any], headers: dict[str, str]) -> int:
    size = _headers.headers_size(headers)
    if size > _headers.MAX_SIZE:
        # JetStream would refuse it, and without `sync` nobody would know.
        longest = max(headers, key=lambda name: len(name) + len(headers[name]))
        raise HeaderError(
            f"event '{event.name}': the headers have {size} bytes, JetStream takes "
            f'{_headers.MAX_SIZE}; the longest is {longest!r:.60}: put it in the payload'
        )
    return size


def _due(event: BaseEvent[Any, Any], delay: float) -> float | None:
    """Give the moment before which the message is held back, None for now."""
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
        raise DeclarationTypeError(
            f"event '{event.name}': delay must be a number of seconds, not {type(delay).__name__}"
        )
    if not 0 <= delay <= MAX_SECONDS:  # False for NaN as well
        rule = f'delay must be from 0 to {MAX_SECONDS} seconds'
        raise DeclarationError(f"event '{event.name}': {rule}, it is {show(delay)}")
    return time.time() + delay if delay else None
