"""The continuous pull of one consumer.

One subscription on a wildcard inbox stays open. Requests, each with a reply subject of its
own, ask for messages while older requests are still being served, so the pipe doesn't run
dry. Messages carry nothing that tells which request they serve: only the total is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import nats.errors

from ..errors import ConnectionClosedError, PermissionDeniedError, WalnatsError
from .client import stop_sending, subscribe
from .delivery import Delivery
from .translate import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.subscription import Subscription

    from .client import Message
    from .connection import Connection

logger = logging.getLogger('walnats.pull')

MAX_OPEN = 4
_HEARTBEAT = 2.5
_CHECK_INTERVAL = 1.0
# How long after its end a request is still believed to be open.
_GRACE = 2.0
_BACK_OFF = 0.5
# Bytes of payload that may be under way. The server drops a client to which it couldn't write
# 64 MiB yet, and a connection may have several actors with messages as big.
_MAX_BYTES = 8 << 20
# How fast the size of the biggest message is forgotten: by half in about 45 messages.
_FORGET = 63 / 64
_CLOSE_TIMEOUT = 5.0
# Seconds within which the server has sent what a long request asked for, if it is there.
_SERVE_TIMEOUT = 0.15
# A request that expires within so many seconds is worth waiting for to its end.
_SHORT = 1.0
# Seconds for which short requests are still counted on once the server has ended one of them.
_DOUBT = 0.5


@dataclass(slots=True)
class _Request:
    remaining: int
    """An estimate: as if requests were served one after another, they are in fact by turns."""
    ends_at: float
    """When it is over, however slow the server is."""
    counted_until: float
    """Until when what remains of it is counted as outstanding; after that it's forgotten."""
    heartbeat: bool
    is_short: bool
    generation: int
    """The connection it went over, by the number of reconnects before."""


