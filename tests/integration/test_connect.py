"""Connecting: what is accepted, what is refused, and how soon."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client as NATS  # noqa: N814 -- its name at the top of nats-py

import walnats
from walnats.errors import (
    AuthorizationError,
    ConnectError,
    ConnectionClosedError,
    DeclarationError,
    DeclarationTypeError,
    JetStreamDisabledError,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from nats.aio.client import Client

    from .conftest import FakeHost

pytestmark = pytest.mark.usefixtures('no_leaks')

SECRET = 's3cret-pa55'
USERS = 'authorization { user: anna, password: "s3cret-pa55" }'


def event(name: str) -> walnats.Event[str]:
    return walnats.Event(name, str)


def events() -> walnats.Events:
    return walnats.Events(event('never-registered'))


async def handle(message: str) -> None:
    pass


def all_text(error: BaseException | None) -> str:
    """Everything that could be shown of an error, its causes included."""
    text = ''
    while error is not None:
        text += f'{error} {error!r} {vars(error)}\n'
        error = error.__cause__ or error.__context__
    return text


class Stopwatch:
    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


# --- What is accepted --------------------------------------------------------


async def test_one_url(server_url: str, unique: str) -> None:
    created = event(unique)
    async with walnats.Events(created).connect(server_url) as conn:
        await conn.register()
        await conn.emit(created, 'hello', sync=True)


async def test_url_without_scheme_and_with_capitals(server_url: str) -> None:
    address = server_url.removeprefix('nats://')
    async with events().connect(address):
        pass
    async with events().connect(f'NATS://{address}'):
        pass


@pytest.mark.parametrize('dead_first', [True, False])
async def test_list_with_a_dead_server(
    server_url: str, closed_port: int, *, dead_first: bool
) -> None:
    urls = [f'nats://127.0.0.1:{closed_port}', server_url]
    ordered = urls if dead_first else urls[::-1]
    async with events().connect(ordered, dont_randomize=True) as conn:
        assert conn.connection.nc.is_connected


async def test_list_with_a_host_that_never_speaks(server_url: str, silent_host: FakeHost) -> None:
    urls = [f'nats://127.0.0.1:{silent_host.port}', server_url]
    async with events().connect(urls, dont_randomize=True, connect_timeout=2) as conn:
        assert conn.connection.nc.is_connected
    assert silent_host.connected.is_set()


async def test_password_in_the_url_and_as_options() -> None:
    async with walnats.EmbeddedServer(config=USERS) as server:
        address = server.url.removeprefix('nats://')
        async with events().connect(f'nats://anna:{SECRET}@{address}'):
            pass
        async with events().connect(server.url, user='anna', password=SECRET):
            pass
        async with events().connect(server.url, user=lambda: 'anna', password=lambda: SECRET):
            pass


ENVIRONMENTS = [
    ({}, 'nats://localhost:4222'),
    ({'NATS_URL': 'nats://two:2'}, 'nats://two:2'),
    ({'NATS_SERVER': 'nats://one:1'}, 'nats://one:1'),
    ({'NATS_SERVER': 'nats://one:1', 'NATS_URL': 'nats://two:2'}, 'nats://one:1'),
    ({'NATS_SERVER': '', 'NATS_URL': 'nats://two:2'}, 'nats://two:2'),
]
CONNECT_BY_DEFAULT = """
import asyncio, walnats
async def main():
    async with walnats.Events(walnats.Event('a', str)).connect(connect_timeout=0.3):
        print('connected')
