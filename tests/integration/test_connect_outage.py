"""Outages: the connection comes back by itself, and the log says so once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import nats
import pytest
from tests.servers import send_raw

import walnats
from walnats._jetstream import client
from walnats.errors import ConnectionClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client

    Log = Callable[[], list[logging.LogRecord]]

pytestmark = pytest.mark.usefixtures('no_leaks')

SECRET = 's3cret-pa55'
USERS = f'authorization {{ user: anna, password: "{SECRET}" }}'


def texts(log: Log) -> list[str]:
    return [record.getMessage() for record in log()]


def with_password(server: walnats.EmbeddedServer) -> str:
    return f'nats://anna:{SECRET}@' + server.url.removeprefix('nats://')


class Signals:
    """Callbacks of the user's that can be waited for."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.back = asyncio.Event()
        self.closed = asyncio.Event()

    def options(self) -> Any:
        return {
            'disconnected_cb': self._setter(self.lost),
            'reconnected_cb': self._setter(self.back),
            'closed_cb': self._setter(self.closed),
        }

    def _setter(self, event: asyncio.Event) -> Callable[[], Awaitable[None]]:
        async def set_event() -> None:
            event.set()

        return set_event


async def handle(message: str) -> None:
    pass


# --- Lost and back -----------------------------------------------------------


async def test_nothing_is_logged_while_all_goes_well(
    server_url: str, unique: str, logged: Log
) -> None:
    created = walnats.Event(unique, str)
    actors = walnats.Actors(walnats.Actor('a', created, handle), dead_letters=None)
    connecting = walnats.Events(created).connect(server_url)
    async with connecting as conn, actors.connect(conn) as worker:
        await worker.register()
        await conn.register()
        await conn.emit(created, 'hello')
        await conn.emit(created, 'hello', sync=True)
        await worker.listen(burst=True, poll_delay=0.1)
    assert not logged()


async def test_one_line_when_lost_and_one_when_back(logged: Log) -> None:
    created = walnats.Event('created', str)
    async with walnats.EmbeddedServer(config=USERS) as server:
        for _ in range(2):
            signals = Signals()
            url = with_password(server)
            async with walnats.Events(created).connect(url, **signals.options()) as conn:
                await conn.register()
                await server.kill()
                await signals.lost.wait()
                await conn.emit(created, 'sent later')
                await server.start()
                await signals.back.wait()
                await conn.emit(created, 'sent now', sync=True)
                lost, back = logged()[-2:]
            assert lost.name == back.name == 'walnats.connection'
            assert lost.levelno == back.levelno == logging.WARNING
            assert lost.getMessage().startswith('connection to NATS is lost: ')
            assert back.getMessage().startswith('connection to NATS is back after ')
            assert server.url in back.getMessage()
    assert len(logged()) == 4
    assert not any(record.exc_info for record in logged())
    assert SECRET not in ''.join(texts(logged))
    assert 'anna' not in ''.join(texts(logged))


async def test_long_outage_is_logged_once(server: walnats.EmbeddedServer, logged: Log) -> None:
    signals = Signals()
    attempts = 0

    async def count(error: Exception) -> None:
        nonlocal attempts
        attempts += 1

    options = {**signals.options(), 'error_cb': count}
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(server.url, **options):
        await server.kill()
        while attempts < 4:
            await asyncio.sleep(0.01)
        assert [text[:26] for text in texts(logged)] == ['connection to NATS is lost']
        await server.start()
        await signals.back.wait()
        assert len(logged()) == 2


