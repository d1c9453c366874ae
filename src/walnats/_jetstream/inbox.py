"""One wildcard subscription per connection for all answers: acknowledgements, API calls."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeAlias

import nats.errors

from ..errors import ConnectionClosedError, PermissionDeniedError, WalnatsError
from .client import subscribe
from .translate import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client
    from nats.aio.subscription import Subscription

    from .client import Message

    Answer: TypeAlias = Message | WalnatsError
    """A message, or the error that says why none will come."""


class Inbox:
    """Gives reply subjects, and calls back once for each: with the answer, or with an error.

    The error says why no answer will come: the subject was denied, or the connection closed.
    A callback that nobody answers stays until :meth:`forget`.
    """

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._prefix = nc.new_inbox() + '.'
        self._subscription: Subscription | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[str, tuple[str, Callable[[Answer], None]]] = {}
        self._last = 0
        self._is_denied = False
        self._is_over = False

    async def open(self, subject: str) -> None:
        """Subscribe, if that is not done yet. Needed before :meth:`expect`.

        :param subject: what is about to be sent to, for the error.
        """
        if self._subscription is not None and not self._is_denied:
            return
        if self._is_over:
            raise ConnectionClosedError(
                f"can't send to '{subject}': the context of `connect` is over: connect again"
            )
        async with self._opening:
            if self._is_denied:
                # It may be allowed by now. If not, the server says so once more.
                await self._unsubscribe()
            if self._subscription is None:
                await self._subscribe()

    def expect(self, subject: str, callback: Callable[[Answer], None]) -> str:
        """Give a new reply subject for a message that goes to `subject`."""
        self._last += 1
        reply = f'{self._prefix}{self._last}'
        self._waiting[reply] = (subject, callback)
        return reply

    def forget(self, reply: str) -> None:
        """Don't wait any more: an answer that comes later is ignored."""
        self._waiting.pop(reply, None)

    def deny(self, subject: str, reason: str) -> None:
        """Fail what waits for an answer from a subject, or by a subject, that was denied.

        :param subject: in lower case.
        """
        is_ours = subject.startswith(self._prefix.lower())
        self._is_denied = self._is_denied or is_ours
        for reply, (sent_to, callback) in tuple(self._waiting.items()):
            if is_ours or sent_to.lower() == subject:
                del self._waiting[reply]
                callback(_denied(self._prefix + '*' if is_ours else sent_to, reason))

    def fail(self) -> None:
        """Fail all that waits: the connection is closed for good."""
        waiting, self._waiting = self._waiting, {}
        for sent_to, callback in waiting.values():
            callback(
                ConnectionClosedError(f"no answer from '{sent_to}': the connection was closed")
            )

    async def close(self) -> None:
        """Unsubscribe from a connection that goes on without this inbox."""
        self._is_over = True
        self.fail()
        await self._unsubscribe()

    async def _subscribe(self) -> None:
        subject = self._prefix + '*'
        try:
            self._subscription = await subscribe(self._nc, subject, self._receive)
        except nats.errors.Error as exc:
            raise translated(exc, subject) from exc

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        self._is_denied = False
        if subscription is not None:
            # An error here says that the connection is closed, or about to be.
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    def _receive(self, msg: Message) -> None:
        waiting = self._waiting.pop(msg.subject, None)
        if waiting is not None:
            waiting[1](msg)


def _denied(subject: str, reason: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"'{subject}' is denied: {reason}; ask for the permission, it is a setting of the server"
    )
