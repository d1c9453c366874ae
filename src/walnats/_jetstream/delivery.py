"""One delivered message, and what can be said to the server about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Message
    from .connection import Connection

_MAX_DELAY = 100 * 365 * 24 * 3600.0
_MAX_REASON = 200
# $JS.ACK.STREAM.CONSUMER.DELIVERED.STREAM_SEQ.CONSUMER_SEQ.TIMESTAMP.PENDING, and the longer
# form with domain and account in front of STREAM and, perhaps, a token at the end.
_SHORT, _LONG = 9, 11


class Delivery:
    """A message on its way through the worker; `deliveries` counts from 1.

    When it came, when its job started, how long that may run and if it is over are notes of
    the worker's.
    """

    __slots__ = (
        '_connection',
        '_reply',
        'data',
        'deliveries',
        'headers',
        'is_decided',
        'is_settled',
        'received_at',
        'runs_until',
        'seq',
        'started_at',
        'timestamp_ns',
    )

    def __init__(self, connection: Connection, msg: Message, received_at: float) -> None:
        """Take a message of a consumer. A ValueError if its reply subject is none of JetStream."""
        tokens = msg.reply.split('.')
        if tokens[:2] != ['$JS', 'ACK']:
            raise ValueError('not from JetStream: its reply subject is none of $JS.ACK')
        if len(tokens) == _SHORT:
            start = 4
        elif len(tokens) >= _LONG:
            start = 6
        else:
            raise ValueError(f'not from JetStream: {len(tokens)} tokens in the reply subject')
        self._connection = connection
        self._reply = msg.reply
        self.data = msg.data
        self.headers = msg.headers
        self.deliveries = int(tokens[start])
        self.seq = int(tokens[start + 1])
        self.timestamp_ns = int(tokens[start + 3])
        self.received_at = received_at
        self.started_at: float | None = None
        self.runs_until: float | None = None
        self.is_decided = False
        self.is_settled = False
        """If the server was told what became of it: it may be with another worker by now."""

    @property
    def timestamp(self) -> datetime:
        """When the message was stored."""
        return datetime.fromtimestamp(self.timestamp_ns / 1e9, UTC)

    async def ack(self) -> None:
        """Settle it: the actor is done with the message."""
        self.is_settled = True
        if not self._connection.post(self._reply, b'+ACK'):
            await self._connection.publish(self._reply, b'+ACK')

    async def nak(self, delay: float = 0) -> None:
        """Hand it back, to be delivered again after `delay` seconds."""
        self.is_settled = True
        if delay <= 0:
            await self._connection.publish(self._reply, b'-NAK')
        else:
            nanoseconds = int(min(delay, _MAX_DELAY) * 1e9)
            await self._connection.publish(self._reply, b'-NAK {"delay": %d}' % nanoseconds)

    async def term(self, reason: str) -> None:
        """Settle it: the actor gave up on the message."""
        self.is_settled = True
        text = reason[:_MAX_REASON].encode(errors='replace')
        await self._connection.publish(self._reply, b'+TERM ' + text)

    async def in_progress(self) -> None:
        """Say that the actor is still working on it."""
        await self._connection.publish(self._reply, b'+WPI')