async def test_the_reason_is_that_of_this_outage(
    server: walnats.EmbeddedServer, logged: Log
) -> None:
    signals = Signals()
    created = walnats.Event('created', str)
    options = {**signals.options(), 'ping_interval': 0.1}
    async with walnats.Events(created).connect(server.url, **options):
        os.kill(server.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
        await signals.lost.wait()
        os.kill(server.pid, signal.SIGCONT)
        await signals.back.wait()
        signals.lost.clear()
        await server.kill()
        await signals.lost.wait()
    lost = [text for text in texts(logged) if 'lost' in text]
    assert lost[0] == 'connection to NATS is lost: stale connection; reconnecting'
    assert 'stale' not in lost[1]


async def test_credentials_that_are_refused_after_an_outage(logged: Log) -> None:
    """Endless silence would be wrong: nobody would know why it doesn't come back."""
    passwords = iter([SECRET, 'wrong-one', 'wrong-one', 'wrong-one', SECRET])
    signals = Signals()
    created = walnats.Event('created', str)
    async with walnats.EmbeddedServer(config=USERS) as server:
        options = {**signals.options(), 'user': 'anna', 'password': lambda: next(passwords)}
        async with walnats.Events(created).connect(server.url, **options):
            await server.kill()
            await server.start()
            await signals.back.wait()
    lost, refused, back = logged()
    assert (lost.levelno, back.levelno) == (logging.WARNING, logging.WARNING)
    assert refused.levelno == logging.ERROR
    assert 'reconnecting is refused' in refused.getMessage()
    assert 'Authorization Violation' in refused.getMessage()


async def test_subscriptions_work_again(server: walnats.EmbeddedServer) -> None:
    created = walnats.Event('created', str)
    signals = Signals()
    async with walnats.Events(created).connect(server.url, **signals.options()) as conn:
        await conn.register()
        for _ in range(3):
            signals.back.clear()
            await server.kill()
            await server.start()
            await signals.back.wait()
            await conn.register()


async def test_passed_client_is_noticed_to_be_back(server: walnats.EmbeddedServer) -> None:
    nc = await nats.connect(server.url, error_cb=ignore, reconnect_time_wait=0.1)
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(nc) as conn:
        await conn.register()
        noticed = asyncio.Event()
        conn.connection.on_reconnect(noticed.set)
        await server.kill()
        await server.start()
        await noticed.wait()
        await conn.emit(created, 'hello', sync=True)


async def ignore(error: Exception) -> None:
    pass


# --- Closed for good ---------------------------------------------------------


async def test_closed_for_good_by_the_server(server_url: str, unique: str, logged: Log) -> None:
    signals = Signals()
    created = walnats.Event(unique, str)
    actors = walnats.Actors(walnats.Actor('a', created, handle))
    async with walnats.Events(created).connect(server_url, **signals.options()) as conn:
        await conn.register()
        await conn.connection.nc.publish('x' * 5000, b'')
        await signals.closed.wait()
        async with asyncio.timeout(1):
            await calls_fail(conn, created)
            with pytest.raises(ConnectionClosedError):
                async with actors.connect(conn):
                    pass
    assert texts(logged) == ['connection to NATS is closed for good: maximum control line exceeded']
    assert logged()[0].levelno == logging.ERROR


@pytest.mark.parametrize('is_passed', [False, True])
async def test_calls_under_way_end_when_the_connection_is_closed(
    server: walnats.EmbeddedServer, *, is_passed: bool
) -> None:
    created = walnats.Event('created', str)
    target = await nats.connect(server.url) if is_passed else server.url
    async with walnats.Events(created).connect(target) as conn:
        await conn.register()
        os.kill(server.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
        registering = asyncio.create_task(conn.register())
        await asyncio.sleep(0)
        closing = asyncio.create_task(conn.connection.nc.close())
        async with asyncio.timeout(2):
            with pytest.raises(ConnectionClosedError):
                await registering
        os.kill(server.pid, signal.SIGCONT)
        await closing


async def test_passed_client_that_is_closed_by_its_owner(nc: Client, unique: str) -> None:
    created = walnats.Event(unique, str)
    async with walnats.Events(created).connect(nc, close=False) as conn:
        await conn.register()
        await nc.close()
        await calls_fail(conn, created)


async def test_client_that_may_not_reconnect(server: walnats.EmbeddedServer, logged: Log) -> None:
    signals = Signals()
    created = walnats.Event('created', str)
    options = {**signals.options(), 'allow_reconnect': False}
    async with walnats.Events(created).connect(server.url, **options) as conn:
        await server.kill()
        await signals.closed.wait()
        await calls_fail(conn, created)
    assert len(logged()) == 1
    assert texts(logged)[0].startswith('connection to NATS is closed for good: ')


async def calls_fail(conn: Any, event: walnats.Event[str]) -> None:
    with pytest.raises(ConnectionClosedError):
        await conn.emit(event, 'hello')
    with pytest.raises(ConnectionClosedError):
        await conn.emit(event, 'hello', sync=True)
    with pytest.raises(ConnectionClosedError):
        await conn.register()


# --- The read loop -----------------------------------------------------------


async def freeze_and_cancel_flush(server: walnats.EmbeddedServer, nc: Client) -> None:
    """A flush that was cancelled ends the read loop of nats-py when its answer comes."""
    os.kill(server.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
    flushing = asyncio.create_task(nc.flush())
    for _ in range(3):
        await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.wait({flushing})
    os.kill(server.pid, signal.SIGCONT)


def headers_without_a_line(subject: bytes) -> bytes:
    return b'HPUB %s 8 8\r\nNATS/1.0\r\n' % subject


def subject_of_no_encoding(subject: bytes) -> bytes:
    return b'PUB %s.\xff 0\r\n\r\n' % subject


UNREADABLE = [headers_without_a_line, subject_of_no_encoding]


async def test_cancelled_flush_does_no_harm(server: walnats.EmbeddedServer, logged: Log) -> None:
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(server.url) as conn:
        await conn.register()
        await freeze_and_cancel_flush(server, conn.connection.nc)
        for _ in range(10):
            await conn.emit(created, 'hello', sync=True)
    assert not logged()


async def plainly(client: Client, subject: str, receive: Callable[[Any], None]) -> None:
    async def on_message(message: object) -> None:
        receive(message)

    await client.subscribe(subject, cb=on_message)


@pytest.mark.parametrize('subscribe', [plainly, client.subscribe])
@pytest.mark.parametrize('command', UNREADABLE)
async def test_unreadable_message_does_no_harm(
    server_url: str,
    *,
    subscribe: Callable[..., Awaitable[object]],
    command: Callable[[bytes], bytes],
    logged: Log,
) -> None:
    async with walnats.Events(walnats.Event('created', str)).connect(server_url) as conn:
        nc = conn.connection.nc
        inbox = nc.new_inbox()
        received = asyncio.Event()
        await subscribe(nc, f'{inbox}.>', lambda message: received.set())
        await conn.connection.flush()
        await send_raw(server_url, command(f'{inbox}.a'.encode()) * 3)
        received.clear()
        await nc.publish(f'{inbox}.b')
        await received.wait()
        assert nc.stats['reconnects'] == 0
    assert len(logged()) == 1
    assert logged()[0].name == 'walnats.connection'


async def test_receiver_that_raises_does_no_harm(server_url: str, logged: Log) -> None:
    async with walnats.Events(walnats.Event('created', str)).connect(server_url) as conn:
        nc = conn.connection.nc
        inbox = nc.new_inbox()
        taken = asyncio.Event()

        def receive(message: client.Message) -> None:
            if message.data == b'bad':
                raise ZeroDivisionError
            taken.set()

        await client.subscribe(nc, inbox, receive)
        await nc.publish(inbox, b'bad')
        await nc.publish(inbox, b'good')
        await taken.wait()
        assert nc.stats['reconnects'] == 0
    assert [record.name for record in logged()] == ['walnats.connection']
    assert logged()[0].exc_info is not None


async def test_stored_message_with_broken_headers_is_handled(
    server_url: str, unique: str, logged: Log
) -> None:
    handled: list[str] = []
    created = walnats.Event(unique, str)
    actor = walnats.Actor('a', created, handled.append)
    async with walnats.Actors(actor, dead_letters=None).connect(server_url) as worker:
        await worker.register()
        await send_raw(server_url, b'HPUB %s 8 15\r\nNATS/1.0"hello"\r\n' % unique.encode())
        await worker.listen(burst=True)
    assert handled == ['hello']
    assert texts(logged) == ['NATS: ignored the headers of a message: broken']


async def test_read_loop_of_our_own_client_that_dies(
    server: walnats.EmbeddedServer, logged: Log
) -> None:
    created = walnats.Event('created', str)
    signals = Signals()
    async with walnats.Events(created).connect(server.url, **signals.options()) as conn:
        await conn.register()
        await server.kill()
        await server.start()
        await signals.back.wait()
        signals.back.clear()
        reading: Any = conn.connection.nc._reading_task
        reading.cancel()
        async with asyncio.timeout(2):
            await signals.back.wait()
            await conn.emit(created, 'hello', sync=True)
    assert [text[:33] for text in texts(logged)[2:]] == [
        'the read loop of the NATS client ',
        'connection to NATS is lost: no an',
        'connection to NATS is back after ',
    ]


async def kill_by_a_cancelled_flush(server: walnats.EmbeddedServer, nc: Client) -> None:
    await freeze_and_cancel_flush(server, nc)


async def kill_by_an_unreadable_message(server: walnats.EmbeddedServer, nc: Client) -> None:
    await nc.subscribe('victim.>')
    await nc.flush()
    await nc.flush()
    await send_raw(server.url, subject_of_no_encoding(b'victim'))


@pytest.mark.parametrize('kill', [kill_by_a_cancelled_flush, kill_by_an_unreadable_message])
async def test_read_loop_of_a_passed_client_that_dies(
    server: walnats.EmbeddedServer, kill: Callable[..., Awaitable[None]], logged: Log
) -> None:
    signals = Signals()
    nc = await nats.connect(
        server.url,
        error_cb=ignore,
        reconnect_time_wait=0.1,
        **signals.options(),
    )
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(nc) as conn:
        await conn.register()
        await kill(server, nc)
        async with asyncio.timeout(2):
            await signals.back.wait()
            await conn.emit(created, 'hello', sync=True)
    assert [t for t in texts(logged) if 'read loop' in t] == [
        'the read loop of the NATS client died: reconnecting'
    ]


async def test_read_loop_that_dies_and_may_not_reconnect(server_url: str, logged: Log) -> None:
    signals = Signals()
    nc = await nats.connect(server_url, allow_reconnect=False, **signals.options())
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(nc) as conn:
        reading: Any = nc._reading_task
        reading.cancel()
        async with asyncio.timeout(2):
            await signals.closed.wait()
        await calls_fail(conn, created)
    assert texts(logged) == [
        'the read loop of the NATS client died: closing, as it may not reconnect'
    ]


# --- Leaving -----------------------------------------------------------------


async def test_unsent_messages_are_counted_on_exit(
    server: walnats.EmbeddedServer, logged: Log
) -> None:
    signals = Signals()
    created = walnats.Event('created', str)
    async with asyncio.timeout(3):
        async with walnats.Events(created).connect(server.url, **signals.options()) as conn:
            await conn.register()
            await conn.emit(created, 'kept')
            await conn.connection.flush()
            await server.kill()
            await signals.lost.wait()
            for _ in range(3):
                await conn.emit(created, 'lost')
    assert texts(logged)[-1] == 'connection closed during an outage: 3 messages were never sent'
    assert logged()[-1].levelno == logging.ERROR


async def test_exit_during_an_outage_with_nothing_unsent(
    server: walnats.EmbeddedServer, logged: Log
) -> None:
    signals = Signals()
    created = walnats.Event('created', str)
    async with asyncio.timeout(3):
        async with walnats.Events(created).connect(server.url, **signals.options()) as conn:
            await conn.register()
            await server.kill()
            await signals.lost.wait()
    assert len(logged()) == 1


async def test_passed_client_keeps_what_is_unsent(server: walnats.EmbeddedServer) -> None:
    signals = Signals()
    nc = await nats.connect(
        server.url,
        error_cb=ignore,
        reconnect_time_wait=0.1,
        **signals.options(),
    )
    created = walnats.Event('created', str, storage=KEPT)
    async with walnats.Events(created).connect(nc, close=False) as conn:
        await conn.register()
        await server.kill()
        await signals.lost.wait()
        await conn.emit(created, 'sent later')
    await server.start()
    await signals.back.wait()
    await nc.flush()
    await nc.flush()
    info = await nc.jetstream().stream_info('created')
    assert info.state.messages == 1
    await nc.close()


KEPT = walnats.Storage(retention=walnats.Retention.LIMITS)


async def test_all_that_was_emitted_arrives_before_the_exit(
    server_url: str, unique: str, nc: Client
) -> None:
    created = walnats.Event(unique, int, storage=KEPT)
    async with walnats.Events(created).connect(server_url) as conn:
        await conn.register()
        for number in range(1000):
            await conn.emit(created, number)
    jetstream = nc.jetstream()
    while (await jetstream.stream_info(unique)).state.messages < 1000:  # it stores them by and by
        await asyncio.sleep(0.01)


async def test_leaving_waits_until_the_server_has_got_all() -> None:
    received: list[bytes] = []
    asked, allowed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"headers": true, "max_payload": 1000}\r\n')
        while line := await reader.readline():
            received.append(line)
            if line == b'PING\r\n':
                if b'PUB subject  0\r\n' in received:
                    asked.set()
                    await allowed.wait()
                writer.write(b'PONG\r\n')
        writer.close()

    async def publish(url: str) -> None:
        async with walnats.Events(walnats.Event('created', str)).connect(url) as conn:
            await conn.connection.publish('subject', b'')

    async with await asyncio.start_server(serve, '127.0.0.1', 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        publishing = asyncio.create_task(publish(f'nats://127.0.0.1:{port}'))
        await asked.wait()
        assert not publishing.done()
        allowed.set()
        await publishing


async def test_what_is_refused_at_the_last_moment_is_still_logged(
    server_url: str, unique: str, logged: Log
) -> None:
    async with walnats.Events(walnats.Event(unique, str)).connect(server_url) as conn:
        await conn.emit(walnats.Event(unique, str), 'to no stream')
    assert [record.levelno for record in logged()] == [logging.ERROR]
    assert f"event '{unique}'" in texts(logged)[0]


@pytest.mark.parametrize('is_passed', [False, True])
async def test_flush_goes_behind_what_waits_to_be_sent(*, is_passed: bool) -> None:
    """nats-py sends its PING in front of that, and the answer says nothing about it."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"headers": true, "max_payload": 1000}\r\n')
        while line := await reader.readline():
            received.append(line)
            if line == b'PING\r\n':
                writer.write(b'PONG\r\n')
        writer.close()

    listener = await asyncio.start_server(serve, '127.0.0.1', 0)
    url = f'nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}'
    target = await nats.connect(url) if is_passed else url
    events = walnats.Events(walnats.Event('created', str))
    async with listener, events.connect(target) as conn:
        for number in range(3):
            received.clear()
            await conn.connection.publish(f'subject-{number}', b'')
            await conn.connection.flush()
            assert received == [b'PUB subject-%d  0\r\n' % number, b'\r\n', b'PING\r\n']


async def test_leaving_ends_an_attempt_to_reconnect_that_swallows_it(
    server: walnats.EmbeddedServer,
) -> None:
    """So may a callback of the user's, and nats-py where an attempt fails at this very moment."""
    failed, swallowed = asyncio.Event(), asyncio.Event()

    async def on_error(error: Exception) -> None:
        if isinstance(error, ConnectionRefusedError) and not failed.is_set():
            failed.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.set()

    registry = walnats.Events(walnats.Event('created', str))
    async with registry.connect(server.url, error_cb=on_error):
        await server.kill()
        await failed.wait()
    assert swallowed.is_set()


async def test_leaving_while_the_server_is_frozen(
    server: walnats.EmbeddedServer, logged: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More waits to be sent than fits into the buffers of the system."""
    monkeypatch.setattr('walnats._jetstream.connection._FLUSH_TIMEOUT', 0.5)
    created = walnats.Event('created', bytes)
    async with asyncio.timeout(15):
        async with walnats.Events(created).connect(server.url) as conn:
            await conn.register()
            os.kill(server.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
            flood = asyncio.create_task(emit_much(conn, created))
            socket: Any = conn.connection.nc._transport._io_writer.transport  # type: ignore[union-attr]
            while not socket.get_write_buffer_size():
                await asyncio.sleep(0.01)
            flood.cancel()
            await asyncio.wait({flood})
            assert flood.cancelled()
    os.kill(server.pid, signal.SIGCONT)
    assert 'NATS takes nothing any more' in texts(logged)[-1]


async def emit_much(conn: Any, event: walnats.Event[bytes]) -> None:
    for _ in range(100):
        await conn.emit(event, bytes(500_000))


async def test_cancelled_while_leaving(server: walnats.EmbeddedServer) -> None:
    created = walnats.Event('created', str)

    async def run(entered: asyncio.Event) -> None:
        async with walnats.Events(created).connect(server.url) as conn:
            await conn.register()
            os.kill(server.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
            entered.set()

    entered = asyncio.Event()
    running = asyncio.create_task(run(entered))
    await entered.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    os.kill(server.pid, signal.SIGCONT)
    await asyncio.wait({running})
    assert running.cancelled()
