"""One connection to NATS, shared by its users and watched over.

It tells those who asked for it that the connection is back or that a subject was denied.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import nats.errors

from ..errors import ConnectionClosedError
from . import client, closing
from .inbox import Inbox
from .translate import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from nats.aio.client import Client

logger = logging.getLogger('walnats.connection')

_WATCH_INTERVAL = 0.5
_FLUSH_TIMEOUT = 5.0
# The server quotes the subject as Go does: of what a name may have, only `"` is escaped.
_DENIED = re.compile(r'permissions violation for (\w+) to "((?:[^"\\]|\\.)*)"', re.IGNORECASE)


class Connection:
    """A connection and what its users share: one inbox, one watchdog."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self._publish = client.publisher_of(nc)
        self._post = client.poster_of(nc)
        self.inbox = Inbox(nc)
        self.is_released = False
        self._reconnects = nc.stats['reconnects']
        self._on_reconnect: set[Callable[[], None]] = set()
        self._on_denied: set[Callable[[str, str], None]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.spawn(self._watch())

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = '',
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send a message, or put it into the pending queue while the connection is lost."""
        if self.post(subject, payload, reply, headers):
            return
        if self.is_released:
            raise ConnectionClosedError(
                f"can't send to '{subject}': the context of `connect` is over"
            )
        try:
            await self._publish(subject, payload, reply, headers)
        except nats.errors.Error as exc:
            raise translated(exc, subject) from exc

    def post(
        self, subject: str, payload: bytes, reply: str = '', headers: dict[str, str] | None = None
    ) -> bool:
        """Send a message if that can be done at once; if not, `publish` does it, or says why."""
        return not self.is_released and self._post(subject, payload, reply, headers)

    async def flush(self) -> None:
        """Wait until the server has what was sent, for a few seconds at most."""
        if self.nc.is_connected:
            await asyncio.wait({await client.ping(self.nc)}, timeout=_FLUSH_TIMEOUT)

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have the callback called after each reconnect. Gives a function that undoes it."""
        self._on_reconnect.add(callback)
        return lambda: self._on_reconnect.discard(callback)

    def on_denied(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Have the callback called with subject and reason when the server denies a subject.

        The subject is in lower case: nats-py doesn't tell it as it was.
        """
        self._on_denied.add(callback)
        return lambda: self._on_denied.discard(callback)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task that this connection owns and ends when it is released."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def release(self, *, close: bool) -> None:
        """Stop what this object runs, and close the connection if asked to.

        That takes a bounded time, and is done to the end even if it is cancelled.
        """
        self.is_released = True
        releasing = asyncio.create_task(self._release(close=close))
        try:
            await asyncio.shield(releasing)
        except asyncio.CancelledError:
            await asyncio.wait({releasing})
            raise

    async def _release(self, *, close: bool) -> None:
        await self.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if close:
                await closing.close(self.nc)
        finally:
            await self.inbox.close()

    def notice_reconnect(self) -> None:
        """Tell those who asked for it, if the connection was lost and is back."""
        reconnects = self.nc.stats['reconnects']
        if reconnects != self._reconnects and self.nc.is_connected:
            self._reconnects = reconnects
            for callback in tuple(self._on_reconnect):
                callback()

    def notice_error(self, error: Exception) -> bool:
        """Tell those who asked for it, if the error says that a subject was denied."""
        found = _DENIED.search(str(error))
        if found is None:
            return False
        subject = found[2].replace('\\"', '"').lower()
        reason = str(error).removeprefix('nats: ')
        self.inbox.deny(subject, reason)
        for callback in tuple(self._on_denied):
            callback(subject, reason)
        return True

    async def _watch(self) -> None:
        """See what nats-py doesn't tell: a dead read loop, what happened to a passed client."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            if client.is_deaf(self.nc):
                await self._revive()
            if self.nc.is_closed:
                self.inbox.fail()
            self.notice_reconnect()

    async def _revive(self) -> None:
        if client.may_reconnect(self.nc):
            logger.error('the read loop of the NATS client died: reconnecting')
            await self.nc.force_reconnect()
        else:
            logger.error('the read loop of the NATS client died: closing, as it may not reconnect')
            await closing.close(self.nc)
