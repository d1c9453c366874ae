"""The options of a connection: passed on, checked, and the user's callbacks beside ours."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest

import walnats
from walnats.errors import ConnectError, DeclarationError, DeclarationTypeError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from .conftest import FakeHost

pytestmark = pytest.mark.usefixtures('no_leaks')

CALLBACKS = [
    'error_cb',
    'disconnected_cb',
    'closed_cb',
    'discovered_server_cb',
    'reconnected_cb',
    'lame_duck_mode_cb',
]


def events() -> walnats.Events:
    return walnats.Events(walnats.Event('never-registered', str))


async def enter(server: str, **options: Any) -> None:
    async with events().connect(server, **options):
        pass


# --- Refused at once ---------------------------------------------------------


def plain(*args: object) -> None:
    """Not async."""


async def too_many(one: object, two: object) -> None:
    pass


@pytest.mark.parametrize('callback', [plain, too_many, 'text', 1])
@pytest.mark.parametrize('name', CALLBACKS)
async def test_callback_that_can_not_be(name: str, callback: Any, silent_host: FakeHost) -> None:
    with pytest.raises(DeclarationTypeError, match=f'connect: {name} must be an async function'):
        await enter(f'nats://127.0.0.1:{silent_host.port}', **{name: callback})
    assert not silent_host.connected.is_set()


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('connect_timeout', 0),
        ('connect_timeout', -1),
        ('connect_timeout', float('nan')),
        ('flush_timeout', 0),
        ('ping_interval', 0),
        ('reconnect_time_wait', -1),
        ('pending_size', -1),
        ('flusher_queue_size', 0),
        ('max_outstanding_pings', 0),
        ('inbox_prefix', ''),
        ('inbox_prefix', 'a b'),
        ('inbox_prefix', 'a.*'),
        ('inbox_prefix', 'a.>'),
        ('inbox_prefix', 'a..b'),
        ('inbox_prefix', 'a.'),
        ('inbox_prefix', b'\xff'),
    ],
)
async def test_value_that_can_not_be(option: str, value: Any, silent_host: FakeHost) -> None:
    with pytest.raises(DeclarationError, match=f'connect: {option} must be'):
        await enter(f'nats://127.0.0.1:{silent_host.port}', **{option: value})
    assert not silent_host.connected.is_set()


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('connect_timeout', '1'),
        ('connect_timeout', True),
        ('ping_interval', '1'),
        ('pending_size', 1.5),
        ('allow_reconnect', 'no'),
        ('dont_randomize', 1),
        ('tls_handshake_first', 1),
        ('inbox_prefix', 1),
    ],
)
async def test_value_of_a_wrong_type(option: str, value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=f'connect: {option} must be'):
        await enter('nats://localhost', **{option: value})


@pytest.mark.parametrize('name', ['servers', 'verbose', 'pedantic', 'drain_timeout', 'passwort'])
async def test_unknown_option(name: str) -> None:
    with pytest.raises(DeclarationTypeError, match=f"no option '{name}'"):
        await enter('nats://localhost', **{name: 1})


# --- Passed on ---------------------------------------------------------------


async def test_options_are_passed_on(server_url: str) -> None:
    options: Any = {'name': 'my-service', 'inbox_prefix': 'my.inbox', 'pending_size': 7}
    async with events().connect(server_url, **options) as conn:
        nc = conn.connection.nc
        assert nc.options['name'] == 'my-service'
        assert nc.new_inbox().startswith('my.inbox.')


async def test_none_is_as_not_given(server_url: str) -> None:
    options: Any = dict.fromkeys(CALLBACKS)
    await enter(server_url, user=None, connect_timeout=None, ping_interval=None, **options)


async def test_reconnects_for_ever_by_default(server_url: str) -> None:
    async with events().connect(server_url) as conn:
        assert conn.connection.nc.options['max_reconnect_attempts'] == -1
    async with events().connect(server_url, max_reconnect_attempts=3) as conn:
        assert conn.connection.nc.options['max_reconnect_attempts'] == 3


async def test_missing_file_of_credentials_is_named(server_url: str) -> None:
    with pytest.raises(ConnectError, match=r'nowhere\.seed'):
        await enter(server_url, nkeys_seed='/nowhere.seed')


async def test_credentials_callback_that_fails() -> None:
    def password() -> str:
        raise KeyError('NATS_PASSWORD')

    config = 'authorization { user: anna, password: secret }'
    async with walnats.EmbeddedServer(config=config) as server:
        with pytest.raises(ConnectError, match="KeyError: 'NATS_PASSWORD'"):
            await enter(server.url, user='anna', password=password, connect_timeout=0.3)


# --- The user's callbacks ----------------------------------------------------


class Callbacks:
    """Async callables of the user's, which remember that they were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.reconnected = asyncio.Event()

    def options(self) -> Any:
        given = {name: functools.partial(self._call, name) for name in CALLBACKS[1:]}
        return {**given, 'error_cb': self._on_error}

    async def _on_error(self, error: Exception) -> None:
        await self._call('error_cb')

    async def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == 'reconnected_cb':
            self.reconnected.set()


class RaisingCallbacks(Callbacks):
    async def _call(self, name: str) -> None:
        await super()._call(name)
        raise ZeroDivisionError(name)


