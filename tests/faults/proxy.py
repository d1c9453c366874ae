"""A TCP proxy between a client and a server, for all that can happen to a network."""

from __future__ import annotations

import asyncio
import enum
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_HOST = '127.0.0.1'


class Way(enum.Flag):
    """A direction."""

    UP = enum.auto()
    """From the client to the server."""
    DOWN = enum.auto()
    BOTH = UP | DOWN


class Proxy:
    """Passes on what comes, or doesn't.

        async with Proxy(server.url) as proxy:
            ... connect(proxy.url) ...
            proxy.cut()

    What it does to connections it does to those that are open. Only `delay`, `hold` and
    `is_closed` concern new ones too.
    """

    def __init__(self, url: str) -> None:
        self.url = ''
        self.delay = 0.0
        """Seconds that everything takes, each way."""
        self.is_closed = False
        """Whether new connections are cut at once."""
        self.connections = 0
        """How many have been made so far."""
        self._port = int(url.rpartition(':')[2])
        self._server: asyncio.Server | None = None
        self._pipes: set[_Pipe] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[tuple[re.Pattern[bytes], Way, asyncio.Event]] = []
        self._heard: list[tuple[Way, bytearray]] = []
        self._passing = {way: _set_event() for way in (Way.UP, Way.DOWN)}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        self.url = f'nats://{_HOST}:{self._server.sockets[0].getsockname()[1]}'
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop all connections, so that both sides are told."""
        for pipe in self._pipes:
            pipe.writer.transport.abort()

    def lose(self, ways: Way = Way.BOTH) -> None:
        """Lose all that is sent from now on, without a word to anyone: half-open connections."""
        for pipe in self._pipes:
            pipe.is_lossy = pipe.is_lossy or pipe.way in ways

    def hold(self, ways: Way = Way.BOTH) -> None:
        """Pass nothing on until `release`."""
        for way in ways:
            self._passing[way].clear()

    def release(self) -> None:
        """Pass on what was held, and all that comes."""
        for passing in self._passing.values():
            passing.set()

    def trap(self, pattern: bytes, way: Way) -> asyncio.Event:
        """Lose what matches the pattern, and all that is sent after it, once.

        The event that it gives is set when that happens.
        """
        sprung = asyncio.Event()
        self._traps.append((re.compile(pattern), way, sprung))
        return sprung

    def overhear(self, way: Way) -> bytearray:
        """Give what will have been sent that way from now on, over all connections."""
        heard = bytearray()
        self._heard.append((way, heard))
        return heard

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.is_closed:
                raise ConnectionRefusedError
            from_server, to_server = await asyncio.open_connection(_HOST, self._port)
        except ConnectionError:
            writer.transport.abort()
            return
        for pipe in (
            _Pipe(reader, to_server, Way.UP, self._passing[Way.UP]),
            _Pipe(from_server, writer, Way.DOWN, self._passing[Way.DOWN]),
        ):
            self._pipes.add(pipe)
            task = asyncio.create_task(self._run(pipe))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, pipe: _Pipe) -> None:
        try:
            await pipe.run(lambda: self.delay, self._look)
        finally:
            self._pipes.discard(pipe)

    def _look(self, data: bytes, way: Way) -> None:
        for heard_way, heard in self._heard:
            if way is heard_way:
                heard.extend(data)
        for trap in tuple(self._traps):
            pattern, trapped_way, sprung = trap
            if way is trapped_way and pattern.search(data):
                self._traps.remove(trap)
                self.lose()
                sprung.set()


class _Pipe:
    """One direction of a connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: Way,
        passing: asyncio.Event,
    ) -> None:
        self.writer = writer
        self.way = way
        self.is_lossy = False
        self._reader = reader
        self._passing = passing
        self._chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def run(self, delay: Callable[[], float], look: Callable[[bytes, Way], None]) -> None:
        writing = asyncio.create_task(self._write())
        loop = asyncio.get_running_loop()
        try:
            while data := await self._reader.read(65536):
                look(data, self.way)
                if not self.is_lossy:
                    self._chunks.put_nowait((loop.time() + delay(), data))
            await self._chunks.join()
        except ConnectionError:
            pass
        finally:
            writing.cancel()
            await asyncio.wait({writing})
            self.writer.close()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self._chunks.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._passing.wait()
            if not self.is_lossy and not self.writer.is_closing():
                self.writer.write(data)
            self._chunks.task_done()


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
