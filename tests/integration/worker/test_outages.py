"""The server goes away, falls silent, or comes back with nothing to say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import nats
import pytest

from walnats.errors import ConnectionClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import Api
    from tests.integration.worker.conftest import Item, Stage

    import walnats


REQUEST = re.compile(rb'PUB \$JS\.API\.CONSUMER\.MSG\.NEXT[^\r]*\r\n[^\r]*\r\n')


class Proxy:
    """A TCP proxy that can lose requests for messages without a word to either side."""

    def __init__(self, port: int) -> None:
        self.loses_requests = True
        self.lost = asyncio.Event()
        self.url = ''
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Proxy]:
        listener = await asyncio.start_server(self._serve, '127.0.0.1', 0)
        self.url = f'nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}'
        try:
            yield self
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection('127.0.0.1', self._port)
        self._tasks.add(asyncio.create_task(self._pass_on(reader, server_writer)))
        self._tasks.add(asyncio.create_task(self._pass_on(server_reader, writer)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.loses_requests and REQUEST.search(data):
                    data = REQUEST.sub(b'', data)
                    self.lost.set()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def proxy(stage: Stage) -> AsyncIterator[Proxy]:
    async with Proxy(int(stage.url.rpartition(':')[2])).run() as one:
        yield one


async def test_a_request_that_is_lost_silently_is_made_again(stage: Stage, proxy: Proxy) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen), server=proxy.url) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen())
        await asyncio.wait_for(proxy.lost.wait(), 5)
        proxy.loses_requests = False
        await seen.wait(1, seconds=8)
        await conn.shutdown(timeout=1)
        await task


async def limit_expires(api: Api, stage: Stage, seconds: int) -> None:
    """Have the server refuse requests that last longer; 0 for no limit."""
    stream = stage.event.stream_name
    config = {**await api.read_consumer(stream, 'actor'), 'max_expires': seconds * 10**9}
    body = {'stream_name': stream, 'config': config, 'action': 'update'}
    answer = await api.call(f'CONSUMER.CREATE.{stream}.actor', body)
    assert 'error' not in answer, answer


async def test_requests_that_are_refused_are_not_made_on_and_on(
    stage: Stage, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    async def is_refused() -> bool:
        return 'MaxRequestExpires' in caplog.text

    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        await limit_expires(api, stage, 1)
        await stage.publish(1)
        task = asyncio.create_task(conn.listen())
        await stage.until(is_refused)
        sent = conn.connection.nc.stats['out_msgs']
        await asyncio.sleep(0.5)
        assert conn.connection.nc.stats['out_msgs'] - sent < 5, 'it does not pause'
        await limit_expires(api, stage, 0)
        await seen.wait(1)
        await conn.shutdown(timeout=1)
        await task


@pytest.mark.skipif(not hasattr(signal, 'SIGSTOP'), reason='no such signal')
async def test_a_server_that_hangs_for_a_while(server: walnats.EmbeddedServer, own: Stage) -> None:
    seen = own.seen()
    async with own.listening(own.actor(seen, ack_wait=1)):
        await own.publish(1)
        await seen.wait(1)
        os.kill(server.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
        await asyncio.sleep(1)
        os.kill(server.pid, signal.SIGCONT)
        await own.publish(2)
        await seen.wait(2, seconds=3)


async def test_it_goes_on_after_a_restart(server: walnats.EmbeddedServer, own: Stage) -> None:
    seen = own.seen()
    async with own.listening(own.actor(seen, ack_wait=1)):
        await own.publish(range(10))
        await seen.wait(10)
        await server.kill()
        await server.start()
        start = time.monotonic()
        await own.publish(range(10, 20))
        await seen.wait(20, seconds=4)
        assert time.monotonic() - start < 3
        await own.wait_settled()


async def test_it_goes_on_after_a_restart_with_a_connection_of_the_users(
    server: walnats.EmbeddedServer, own: Stage
) -> None:
    seen = own.seen()
    client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        async with own.listening(own.actor(seen, ack_wait=1), server=client):
            await own.publish(range(10))
            await seen.wait(10)
            await server.kill()
            await server.start()
            await own.publish(range(10, 20))
            await seen.wait(20, seconds=4)
    finally:
        await client.close()


async def test_what_is_claimed_after_a_reconnect_stays_within_the_limit(
    server: walnats.EmbeddedServer, own: Stage
) -> None:
    end = asyncio.Event()
    seen = own.seen(lambda _: end.wait())
    async with own.listening(own.actor(seen, ack_wait=30, max_jobs=4)) as conn:
        for _ in range(3):
            await conn.connection.nc.force_reconnect()
            await asyncio.sleep(0.3)
        await own.publish(range(30))
        await seen.wait(4)
        await asyncio.sleep(0.3)
        assert ((await own.info()).num_ack_pending or 0) <= 5
        end.set()


async def test_jobs_go_on_while_the_server_is_away(
    server: walnats.EmbeddedServer, own: Stage
) -> None:
    end = asyncio.Event()
    seen = own.seen(lambda _: end.wait())
    async with own.listening(own.actor(seen, ack_wait=30)):
        await own.publish(range(5))
        await seen.wait(5)
        await server.stop()
        end.set()
        await server.start()
        await own.wait_settled(seconds=4)
    assert len(seen.numbers) == 5


async def test_a_connection_that_is_closed_ends_listen(stage: Stage) -> None:
    async def handler(_: Item) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)

    seen = stage.seen(handler)
    client = await nats.connect(stage.url)
    async with stage.connect(stage.actor(seen), server=client) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen())
        await seen.wait(1)
        await client.close()
        with pytest.raises(ConnectionClosedError, match='closed while the worker listened'):
            await asyncio.wait_for(task, 3)
        assert seen.running == 0


async def test_a_connection_that_gives_up_reconnecting_ends_listen(
    server: walnats.EmbeddedServer, own: Stage
) -> None:
    client = await nats.connect(server.url, allow_reconnect=False)
    async with own.connect(own.actor(own.seen()), server=client) as conn:
        task = asyncio.create_task(conn.listen())
        await asyncio.sleep(0.1)
        await server.kill()
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(task, 3)


async def test_cancelling_while_the_server_is_away_takes_a_bounded_time(
    server: walnats.EmbeddedServer, own: Stage
) -> None:
    seen = own.seen(lambda _: asyncio.Event().wait())
    async with own.connect(own.actor(seen)) as conn:
        await own.publish(1)
        task = asyncio.create_task(conn.listen())
        await seen.wait(1)
        await server.kill()
        await asyncio.sleep(0.2)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 5.5


async def test_cancelling_while_the_server_hangs_takes_a_bounded_time(
    server: walnats.EmbeddedServer, own: Stage
) -> None:
    seen = own.seen(lambda _: asyncio.Event().wait())
    async with own.connect(own.actor(seen)) as conn:
        await own.publish(1)
        task = asyncio.create_task(conn.listen())
        await seen.wait(1)
        os.kill(server.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
        start = time.monotonic()
        task.cancel()
        try:
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - start < 6
        finally:
            os.kill(server.pid, signal.SIGCONT)
