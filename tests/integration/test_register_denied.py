"""What the NATS user has no permission for: said at once, with the server's reason."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import nats
import pytest
import pytest_asyncio

import walnats
from walnats import Actor, Actors, Event, Events, Limits
from walnats.errors import PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.usefixtures('no_leaks')

STREAM_METHODS = ['STREAM.INFO', 'STREAM.CREATE', 'STREAM.UPDATE']
CONSUMER_METHODS = ['CONSUMER.INFO', 'CONSUMER.CREATE']
USERS = [
    '{ user: all, password: p }',
    '{ user: deaf, password: p, permissions: { subscribe: { deny: "_INBOX.>" } } }',
    '{ user: no-emit, password: p, permissions: { publish: { deny: [Orders, "a\\"b", x] } } }',
    *(
        f'{{ user: no-{method}, password: p,'
        f' permissions: {{ publish: {{ deny: "$JS.API.{method}.>" }} }} }}'
        for method in STREAM_METHODS + CONSUMER_METHODS
    ),
]
CONFIG = f'accounts {{ A {{ jetstream: enabled, users: [ {", ".join(USERS)} ] }} }}'


@pytest_asyncio.fixture
async def server() -> AsyncIterator[walnats.EmbeddedServer]:
    async with walnats.EmbeddedServer(config=CONFIG) as server:
        yield server


def as_user(server: walnats.EmbeddedServer, user: str) -> str:
    return server.url.replace('//', f'//{user}:p@')


async def handle(message: str) -> None:
    pass


async def register(url: str, event: Event[str]) -> None:
    async with Events(event).connect(url) as conn:
        await conn.register()


class Fast:
    """Fails if its block takes long: nobody waited for a time-out."""

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *args: object) -> None:
        assert time.monotonic() - self._start < 0.5


@pytest.mark.parametrize('method', STREAM_METHODS)
async def test_streams(server: walnats.EmbeddedServer, method: str) -> None:
    event = Event('created', str)
    if method == 'STREAM.UPDATE':
        await register(as_user(server, 'all'), Event('created', str, limits=Limits(age=60)))
    async with Events(event).connect(as_user(server, f'no-{method}')) as conn:
        for _ in range(2):
            with Fast(), pytest.raises(PermissionDeniedError) as caught:
                await conn.register()
            text = str(caught.value)
            assert f"'$JS.API.{method}.created'" in text
            assert 'permissions violation for publish' in text
            assert isinstance(caught.value, PermissionError)
        # The connection lives on.
        await register(as_user(server, 'all'), event)
        await conn.emit(event, 'hello', sync=True)


@pytest.mark.parametrize('method', CONSUMER_METHODS)
async def test_consumers(server: walnats.EmbeddedServer, method: str) -> None:
    actors = Actors(Actor('a', Event('created', str), handle), dead_letters=None)
    async with actors.connect(as_user(server, f'no-{method}')) as conn:
        with Fast(), pytest.raises(PermissionDeniedError, match=f'API.{method}.created.a'):
            await conn.register()
        assert conn.connection.nc.is_connected


@pytest.mark.parametrize('name', ['Orders', 'a"b'])
async def test_emitting(server: walnats.EmbeddedServer, name: str) -> None:
    """nats-py gives the denied subject in lower case, the server quotes it."""
    event, other = Event(name, str), Event('other', str)
    async with Events(event, other).connect(as_user(server, 'no-emit')) as conn:
        await conn.register()
        with Fast(), pytest.raises(PermissionDeniedError) as caught:
            await conn.emit(event, 'hello', sync=True)
        assert f"'{name}'" in str(caught.value)
        await conn.emit(other, 'hello', sync=True)


async def test_answers(server: walnats.EmbeddedServer) -> None:
    """The inbox is denied. It is so again for every later call, not only for the first."""
    event = Event('created', str)
    async with Events(event).connect(as_user(server, 'deaf')) as conn:
        for _ in range(3):
            with Fast(), pytest.raises(PermissionDeniedError) as caught:
                await conn.register()
            assert 'permissions violation for subscription' in str(caught.value)
            assert conn.connection.inbox._prefix in str(caught.value)
        with Fast(), pytest.raises(PermissionDeniedError):
            await conn.emit(event, 'hello', sync=True)
        assert conn.connection.nc.is_connected


async def test_answers_to_another_prefix(server: walnats.EmbeddedServer) -> None:
    event = Event('created', str)
    url = as_user(server, 'deaf')
    async with Events(event).connect(url, inbox_prefix='answers.to.me') as conn:
        await conn.register()
        await conn.emit(event, 'hello', sync=True)


async def test_passed_client(server: walnats.EmbeddedServer) -> None:
    heard: list[str] = []

    async def hear(error: Exception) -> None:
        heard.append(str(error))

    nc = await nats.connect(as_user(server, 'no-emit'), error_cb=hear)
    events = [Event(name, str) for name in ('Orders', 'x')]
    async with Events(*events).connect(nc, close=False) as conn:
        await conn.register()
        with Fast():
            emitting = [conn.emit(event, 'hello', sync=True) for event in events]
            refused = await asyncio.gather(*emitting, return_exceptions=True)
        assert [type(error) for error in refused] == [PermissionDeniedError] * 2
    assert len(heard) == 2
    await nc.publish('x')  # its own callback is alone again
    await nc.flush()
    await nc.flush()
    assert len(heard) == 3
    assert nc._error_cb is hear
    await nc.close()


async def test_two_contexts_on_one_passed_client(server: walnats.EmbeddedServer) -> None:
    """Each hears of what is denied, and they may end in any order."""
    heard: list[str] = []

    async def hear(error: Exception) -> None:
        heard.append(str(error))

    nc = await nats.connect(as_user(server, 'no-emit'), error_cb=hear)
    event = Event('Orders', str)
    one = Events(event).connect(nc, close=False)
    two = Events(event).connect(nc, close=False)
    first = await one.__aenter__()
    second = await two.__aenter__()
    await first.register()
    for conn in first, second:
        with Fast(), pytest.raises(PermissionDeniedError):
            await conn.emit(event, 'hello', sync=True)
    await one.__aexit__(None, None, None)
    with Fast(), pytest.raises(PermissionDeniedError):
        await second.emit(event, 'hello', sync=True)
    await two.__aexit__(None, None, None)
    assert len(heard) == 3
    await nc.close()


async def test_each_denial_is_logged_once(
    server: walnats.EmbeddedServer, logged: Callable[[], list[logging.LogRecord]]
) -> None:
    event, other = Event('Orders', str), Event('x', str)
    async with Events(event, other).connect(as_user(server, 'no-emit')) as conn:
        await conn.register()
        for _ in range(10):
            await conn.emit(event, 'hello')
            await conn.emit(other, 'hello')
        await conn.connection.flush()
    denials = [r for r in logged() if r.name == 'walnats.connection']
    assert [r.levelno for r in denials] == [logging.ERROR] * 2
    assert not any(r.exc_info for r in logged())