asyncio.run(main())
"""


@pytest.mark.parametrize(('variables', 'expected'), ENVIRONMENTS)
def test_default_server(variables: dict[str, str], expected: str) -> None:
    code = (
        'import inspect, walnats\n'
        'for registry in walnats.Events, walnats.Actors:\n'
        "    print(inspect.signature(registry.connect).parameters['server'].default)"
    )
    assert run_python(code, variables).split() == [expected, expected]


def test_connects_to_the_default_server(server_url: str) -> None:
    assert 'connected' in run_python(CONNECT_BY_DEFAULT, {'NATS_SERVER': server_url})


def run_python(code: str, variables: dict[str, str]) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in {'NATS_SERVER', 'NATS_URL'}}
    command = [sys.executable, '-c', code]
    return subprocess.check_output(command, env={**clean, **variables}, text=True)


# --- A connection that is there already --------------------------------------


async def test_passed_client_is_closed_with_the_context(server_url: str, unique: str) -> None:
    created = event(unique)
    client = await nats.connect(server_url)
    async with walnats.Events(created).connect(client) as conn:
        await conn.register()
        await conn.emit(created, 'hello', sync=True)
    assert client.is_closed


async def test_passed_client_is_left_as_it_was(nc: Client, unique: str) -> None:
    created = event(unique)
    subscriptions = dict(nc._subs)
    async with walnats.Events(created).connect(nc, close=False) as conn:
        await conn.register()
        await conn.emit(created, 'hello', sync=True)
        assert dict(nc._subs) != subscriptions
    assert nc.is_connected
    assert dict(nc._subs) == subscriptions
    await nc.flush()


async def test_own_connection_may_stay_open(server_url: str) -> None:
    async with events().connect(server_url, close=False) as conn:
        client = conn.connection.nc
    assert client.is_connected
    await client.close()


async def test_shared_connection_is_not_closed(server_url: str, unique: str) -> None:
    created = event(unique)
    actors = walnats.Actors(walnats.Actor('a', created, handle))
    async with walnats.Events(created).connect(server_url) as publisher:
        async with actors.connect(publisher) as worker:
            assert worker.connection is publisher.connection
            await worker.register()
            async with walnats.Events(created).connect(worker) as again:
                assert again.connection is publisher.connection
                await again.emit(created, 'hello', sync=True)
        assert publisher.connection.nc.is_connected
        await publisher.emit(created, 'hello', sync=True)


async def test_closed_client_is_refused(server_url: str) -> None:
    client = await nats.connect(server_url)
    await client.close()
    with pytest.raises(ConnectionClosedError, match='not connected'):
        await enter(client)


async def test_client_that_was_never_connected_is_refused() -> None:
    with pytest.raises(ConnectionClosedError, match='not connected'):
        await enter(NATS())


async def test_connection_of_a_context_that_is_over_is_refused(server_url: str) -> None:
    async with events().connect(server_url) as conn:
        pass
    with pytest.raises(ConnectionClosedError, match='over'):
        await enter(conn)


async def test_client_of_a_context_that_is_over_is_not_used(nc: Client, unique: str) -> None:
    created = event(unique)
    async with walnats.Events(created).connect(nc, close=False) as conn:
        await conn.register()
        await conn.emit(created, 'in time')
    subscriptions = dict(nc._subs)
    for sync in (True, False):
        with pytest.raises(ConnectionClosedError, match='over'):
            await conn.emit(created, 'too late', sync=sync)
    with pytest.raises(ConnectionClosedError, match='over'):
        await conn.register()
    assert dict(nc._subs) == subscriptions


async def test_options_do_not_go_with_a_passed_connection(nc: Client, server_url: str) -> None:
    with pytest.raises(DeclarationError, match='name, user'):
        await enter(nc, name='x', user='y')
    async with events().connect(server_url) as conn:
        with pytest.raises(DeclarationError, match='name, user'):
            await enter(conn, name='x', user='y')


async def test_error_in_the_block_comes_out_and_closes(server_url: str) -> None:
    client = await nats.connect(server_url)
    with pytest.raises(ZeroDivisionError):
        async with events().connect(client):
            raise ZeroDivisionError
    assert client.is_closed


# --- What is refused at once -------------------------------------------------

MALFORMED = [
    '',
    ' ',
    'nats://',
    'nats://:4222',
    'nats:// host:4222',
    ' nats://host:4222',
    'nats://ho\nst:4222',
    'nats://host:4222\r\nPUB x 0',
    'nats://host\x00:4222',
    'nats://host:0',
    'nats://host:-1',
    'nats://host:99999',
    'nats://host:port',
    'nats://host:4222x',
    'nats://host:4222/path',
    'nats://host:4222?a=b',
    'nats://host:4222#a',
    'nats://[::1',
    'nats://[nope]:4222',
    'http://host:4222',
    '://host',
    'nats:/host:4222',
    'nats//host:4222',
    'nats://a:4222,nats://b:4222',
    'a:4222,b:4222',
    'a,b',
    'ws://host:8080,ws://other:8080',
]
WITH_SECRET = [
    f'nats://anna:{SECRET}@',
    f'nats://anna:{SECRET}@:4222',
    f'nats://anna:{SECRET}',
    f'nats://anna:{SECRET}@host:port',
    f'nats://anna:{SECRET}@host:99999',
    f'nats://anna:{SECRET}/x@host:4222',
    f'nats://anna:{SECRET}?x@host:4222',
    f'nats://anna:{SECRET}#x@host:4222',
    f'nats://anna:{SECRET}[x@host:4222',
    f'nats://anna:{SECRET}]x@host:4222',
    f'nats://anna:[{SECRET}]@host:4222',
    f'nats://anna:{SECRET}\u2100@host:4222',
    f'nats://anna:{SECRET} @host:4222',
    f'nats://anna:{SECRET}@ho st:4222',
    f'http://anna:{SECRET}@host:4222',
    f'{SECRET}://host',
    f'{SECRET}@',
    f'nats://host:{SECRET}',
    f'nats://a:4222,nats://anna:{SECRET}@b:4222',
]


@pytest.mark.parametrize('url', MALFORMED)
async def test_malformed_url(url: str) -> None:
    with pytest.raises(ConnectError, match='malformed'):
        await enter(url)
    with pytest.raises(ConnectError, match='malformed'):
        await enter(['nats://localhost:4222', url])


@pytest.mark.parametrize('url', WITH_SECRET)
async def test_malformed_url_shows_no_secret(
    url: str, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    with pytest.raises(ConnectError, match='malformed') as caught:
        await enter(url)
    assert SECRET not in all_text(caught.value)
    assert not logged()


async def test_no_url() -> None:
    with pytest.raises(ConnectError, match='no server URL'):
        await enter([])


@pytest.mark.parametrize('server', [None, 4222, b'nats://localhost', {'a': 1}, object()])
async def test_server_of_a_wrong_type(server: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='server must be'):
        await enter(server)


@pytest.mark.parametrize('url', [None, 4222, b'nats://localhost', ['nats://localhost']])
async def test_url_of_a_wrong_type_in_a_list(url: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='server must be'):
        await enter([url])


async def test_mixed_protocols() -> None:
    with pytest.raises(ConnectError, match='ws'):
        await enter(['nats://localhost:4222', 'ws://localhost:8080'])


# --- What the server refuses, or nobody answers ------------------------------


async def test_wrong_port(closed_port: int) -> None:
    watch = Stopwatch()
    with pytest.raises(ConnectError, match=r'within 0\.5 s.*is nats-server running') as caught:
        await enter(f'nats://anna:{SECRET}@127.0.0.1:{closed_port}', connect_timeout=0.5)
    assert watch.seconds < 1.5
    assert f'127.0.0.1:{closed_port}' in str(caught.value)
    assert SECRET not in all_text(caught.value)


async def test_unknown_host() -> None:
    with pytest.raises(ConnectError, match=r'no-such-host\.invalid'):
        await enter('nats://no-such-host.invalid:4222', connect_timeout=0.5)


async def test_host_that_never_speaks(silent_host: FakeHost) -> None:
    watch = Stopwatch()
    with pytest.raises(ConnectError, match=r'within 0\.5 s: no answer') as caught:
        await enter(f'nats://anna:{SECRET}@127.0.0.1:{silent_host.port}', connect_timeout=0.5)
    assert watch.seconds < 1.5
    assert silent_host.received == b''
    assert SECRET not in all_text(caught.value)
    await silent_host.closed.wait()


@pytest.mark.parametrize(
    'credentials',
    [
        {'user': 'anna', 'password': 'wrong-one'},
        {'user': 'bert', 'password': SECRET},
        {'token': 'wrong-one'},
        {},
    ],
)
async def test_wrong_credentials(
    credentials: Any, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    async with walnats.EmbeddedServer(config=USERS) as server:
        watch = Stopwatch()
        with pytest.raises(AuthorizationError, match='check user and password') as caught:
            await enter(server.url, **credentials)
        assert watch.seconds < 1
        assert isinstance(caught.value, nats.errors.AuthorizationError)
    assert SECRET not in all_text(caught.value)
    assert 'wrong-one' not in all_text(caught.value)
    assert not logged()


async def test_wrong_password_in_the_url() -> None:
    async with walnats.EmbeddedServer(config=USERS) as server:
        address = server.url.removeprefix('nats://')
        with pytest.raises(AuthorizationError) as caught:
            await enter(f'nats://anna:wrong-one@{address}')
    assert 'wrong-one' not in all_text(caught.value)
    assert address in str(caught.value)


async def test_one_server_of_a_list_refuses_the_credentials(server_url: str) -> None:
    async with (
        walnats.EmbeddedServer(config=USERS) as strict,
        events().connect([strict.url, server_url], dont_randomize=True) as conn,
    ):
        assert conn.connection.nc.is_connected


async def test_all_servers_of_a_list_refuse_the_credentials() -> None:
    async with (
        walnats.EmbeddedServer(config=USERS) as one,
        walnats.EmbeddedServer(config=USERS) as two,
    ):
        watch = Stopwatch()
        with pytest.raises(AuthorizationError):
            await enter([one.url, two.url])
        assert watch.seconds < 1


async def test_server_without_jetstream(url_without_jetstream: str) -> None:
    await jetstream_is_missed(url_without_jetstream)


async def test_account_without_jetstream() -> None:
    async with walnats.EmbeddedServer(config=NO_JETSTREAM) as server:
        await jetstream_is_missed(server.url.replace('//', '//plain:plain@'))


async def jetstream_is_missed(url: str) -> None:
    created = event('created')
    actors = walnats.Actors(walnats.Actor('a', created, handle))
    async with walnats.Events(created).connect(url) as conn, actors.connect(conn) as worker:
        watch = Stopwatch()
        for registering in conn, worker:
            with pytest.raises(JetStreamDisabledError, match='JetStream') as caught:
                await registering.register()
            assert isinstance(caught.value, nats.js.errors.ServiceUnavailableError)
        assert watch.seconds < 1
        assert conn.connection.nc.is_connected


NO_JETSTREAM = """
accounts {
    PLAIN { users: [{user: plain, password: plain}] }
    STREAMS { jetstream: enabled, users: [{user: streams, password: streams}] }
}
"""


# --- Cancelled ---------------------------------------------------------------


async def test_cancelled_while_the_host_is_silent(silent_host: FakeHost) -> None:
    connecting = asyncio.create_task(enter(f'nats://127.0.0.1:{silent_host.port}'))
    await silent_host.connected.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await silent_host.closed.wait()


async def test_cancelled_between_attempts(closed_port: int) -> None:
    tried = asyncio.Event()

    async def on_error(error: Exception) -> None:
        tried.set()

    url = f'nats://127.0.0.1:{closed_port}'
    connecting = asyncio.create_task(enter(url, error_cb=on_error))
    await tried.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting


async def test_timeout_around_connect(silent_host: FakeHost) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await enter(f'nats://127.0.0.1:{silent_host.port}')
    await silent_host.closed.wait()


@pytest.mark.parametrize('password', [SECRET, 'wrong-one'])
async def test_cancelled_at_every_step(password: str) -> None:
    """Wherever cancelling hits, no task and no socket is left: see the fixture `no_leaks`."""
    steps = 0
    async with walnats.EmbeddedServer(config=USERS) as server:
        while await is_cancelled_after(steps, server.url, password):
            steps += 1
    assert steps > 10


async def is_cancelled_after(steps: int, url: str, password: str) -> bool:
    connecting = asyncio.create_task(enter(url, user='anna', password=password))
    for _ in range(steps):
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait({connecting})
    if not connecting.cancelled():
        connecting.exception()
    return connecting.cancelled()


async def enter(server: Any, **options: Any) -> None:
    async with events().connect(server, **options):
        pass
