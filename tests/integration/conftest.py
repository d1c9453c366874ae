"""What the integration tests share: servers of one's own, hosts that misbehave, watched logs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import shutil
import socket
import sysconfig
import uuid
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import nats
import pytest
import pytest_asyncio

from walnats import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client


class FakeHost:
    """Takes TCP connections, says one thing, and remembers what it was told."""

    def __init__(self, greeting: bytes) -> None:
        self.received = b''
        self.connected = asyncio.Event()
        self.closed = asyncio.Event()
        self.port = 0
        self._greeting = greeting

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected.set()
        try:
            writer.write(self._greeting)
            while data := await reader.read(4096):
                self.received += data
        except ConnectionError:
            pass
        finally:
            self.closed.set()
            writer.close()


class Api:
    """The JetStream API by hand, and a look at who calls it."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._calls: list[str] = []

    async def call(self, method: str, body: Any = None) -> Any:
        answer = await self._nc.request(f'$JS.API.{method}', json.dumps(body or {}).encode(), 5)
        return json.loads(answer.data)

    async def make_stream(self, name: str, **config: Any) -> Any:
        answer = await self.call(f'STREAM.CREATE.{name}', {'name': name, **config})
        assert 'error' not in answer, answer
        return answer['config']

    async def make_consumer(self, stream: str, name: str, **config: Any) -> Any:
        config = {'name': name, 'durable_name': name, 'ack_policy': 'explicit', **config}
        body = {'stream_name': stream, 'config': config, 'action': 'create'}
        answer = await self.call(f'CONSUMER.CREATE.{stream}.{name}', body)
        assert 'error' not in answer, answer
        return answer['config']

    async def read_stream(self, name: str) -> Any:
        return (await self.call(f'STREAM.INFO.{name}'))['config']

    async def read_consumer(self, stream: str, name: str) -> Any:
        return (await self.call(f'CONSUMER.INFO.{stream}.{name}'))['config']

    async def watch(self) -> None:
        """Note every call from now on: the server publishes an advisory of each."""
        await self._nc.subscribe('$JS.EVENT.ADVISORY.API', cb=self._note)
        await self._nc.flush()
        await self._nc.flush()

    async def calls(self) -> list[str]:
        """Give the methods that were called since, without the calls that only read."""
        end = f'STREAM.INFO.{uuid.uuid4().hex}'
        await self.call(end)
        while end not in self._calls:
            await asyncio.sleep(0.005)
        return [call for call in self._calls if '.INFO.' not in call]

    async def _note(self, message: Any) -> None:
        self._calls.append(json.loads(message.data)['subject'].removeprefix('$JS.API.'))


ApiOf: TypeAlias = Callable[[str], Awaitable[Api]]


@contextlib.asynccontextmanager
async def _fake_host(greeting: bytes) -> AsyncIterator[FakeHost]:
    host = FakeHost(greeting)
    listener = await asyncio.start_server(host.serve, '127.0.0.1', 0)
    host.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield host


@pytest_asyncio.fixture
async def silent_host() -> AsyncIterator[FakeHost]:
    """A host that accepts connections and never speaks."""
    async with _fake_host(b'') as host:
        yield host


@pytest_asyncio.fixture
async def plain_host() -> AsyncIterator[FakeHost]:
    """A host that greets like a nats-server that knows no TLS."""
    info = {'server_id': 'x', 'version': '2.15.1', 'headers': True, 'max_payload': 2**20}
    async with _fake_host(b'INFO ' + json.dumps(info).encode() + b' \r\n') as host:
        yield host


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
        return port


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EmbeddedServer]:
    """A server of the test's own, to be stopped, killed or frozen."""
    async with EmbeddedServer() as server:
        yield server


@pytest_asyncio.fixture
async def url_without_jetstream(closed_port: int) -> AsyncIterator[str]:
    """The URL of a server that has JetStream turned off."""
    scripts = sysconfig.get_path('scripts')
    binary = shutil.which('nats-server', path=scripts) or shutil.which('nats-server')
    assert binary is not None
    arguments = '--addr', '127.0.0.1', '--port', str(closed_port)
    process = await asyncio.create_subprocess_exec(binary, *arguments, stderr=DEVNULL)
    try:
        while not await _is_open(closed_port):
            await asyncio.sleep(0.005)
        yield f'nats://127.0.0.1:{closed_port}'
    finally:
        process.kill()
        await process.wait()


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection('127.0.0.1', port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@pytest_asyncio.fixture
async def api(nc: Client) -> Api:
    return Api(nc)


@pytest_asyncio.fixture
async def api_of() -> AsyncIterator[ApiOf]:
    """A function that gives the API of another server, by its URL."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(url: str) -> Api:
            return Api(await stack.enter_async_context(await nats.connect(url)))

        yield connect


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[logging.LogRecord]]:
    """Give a function that gives what the test has logged, at any level."""
    caplog.set_level(logging.DEBUG)

    def read() -> list[logging.LogRecord]:
        # What asyncio says about its selector is said before the test begins, or by the server.
        return [r for r in caplog.records if r.name != 'asyncio' or r.levelno > logging.DEBUG]

    return read


@pytest_asyncio.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fail the test if it leaves a task, or an open socket, behind."""
    before = asyncio.all_tasks()
    yield
    for _ in range(20):  # what was cancelled a moment ago needs its turn to end
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not left
    gc.collect()  # a transport that nobody closed warns when it is collected