async def test_callbacks_are_called_beside_ours(
    server: walnats.EmbeddedServer, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    mine = Callbacks()
    async with events().connect(server.url, **mine.options()):
        await server.kill()
        await server.start()
        await mine.reconnected.wait()
    order = [name for name in mine.calls if name != 'error_cb']
    assert order == ['disconnected_cb', 'reconnected_cb', 'disconnected_cb', 'closed_cb']
    assert 'error_cb' in mine.calls
    assert len(logged()) == 2


async def test_callbacks_that_raise_hurt_nobody(
    server: walnats.EmbeddedServer, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    mine = RaisingCallbacks()
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(server.url, **mine.options()) as conn:
        await conn.register()
        for _ in range(2):
            await server.kill()
            await server.start()
            await mine.reconnected.wait()
            mine.reconnected.clear()
            await conn.emit(created, 'hello', sync=True)
    raised = {r.getMessage() for r in logged() if r.exc_info is not None}
    assert raised == {
        f'{name} raised an error'
        for name in ('error_cb', 'disconnected_cb', 'reconnected_cb', 'closed_cb')
    }


async def test_callback_that_never_ends_is_cancelled(
    server: walnats.EmbeddedServer,
    logged: Callable[[], list[logging.LogRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would reconnect, and leaving would take for ever."""
    monkeypatch.setattr('walnats._jetstream.opening._CALLBACK_TIMEOUT', 0.05)
    monkeypatch.setattr('walnats._jetstream.connection._FLUSH_TIMEOUT', 0.05)
    created = walnats.Event('created', str)

    async def on_error(_: Exception) -> None:
        await asyncio.Event().wait()

    async with walnats.Events(created).connect(server.url, error_cb=on_error) as conn:
        await conn.register()
        await server.kill()
        await server.start()
        await conn.emit(created, 'hello', sync=True)
        await server.kill()
    held_up = [r for r in logged() if r.exc_info is not None]
    assert {r.getMessage() for r in held_up} == {
        'error_cb held the connection up too long: cancelled'
    }


async def test_slow_callback_on_closing_is_waited_for(
    server_url: str, logged: Callable[[], list[logging.LogRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('walnats._jetstream.closing._CLOSE_TIMEOUT', 0.01)
    ended = []

    async def on_closed() -> None:
        await asyncio.sleep(0.1)
        ended.append('closed')

    await enter(server_url, closed_cb=on_closed)
    assert ended == ['closed']
    assert not logged()


@pytest.mark.parametrize('name', ['lame_duck_mode_cb', 'discovered_server_cb'])
async def test_callback_on_news_from_the_server_that_raises(
    name: str, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    mine = RaisingCallbacks()
    news = {
        'lame_duck_mode_cb': b'{"ldm": true}',
        'discovered_server_cb': b'{"connect_urls": ["127.0.0.1:1"]}',
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"headers": true, "max_payload": 1000}\r\n')
        while line := await reader.readline():
            if line == b'PING\r\n':
                writer.write(b'PONG\r\nINFO ' + news[name] + b'\r\n')
        writer.close()

    listener = await asyncio.start_server(serve, '127.0.0.1', 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, events().connect(f'nats://127.0.0.1:{port}', **mine.options()) as conn:
        await conn.connection.flush()
        await conn.connection.flush()
        assert name in mine.calls
        assert conn.connection.nc.is_connected
    assert f'{name} raised an error' in [r.getMessage() for r in logged()]
    assert not [r for r in logged() if r.name.startswith('nats')]


async def test_handler_of_reconnects_that_raises(
    server: walnats.EmbeddedServer, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    calls = 0

    def choose(servers: list[Any], info: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls > 100:  # as often as that only if nobody else can run, so no time-out either
            return servers[0], 0.01
        raise ZeroDivisionError

    back = asyncio.Event()

    async def on_reconnected() -> None:
        back.set()

    options: Any = {'reconnect_to_server_handler': choose, 'reconnected_cb': on_reconnected}
    async with events().connect(server.url, **options):
        await server.kill()
        await server.start()
        await back.wait()
    assert calls <= 100, 'it was called again and again, without a pause'
    assert 'reconnect_to_server_handler raised an error' in [r.getMessage() for r in logged()]


async def test_handler_of_reconnects_is_asked(server: walnats.EmbeddedServer) -> None:
    asked = []
    back = asyncio.Event()

    def choose(servers: list[Any], info: dict[str, Any]) -> Any:
        asked.append(info['version'])
        return servers[0], 0.01

    async def on_reconnected() -> None:
        back.set()

    options: Any = {'reconnect_to_server_handler': choose, 'reconnected_cb': on_reconnected}
    async with events().connect(server.url, **options):
        await server.kill()
        await server.start()
        await back.wait()
    assert asked


async def test_credentials_callback_that_fails_during_an_outage() -> None:
    """Without the answer there is no connection, but the next attempt may have it."""
    answers = iter(['secret', None, 'secret'])
    back = asyncio.Event()

    def password() -> str:
        answer = next(answers)
        if answer is None:
            raise LookupError('the vault is sealed')
        return answer

    async def on_reconnected() -> None:
        back.set()

    config = 'authorization { user: anna, password: secret }'
    async with walnats.EmbeddedServer(config=config) as server:
        options: Any = {'user': 'anna', 'password': password, 'reconnected_cb': on_reconnected}
        async with events().connect(server.url, **options):
            await server.kill()
            await server.start()
            await back.wait()
