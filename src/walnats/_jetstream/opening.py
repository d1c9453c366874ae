"""Opens a connection to NATS that reconnects for ever.

It logs once per outage what happened, in one line, never shows a password, and keeps
errors in the user's callbacks away from nats-py, which would stop reconnecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import nats.errors
from nats.aio.client import Client

from ..errors import AuthorizationError, ConnectError, ConnectionClosedError, DeclarationError
from .client import WalnatsClient, overhear_errors
from .closing import discard, end
from .connection import Connection
from .options import CALLBACKS, ConnectOptions, Reconnector, checked
from .urls import check_urls, safe_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

logger = logging.getLogger('walnats.connection')

Server: TypeAlias = str | list[str] | Client

_CONNECT_TIMEOUT = 5.0
_LEAST_SHARE = 1.0
_CALLBACK_TIMEOUT = 30.0
_REFUSED = re.compile('authorization|authentication', re.IGNORECASE)
_NUMBER = re.compile(r'\d+')
_OUTAGE = (OSError, nats.errors.StaleConnectionError, asyncio.TimeoutError)
_MAX_REPORTED = 100


@contextlib.asynccontextmanager
async def connected(
    server: Server, *, close: bool, options: ConnectOptions
) -> AsyncIterator[Connection]:
    """Connect to a server, or use a client of nats-py that is connected already."""
    if not isinstance(server, Client):
        connection = await open_connection(server, options)
        try:
            yield connection
        finally:
            await connection.release(close=close)
        return
    refuse_options(options)
    if not (server.is_connected or server.is_reconnecting or server.is_connecting):
        raise ConnectionClosedError('connect: the client that was passed is not connected')
    connection = Connection(server)
    with overhear_errors(server, connection.notice_error):
        try:
            yield connection
        finally:
            await connection.release(close=close)


def refuse_options(options: ConnectOptions) -> None:
    """Raise DeclarationError if there are options, for a connection that is there already."""
    if options:
        raise DeclarationError(
            f'connect: {", ".join(options)} can not be set on a connection that is there already'
        )


async def open_connection(server: str | list[str], options: ConnectOptions) -> Connection:
    """Connect to the first server that answers.

    :raises ConnectError: a URL is malformed, or no server answered before the deadline.
    :raises AuthorizationError: the server refuses the credentials.
    """
    urls = check_urls(server)
    options = checked(options)
    deadline = options.pop('connect_timeout', _CONNECT_TIMEOUT)
    client = WalnatsClient()
    events = _ConnectionEvents(client, options, urls)
    merged: Any = {**options, **events.callbacks(), 'connect_timeout': _share(deadline, urls)}
    connecting = asyncio.create_task(client.connect(urls, **merged))
    try:
        await asyncio.wait(
            {connecting, events.refused}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED
        )
        if not connecting.done():
            raise events.connect_error(deadline)
        await connecting
    except (nats.errors.Error, OSError) as exc:
        await end(connecting)
        await discard(client)
        if isinstance(exc, ConnectError):
            raise
        raise events.connect_error(deadline, exc) from exc
    except BaseException:
        await end(connecting)
        await discard(client)
        raise
    events.connection = Connection(client)
    return events.connection


class _ConnectionEvents:
    """What nats-py calls back about a connection."""

    def __init__(self, client: WalnatsClient, options: ConnectOptions, urls: list[str]) -> None:
        self.connection: Connection | None = None
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = client
        self._options = options
        self._urls = urls
        self._refusals = 0
        self._last_error: Exception | None = None
        self._lost_at: float | None = None
        self._reported: set[str] = set()

    def callbacks(self) -> dict[str, Callable[..., Awaitable[None]]]:
        """Give them as options of `nats.connect`."""
        return {
            **{name: partial(self._call_user, name) for name in CALLBACKS},
            'error_cb': self._on_error,
            'disconnected_cb': self._on_disconnected,
            'reconnected_cb': self._on_reconnected,
            'closed_cb': self._on_closed,
        }

    def connect_error(self, deadline: float, error: BaseException | None = None) -> ConnectError:
        """Give the error that says why there is no connection."""
        where = ', '.join(map(safe_url, self._urls))
        why = _text(self._last_error or error)
        if self._refusals:
            return AuthorizationError(
                f'{where} refuses the credentials: {why}; check user and password, token or keys'
            )
        return ConnectError(
            f'no connection to {where} within {deadline:g} s: {why}; is nats-server running there?'
        )

    async def _on_error(self, error: Exception) -> None:
        is_refusal = _REFUSED.search(str(error)) is not None
        if self.connection is None:
            self._last_error = error
            self._count_refusal(is_refusal=is_refusal)
        elif self._lost_at is not None:
            if is_refusal:
                self._report(f'reconnecting is refused: {_text(error)}')
        elif self.connection.notice_error(error) or not isinstance(error, _OUTAGE):
            self._report(_text(error))
        await self._call_user('error_cb', error)

    async def _on_disconnected(self) -> None:
        if self.connection is not None and not self._client.is_closed:
            self._lost_at = time.monotonic()
            reason = _text(self._client.lost_because)
            logger.warning('connection to NATS is lost: %s; reconnecting', reason)
        await self._call_user('disconnected_cb')

    async def _on_reconnected(self) -> None:
        handler = self._options.get('reconnect_to_server_handler')
        if isinstance(handler, Reconnector):
            handler.reset()
        self._client.lost_because = None
        if self._lost_at is not None:
            url = self._client.connected_url
            logger.warning(
                'connection to NATS is back after %.1f s: %s',
                time.monotonic() - self._lost_at,
                '' if url is None else safe_url(url),
            )
            self._lost_at = None
        if self.connection is not None:
            self.connection.notice_reconnect()
        await self._call_user('reconnected_cb')

    async def _on_closed(self) -> None:
        if self.connection is not None and not self.connection.is_released:
            reason = _text(self._client.last_error or self._client.lost_because)
            logger.error('connection to NATS is closed for good: %s', reason)
        await self._call_user('closed_cb')

    def _count_refusal(self, *, is_refusal: bool) -> None:
        """Don't try for long if all servers refuse the credentials."""
        self._refusals += is_refusal
        if self._refusals >= len(self._urls) and not self.refused.done():
            self.refused.set_result(None)

    def _report(self, text: str) -> None:
        """Log an error once, not with every message that meets it."""
        kind = _NUMBER.sub('', text)
        if kind in self._reported:
            return
        if len(self._reported) >= _MAX_REPORTED:
            self._reported.clear()
        self._reported.add(kind)
        logger.error('NATS: %s', text)

    async def _call_user(self, name: str, *args: Any) -> None:
        callback: Any = self._options.get(name)
        if callback is None:
            return
        limit = asyncio.timeout(_CALLBACK_TIMEOUT)
        try:
            async with limit:
                await callback(*args)
        except Exception:
            if limit.expired():
                logger.exception('%s held the connection up too long: cancelled', name)
            else:
                logger.exception('%s raised an error', name)


def _share(deadline: float, urls: list[str]) -> float:
    """Give the time for one server: one that never speaks must not use up all of it."""
    return max(deadline / len(urls), min(deadline, _LEAST_SHARE))


def _text(error: BaseException | None) -> str:
    if error is None or isinstance(error, asyncio.TimeoutError):
        return 'no answer'
    return str(error).removeprefix('nats: ') or type(error).__name__
