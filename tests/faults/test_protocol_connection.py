"""What a connection must not do while the server is away: leak, or be deaf to a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from typing import TYPE_CHECKING, Any

import nats
import pytest
from aiohttp import test_utils, web
from nats.aio.client import Client

import walnats
from walnats.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10.0


class Host:
    """Speaks like a nats-server, and gives all connections but the first one another answer."""

    def __init__(self, answer: bytes) -> None:
        self.attempts = 0
        self.open = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        self.open += 1
        try:
            writer.write(b'INFO {"headers": true, "max_payload": 1000}\r\n')
            while not (await reader.readline()).startswith(b'PING'):
                pass
            if self.attempts == 1:
                writer.write(b'PONG\r\n')
                return  # and so the connection is lost
            writer.write(self._answer)
            await reader.read()  # until the client closes it
        finally:
            self.open -= 1
            writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize('answer', [b"-ERR 'not now'\r\n", b'PONG\r\n'], ids=['refused', 'silent'])
async def test_attempts_that_fail_leave_nothing_open(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-py leaves each of them open and makes another one: also after it was let in."""
    monkeypatch.setattr(Client.flush, '__defaults__', (0.05,))
    monkeypatch.setattr('walnats._jetstream.connection._FLUSH_TIMEOUT', 0.05)
    host, tasks = Host(answer), asyncio.all_tasks()
    listener = await asyncio.start_server(host.serve, '127.0.0.1', 0)
    async with listener:
        url = f'nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}'
        registry = walnats.Events(walnats.Event('created', str))
        async with registry.connect(url, reconnect_time_wait=0.01):
            await until(lambda: host.attempts > 4)
            assert host.open <= 2
        await until(lambda: host.open == 0)
    await until(lambda: asyncio.all_tasks() == tasks)


class WebSocketHost:
    """Speaks like a nats-server over WebSockets, and refuses all connections but the first ones."""

    def __init__(self, accepted: int) -> None:
        self.attempts = 0
        self.open = 0
        self._accepted = accepted

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        self.attempts += 1
        self.open += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_bytes(b'INFO {"headers": true, "max_payload": 1000}\r\n')
        while not (await socket.receive_bytes()).startswith(b'PING'):
            pass
        if self.attempts <= self._accepted:
            await socket.send_bytes(b'PONG\r\n')  # and then the connection is lost
        else:
            await socket.send_bytes(b"-ERR 'not now'\r\n")
            await socket.receive()  # until the client closes it
        self.open -= 1
        return socket


# nats-py calls aiohttp so.
@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")
@pytest.mark.parametrize('accepted', [0, 1])
async def test_attempts_over_a_websocket_leave_nothing_open(accepted: int) -> None:
    host, app = WebSocketHost(accepted), web.Application()
    app.router.add_get('/', host.serve)
    async with test_utils.TestServer(app) as server:
        url = f'ws://127.0.0.1:{server.port}'
        options: Any = {'reconnect_time_wait': 0.01, 'connect_timeout': 1}
        registry = walnats.Events(walnats.Event('created', str))
        with pytest.raises(ConnectError) if accepted == 0 else contextlib.nullcontext():
            async with registry.connect(url, **options):
                await until(lambda: host.attempts > 4)
                assert host.open <= 2
        await until(lambda: host.open == 0)
    gc.collect()  # what nobody has closed warns


async def test_what_is_unsent_does_not_keep_it_from_reconnecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """nats-py waits until it is sent, to a server that takes nothing any more."""
    monkeypatch.setattr('walnats._jetstream.connection._FLUSH_TIMEOUT', 0.05)
    attempts, over = 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.write(b'INFO {"headers": true, "max_payload": 1000000}\r\n')
        while not (await reader.readline()).startswith(b'PING'):
            pass
        transport: Any = writer.transport
        transport.pause_reading()
        writer.write(b'PONG\r\n')
        await over.wait()
        transport.abort()

    event = walnats.Event('created', bytes)
    async with await asyncio.start_server(serve, '127.0.0.1', 0) as listener:
        url = f'nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}'
        async with walnats.Events(event).connect(url, ping_interval=0.1) as conn:
            for _ in range(16):
                await conn.connection.publish('created', bytes(500_000))
                await asyncio.sleep(0)
            await until(lambda: attempts > 1)
            over.set()


@pytest.mark.parametrize('is_passed', [False, True], ids=['ours', 'passed'])
async def test_a_cancellation_is_not_swallowed(
    server: walnats.EmbeddedServer, *, is_passed: bool
) -> None:
    """nats-py takes one for the end of a wait, and goes on, while it has no room."""
    event, emitted = walnats.Event('created', bytes), 0
    target: Any = await nats.connect(server.url) if is_passed else server.url
    async with walnats.Events(event).connect(target) as conn:
        await conn.register()

        async def emit_for_ever() -> None:
            nonlocal emitted
            while True:
                await conn.emit(event, bytes(500_000))
                emitted += 1

        os.kill(server.pid, signal.SIGSTOP)
        try:
            emitting = asyncio.create_task(emit_for_ever())
            before = -1
            while emitted != before:  # until it waits for room
                before = emitted
                for _ in range(100):
                    await asyncio.sleep(0)
            emitting.cancel()
            await asyncio.wait({emitting}, timeout=PATIENCE / 2)
            assert emitting.cancelled()
        finally:
            os.kill(server.pid, signal.SIGCONT)
