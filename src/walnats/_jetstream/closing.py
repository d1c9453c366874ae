"""Ends a client of nats-py, whatever it is doing, and leaves nothing behind.

A connection of TCP is aborted if need be; a WebSocket is closed in its own time.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from nats.aio.transport import WebSocketTransport

if TYPE_CHECKING:
    from nats.aio.client import Client

logger = logging.getLogger('walnats.connection')

_CLOSE_TIMEOUT = 1.0
_CANCEL_INTERVAL = 0.1


async def close(client: Client) -> None:
    """Close the client in a bounded time, and log it if messages were never sent."""
    await _stop_reconnecting(client)
    if not client.is_connected:
        # It would raise while it tries to send them, and leave its tasks behind.
        unsent, client._pending = client._pending, []  # noqa: SLF001 -- nothing public does it
        client._pending_data_size = 0  # noqa: SLF001 -- nothing public does it
        count = sum(command.startswith((b'PUB ', b'HPUB ')) for command in unsent)
        if count:
            logger.error('connection closed during an outage: %d messages were never sent', count)
    closing = asyncio.create_task(client.close())
    await asyncio.wait({closing}, timeout=_CLOSE_TIMEOUT)
    if not closing.done():
        if _has_unsent(client):
            logger.error('NATS takes nothing any more: what was sent last may be lost')
        abort(client)
    await closing


async def discard(client: Client) -> None:
    """Close a client, wherever its attempt to connect came to an end."""
    await _stop_reconnecting(client)
    if client._flush_queue is not None:  # noqa: SLF001 -- without one it had not even begun
        await client.close()
    await drop(client)  # what was opened since it was closed the last time


async def end(task: asyncio.Task[None]) -> None:
    """Cancel it until it's over, however: what it waits for may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_INTERVAL)
    if not task.cancelled():
        task.exception()  # nats-py raises one now and then, and nobody would have asked for it


async def drop(client: Client) -> None:
    """Drop what an attempt to connect has opened, a WebSocket included."""
    abort(client)
    transport: Any = client._transport  # noqa: SLF001 -- nothing public does it
    is_websocket = isinstance(transport, WebSocketTransport)
    if is_websocket:
        transport.close()
        await transport.wait_closed()


def abort(client: Client) -> None:
    """Drop the connection without waiting until all is sent."""
    socket = _socket(client)
    if socket is not None:
        socket.abort()


def abort_soon(client: Client) -> None:
    """Drop the connection that there is now, in a second if it isn't closed by then."""
    socket = _socket(client)
    if socket is not None:
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, socket.abort)


async def _stop_reconnecting(client: Client) -> None:
    """End an attempt that would go on when the client is closed."""
    reconnecting = client._reconnection_task  # noqa: SLF001 -- nothing public ends it for sure
    if reconnecting is not None:
        await end(reconnecting)


def _has_unsent(client: Client) -> bool:
    socket = _socket(client)
    return socket is not None and socket.get_write_buffer_size() > 0


def _socket(client: Client) -> asyncio.WriteTransport | None:
    """Give the transport below TLS: in older Pythons, one of TLS that was closed can't be aborted.

    None before there is one, and for a WebSocket.
    """
    writer: Any = getattr(client._transport, '_bare_io_writer', None)  # noqa: SLF001 -- nothing public does it
    transport: asyncio.WriteTransport | None = None if writer is None else writer.transport
    return transport
