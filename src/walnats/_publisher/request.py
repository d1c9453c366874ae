"""Emitting one message and waiting for the first answer of an actor.

Answers come over core NATS to the inbox of the connection; the message carries its subject.
"""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .._checks import Fields
from .._event import BaseEvent, EventWithResponse
from .._headers import ERROR
from .._jetstream.publish import PubAck, store, unanswered
from ..errors import (
    DeclarationTypeError,
    RequestFailedError,
    RequestTimeoutError,
    WalnatsError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._jetstream.connection import Connection
    from .._jetstream.inbox import Answer
    from .outgoing import Outgoing

    Outcome: TypeAlias = Answer | BaseException
    """The answer, or the error that says why none will come."""

R = TypeVar('R')


def check_request(event: BaseEvent[Any, Any], timeout: float) -> None:
    """Raise DeclarationError for an event without response, or a bad timeout."""
    if not isinstance(event, EventWithResponse):
        raise DeclarationTypeError(
            f"event '{event.name}' has no response: declare it with `with_response`"
        )
    Fields(f"event '{event.name}'", SimpleNamespace(timeout=timeout)).seconds(
        'timeout', least=0.001
    )


async def request(
    connection: Connection,
    event: EventWithResponse[Any, R],
    *,
    prepare: Callable[[str], Outgoing],
    timeout: float,
) -> R:
    """See `ConnectedEvents.request`.

    :param prepare: makes the message ready to be sent, given the subject for the answer.
    """
    await connection.inbox.open(event.name)
    headers: dict[str, str] | None = None
    answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def receive(answer: Answer) -> None:
        if isinstance(answer, WalnatsError):
            _resolve(answered, unanswered(event.name, headers, answer))
        else:
            _resolve(answered, answer)

    reply = connection.inbox.expect(event.name, receive)
    try:
        payload, headers = prepare(reply)
        # The acknowledgement is waited for beside the answer: it tells at once what's wrong.
        storing = asyncio.create_task(
            store(connection, event.name, payload, headers or {}, stream=event.stream_name)
        )
        storing.add_done_callback(partial(_report, answered))
        try:
            await asyncio.wait({answered}, timeout=timeout)
        finally:
            await _end(storing)
    finally:
        connection.inbox.forget(reply)
    if not answered.done():
        raise _timed_out(event, storing, timeout)
    return _read(event, answered.result())


def _resolve(answered: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not answered.done():
        answered.set_result(outcome)


def _report(answered: asyncio.Future[Outcome], storing: asyncio.Task[PubAck]) -> None:
    """Let an error of the emit be the end of the request."""
    error = None if storing.cancelled() else storing.exception()
    if error is not None:
        _resolve(answered, error)


async def _end(storing: asyncio.Task[PubAck]) -> None:
    """Stop sending again what was answered, or nobody waits for any more."""
    if not storing.done():
        storing.cancel()
        await asyncio.wait({storing})


def _timed_out(
    event: EventWithResponse[Any, Any], storing: asyncio.Task[PubAck], timeout: float
) -> RequestTimeoutError:
    if storing.cancelled():
        what = 'nor did the server say that it has stored the message'
    elif storing.result().duplicate:
        what = 'its uid was known already, so no actor gets it once more'
    else:
        what = 'the message is stored and may still be handled'
    return RequestTimeoutError(
        f"event '{event.name}': no actor answered the request within {timeout:g} s; {what}"
    )


def _read(event: EventWithResponse[Any, R], outcome: Outcome) -> R:
    if isinstance(outcome, BaseException):
        raise outcome
    reason = (outcome.headers or {}).get(ERROR)
    if reason is not None:
        raise RequestFailedError(
            f"event '{event.name}': an actor gave up on the request: {reason}", reason=reason
        )
    return event.decode_response(outcome.data)
