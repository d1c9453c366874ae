"""Emitting one message, with or without waiting for the server to store it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .. import _headers
from .._jetstream.publish import read_ack, refusal, store, unanswered
from ..errors import ConnectionClosedError, WalnatsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._event import BaseEvent
    from .._jetstream.connection import Connection
    from .._jetstream.inbox import Answer
    from .outgoing import Outgoing

logger = logging.getLogger('walnats.publisher')

_LAST_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """Events of one connection: those that were asked about, those that were complained about."""

    asked: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)


_seen: WeakKeyDictionary[object, _Seen] = WeakKeyDictionary()


class FirstEmits:
    """The first message of each event: the one that shows if the event has a stream.

    Its acknowledgement is asked for and, in the background, waited for: so a missing stream
    doesn't go unnoticed where nobody asks for confirmation. It's done once per connection,
    whoever shares it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen = _seen.setdefault(connection.nc, _Seen())
        self._unanswered: set[asyncio.Future[None]] = set()

    def __contains__(self, event: str) -> bool:
        return event in self._seen.asked

    async def send(self, event: BaseEvent[Any, Any], outgoing: Outgoing) -> None:
        """Send the message, and log why it isn't stored when the server says so."""
        payload, headers = outgoing
        inbox, asked = self._connection.inbox, self._seen.asked
        asked.add(event.name)
        # The answer may be lost with the connection; then the next message asks again.
        undo = self._connection.on_reconnect(partial(asked.discard, event.name))
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unanswered.add(answered)

        def receive(answer: Answer) -> None:
            undo()
            self._unanswered.discard(answered)
            answered.set_result(None)
            if isinstance(answer, ConnectionClosedError):
                asked.discard(event.name)
            else:
                self._report(event, headers, answer)

        reply = ''
        try:
            await inbox.open(event.name)
            reply = inbox.expect(event.name, receive)
            await self._connection.publish(event.name, payload, reply=reply, headers=headers)
        except BaseException:
            undo()
            asked.discard(event.name)
            self._unanswered.discard(answered)
            inbox.forget(reply)
            raise

    async def wait(self) -> None:
        """Wait for the acknowledgements for a moment: the process may be about to end."""
        if self._unanswered and self._connection.nc.is_connected:
            await asyncio.wait(self._unanswered, timeout=_LAST_WAIT)

    def _report(
        self, event: BaseEvent[Any, Any], headers: dict[str, str] | None, answer: Answer
    ) -> None:
        problem = _find_problem(event, headers, answer)
        if problem is not None and event.name not in self._seen.reported:
            self._seen.reported.add(event.name)
            logger.error('%s', problem)


async def emit_stored(
    connection: Connection, event: BaseEvent[Any, Any], outgoing: Outgoing
) -> None:
    """Send a message, and return once JetStream has stored it."""
    payload, headers = outgoing
    ack = await store(connection, event.name, payload, headers or {}, stream=event.stream_name)
    if ack.duplicate:
        uid = (headers or {}).get(_headers.MSG_ID)
        logger.debug('duplicate message', extra={'event': event.name, 'uid': uid})


def make_uid() -> str:
    """Give a uid for a message that got none and may have to be sent twice."""
    return uuid.uuid4().hex


def own_uid_sequence() -> Iterator[str]:
    """Give uids for many messages."""
    prefix = make_uid()
    return (f'{prefix}-{number}' for number in itertools.count())


def _find_problem(
    event: BaseEvent[Any, Any], headers: dict[str, str] | None, answer: Answer
) -> WalnatsError | None:
    """Give the error that says why the message isn't stored, None if it is."""
    if isinstance(answer, WalnatsError):
        return unanswered(event.name, headers, answer)
    error = read_ack(answer).error
    return None if error is None else refusal(event.name, event.stream_name, headers, error)