class Pull:
    """Asks for messages of one consumer and passes them on.

    :param on_delivery: called with each message.
    :param on_change: called when there may be a reason to ask again, or to look at
        :attr:`failure` or :attr:`is_missing`.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        consumer: str,
        *,
        on_delivery: Callable[[Delivery], None],
        on_change: Callable[[], None],
    ) -> None:
        self.outstanding = 0
        """Messages that were asked for and have neither come nor been called off.

        It is always the sum of what remains of the open requests.
        """
        self.failure: WalnatsError | None = None
        """Why nothing can come any more."""
        self.is_missing = False
        """The server said that the consumer isn't there, or has no leader, and it isn't looked
        into yet."""
        self.missing_since: float | None = None
        """When it said so first; None if there was a sign of the consumer since then."""
        self.window = 1
        """How many it makes sense to ask for: more while all that is asked for comes, and 1
        once a request has ended without being served. Fewer where messages are big."""
        self.resets = 0
        """How often requests were lost or refused, so that nothing is known of what is there."""
        self._connection = connection
        self._subject = f'$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}'
        self._prefix = connection.nc.new_inbox() + '.'
        self._on_delivery = on_delivery
        self._on_change = on_change
        # Those that something remains of, the oldest first.
        self._open: dict[str, _Request] = {}
        self._last_id = 0
        self._size = 1.0
        self._reported = ''
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._not_before = 0.0
        self._subscription: Subscription | None = None
        self._has_ended = asyncio.Event()
        self._check_handle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._undo: list[Callable[[], None]] = []

    @property
    def can_ask(self) -> bool:
        """If one more request may be sent now."""
        return (
            self._connection.nc.is_connected
            and time.monotonic() >= self._not_before
            and len(self._open) < MAX_OPEN
        )

    async def open(self) -> None:
        """Subscribe to the inbox."""
        try:
            self._subscription = await subscribe(
                self._connection.nc, self._prefix + '*', self._receive
            )
        except nats.errors.Error as exc:
            raise translated(exc, self._prefix + '*') from exc
        self._undo = [
            self._connection.on_reconnect(self._reset),
            self._connection.on_denied(self._deny),
        ]
        self._check_handle = asyncio.get_running_loop().call_later(_CHECK_INTERVAL, self._check)

    async def ask(self, batch: int, *, expires: float, no_wait: bool = False) -> None:
        """Ask for messages.

        :param expires: seconds after which the server calls the rest off.
        :param no_wait: take what is there and end; if nothing is there, wait for the first
            message until `expires`, or not at all if that is 0.
        """
        heartbeat = not no_wait and expires > 2 * _HEARTBEAT
        body: dict[str, int | bool] = {'batch': batch}
        if expires:
            body['expires'] = int(expires * 1e9)
        if no_wait:
            body['no_wait'] = True
        if heartbeat:
            body['idle_heartbeat'] = int(_HEARTBEAT * 1e9)
        self._last_id += 1
        reply = f'{self._prefix}{self._last_id}'
        self._heard_at = self._asked_at = now = time.monotonic()
        generation = self._connection.nc.stats['reconnects']
        is_short = no_wait and expires <= _SHORT
        ends_at = now + expires + _GRACE
        self._open[reply] = _Request(batch, ends_at, ends_at, heartbeat, is_short, generation)
        self.outstanding += batch
        await self._connection.publish(self._subject, msgspec.json.encode(body), reply=reply)

    async def close(self) -> None:
        """End the subscription; whatever the server had sent by then was passed on."""
        if self._closing is None:
            for undo in self._undo:
                undo()
            if self._check_handle is not None:
                self._check_handle.cancel()
            self._closing = self._connection.spawn(self._drain())
        # Not cancelled with us: nats-py would lose its read loop if its flush were cancelled.
        await asyncio.wait({self._closing}, timeout=_CLOSE_TIMEOUT)

    async def _drain(self) -> None:
        if self._subscription is None:
            return
        try:
            if self._connection.nc.is_connected:
                await self._wait_served()
                await stop_sending(self._connection.nc, self._subscription)
                await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py's
            elif not self._connection.nc.is_closed:
                await self._subscription.unsubscribe()
        except nats.errors.Error as exc:
            logger.warning('%s: not ended in order: %s', self._subject, exc)

    async def _wait_served(self) -> None:
        """Wait for what the requests bring.

        What the server has taken out of the consumer goes through a queue of its own that no
        flush waits for: after UNSUB it would be lost until `ack_wait`.
        """
        while (seconds := self._patience()) > 0:
            self._has_ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._has_ended.wait()

    def _patience(self) -> float:
        """Give the seconds for which the open requests are still worth waiting for.

        A server that is busy, or syncs each write, may take far longer than a request lasts.
        """
        if not self._open:
            return 0
        short = [request.ends_at for request in self._open.values() if request.is_short]
        return max(short, default=self._asked_at + _SERVE_TIMEOUT) - time.monotonic()

    def _receive(self, msg: Message) -> None:
        self._heard_at = now = time.monotonic()
        # Only the server writes to this inbox without a reply subject: a `Status` header alone
        # may come from whoever published the message.
        if not msg.reply and msg.subject.startswith(self._prefix):
            self._handle_status(msg)
            return
        try:
            delivery = Delivery(self._connection, msg, now)
        except ValueError as exc:
            logger.warning('ignored a message that no consumer sent: %s', exc)
            return
        self.missing_since = None
        self._reported = ''
        size = len(delivery.data) + 1
        self._size = size if size > self._size else self._size * _FORGET
        self.window = min(self.window + 1, int(_MAX_BYTES / self._size) or 1)
        self._count_delivered()
        self._on_delivery(delivery)

    def _count_delivered(self) -> None:
        for reply, request in self._open.items():
            self.outstanding -= 1
            request.remaining -= 1
            if request.remaining == 0:
                del self._open[reply]
                self._has_ended.set()
            break

    def _handle_status(self, msg: Message) -> None:
        headers = msg.headers or {}
        status = headers.get('Status', '')
        if status == '100':
            self.missing_since = None
            return
        if msg.subject in self._open:
            self._forget(msg.subject)
            if status in ('404', '408'):
                self.missing_since = None
            else:
                self._handle_refusal(status, headers.get('Description', ''))
            self._on_change()
        self._doubt_others()

    def _handle_refusal(self, status: str, text: str) -> None:
        self.resets += 1
        self._not_before = time.monotonic() + _BACK_OFF
        if status == '503' or 'Consumer Deleted' in text:
            self.is_missing = True
            self.missing_since = self.missing_since or time.monotonic()
        elif 'Shutdown' not in text and text != self._reported:
            self._reported = text
            logger.warning('%s: %s %s', self._subject, status, text)

    def _forget(self, reply: str) -> None:
        """Expect no more of a request: the rest of it won't come."""
        self.outstanding -= self._open.pop(reply).remaining
        self.window = 1
        self._has_ended.set()

    def _doubt_others(self) -> None:
        """Count on the short requests for a moment only, now that the server has ended one.

        At the end of a stream it ends all of them, and tells so of those that it hasn't served.
        It doesn't tell which message was for which one: what counts as open may have been served.
        """
        soon = time.monotonic() + _DOUBT
        others = [each for each in self._open.values() if each.is_short]
        for request in others:
            request.counted_until = min(request.counted_until, soon)
        if others:
            asyncio.get_running_loop().call_later(_DOUBT + 0.01, self._find_ended)

    def _reset(self) -> None:
        """Forget the requests that went over another connection: the server knows none of them."""
        generation = self._connection.nc.stats['reconnects']
        for reply, request in tuple(self._open.items()):
            if request.generation != generation:
                self._forget(reply)
        self.resets += 1
        self._not_before = 0.0
        self._on_change()

    def _check(self) -> None:
        self._check_handle = asyncio.get_running_loop().call_later(_CHECK_INTERVAL, self._check)
        if self._connection.nc.is_closed:
            self.failure = ConnectionClosedError(
                'the connection to NATS was closed while the worker listened; connect again'
            )
        self._find_ended()

    def _find_ended(self) -> None:
        """Find requests that are over without a word from the server."""
        now = time.monotonic()
        is_silent = now - self._heard_at > 2 * _HEARTBEAT
        for reply, request in tuple(self._open.items()):
            if request.counted_until < now or (request.heartbeat and is_silent):
                self._forget(reply)
                self.resets += 1
        self._on_change()

    def _deny(self, subject: str, reason: str) -> None:
        # The subject comes in lower case.
        if subject == self._subject.lower() or subject.startswith(self._prefix.lower()):
            self.failure = PermissionDeniedError(
                f"{reason}: the worker must be allowed to publish to '{self._subject}' "
                f"and to subscribe to '{self._prefix}*'"
            )
            self._on_change()
