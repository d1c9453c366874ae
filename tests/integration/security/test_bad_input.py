"""Bad input, row by row: it is refused at the earliest moment, by an error that names it.

What else is refused is in the tests of each part; here is what anybody will try first.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import walnats
from walnats.errors import (
    AuthorizationError,
    ConnectError,
    ConnectionClosedError,
    DeclarationError,
    EncodeError,
    HeaderError,
    InvalidNameError,
    JetStreamDisabledError,
    MaxPayloadError,
    NotConfirmedError,
    NotRegisteredError,
    WalnatsError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from nats.aio.client import Client
    from tests.integration.security.conftest import Certificates

    from walnats.types import BaseEvent, ConnectedEvents

pytestmark = pytest.mark.usefixtures('no_leaks')

SECRET = 's3cret-pa55'
DEADLINE = 0.5


# --- Names -------------------------------------------------------------------

NAMES = {
    'empty': ('', 'must not be empty'),
    'space': ('a b', 'must have no white space'),
    'tab': ('a\tb', 'must have no white space'),
    'CRLF': ('a\r\nb', 'must have no white space'),
    'NUL': ('a\0b', 'must be printable ASCII'),
    'é': ('é', 'must be printable ASCII'),
    'a.*': ('a.*', 'it is a NATS wildcard'),
    'a.>': ('a.>', 'it is a NATS wildcard'),
    'a..b': ('a..b', 'must have no empty part'),
    '.a': ('.a', 'must have no empty part'),
    '$JS.x': ('$JS.x', "must not start with '$'"),
    '_INBOX.x': ('_INBOX.x', "must not start with '_INBOX'"),
    '5,000 characters': ('a' * 5000, 'must be at most 255 characters long'),
}


@pytest.mark.parametrize('row', NAMES)
def test_names(row: str) -> None:
    name, rule = NAMES[row]
    counted = walnats.Event('counted', int)
    declarations: dict[str, Callable[[], object]] = {
        'event': lambda: walnats.Event(name, int),
        'actor': lambda: walnats.Actor(name, counted, print),
    }
    for kind, declare in declarations.items():
        with pytest.raises(InvalidNameError, match=re.escape(rule)) as caught:
            declare()
        assert str(caught.value).startswith(f'{kind} name {name!r}'[:60])
        assert len(str(caught.value)) < 300


# --- What is emitted ---------------------------------------------------------


class Ground(NamedTuple):
    """A connection, an event whose messages stay, and a look at the stream."""

    conn: ConnectedEvents
    event: walnats.Event[str]
    nc: Client

    async def check_untouched(self, *, stored: int = 0) -> None:
        """Check that nothing was stored, and that the connection has never been lost."""
        await self.conn.emit(self.event, 'still there', sync=True)
        info = await self.nc.jetstream().stream_info(self.event.stream_name)
        assert info.state.messages == stored + 1
        assert self.conn.connection.nc.stats['reconnects'] == 0


@pytest.fixture
async def ground(server_url: str, nc: Client, unique: str) -> AsyncIterator[Ground]:
    storage = walnats.Storage(retention=walnats.Retention.LIMITS)
    event = walnats.Event(unique, str, storage=storage)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        yield Ground(conn, event, nc)


BAD_STRINGS = {
    'CR': 'a\rb',
    'LF': 'a\nb',
    'NUL': 'a\0b',
    'U+0085': 'a\x85b',
    'U+2028': 'a\u2028b',
    'lone surrogate': 'a\ud800b',
}
HEADERS = {
    **{f'value: {kind}': ('X-Key', text) for kind, text in BAD_STRINGS.items()},
    'value: int': ('X-Key', 1),
    'value: None': ('X-Key', None),
    'value: list': ('X-Key', ['a']),
    'value: 2 MB': ('X-Key', 'a' * 2_000_000),
    'value: 65 kB': ('X-Key', 'a' * 65_536),
    **{f'key: {kind}': (text, 'a') for kind, text in BAD_STRINGS.items()},
    'key: int': (1, 'a'),
    'key: None': (None, 'a'),
    'key: list': (('a',), 'a'),
    'key: Status': ('Status', 'a'),
    'key: Nats-Rollup': ('Nats-Rollup', 'all'),
    'key: 2 MB': ('X' * 2_000_000, 'a'),
}


@pytest.mark.parametrize('row', HEADERS)
async def test_headers(ground: Ground, row: str) -> None:
    key, value = HEADERS[row]
    meta: Any = {key: value}
    named = 'X' * 50 if row == 'key: 2 MB' else repr(key)
    for sync in False, True:
        with pytest.raises(HeaderError, match=re.escape(named)) as caught:
            await ground.conn.emit(ground.event, 'hello', meta=meta, sync=sync)
        assert len(str(caught.value)) < 500
    with pytest.raises(WalnatsError):
        await ground.conn.emit_many(ground.event, ['hello'], meta=meta)
    await ground.check_untouched()


@pytest.mark.parametrize('sync', [False, True])
@pytest.mark.parametrize('over', ['by itself', 'with its headers'])
async def test_payload_over_the_limit(ground: Ground, *, sync: bool, over: str) -> None:
    limit = ground.conn.connection.nc.max_payload
    text = 'a' * (limit if over == 'by itself' else limit - 10)  # and two quotes
    meta = None if over == 'by itself' else {'X-Key': 'a'}
    with pytest.raises(MaxPayloadError, match=f"'{ground.event.name}'"):
        await ground.conn.emit(ground.event, text, meta=meta, sync=sync)
    await ground.check_untouched()


@pytest.mark.parametrize('sync', [False, True])
async def test_a_server_that_takes_less_than_it_did(tmp_path: Path, *, sync: bool) -> None:
    """It tells nobody, and closes the connection of who didn't know: that isn't the end of it."""
    limits, back = tmp_path / 'limits.conf', asyncio.Event()
    limits.write_text('max_payload: 8000')
    event = walnats.Event('sized', bytes)

    async def note() -> None:
        back.set()

    include = f'include "{"../" * 20}{limits}"'  # it is read from where the configuration is
    async with (
        walnats.EmbeddedServer(config=include) as server,
        walnats.Events(event).connect(server.url, reconnected_cb=note) as conn,
    ):
        await conn.register()
        await conn.emit(event, bytes(4000), sync=True)
        limits.write_text('max_payload: 2000')
        os.kill(server.pid, signal.SIGHUP)
        async with asyncio.timeout(20):
            # With its headers it's too big, without them it isn't.
            with pytest.raises((MaxPayloadError, NotConfirmedError)):
                await emit_for_ever(conn, event, bytes(1990), sync=sync)
            await back.wait()
        with pytest.raises(MaxPayloadError):
            await conn.emit(event, bytes(2000), meta={'X-Key': 'a'}, sync=sync)
        await conn.emit(event, bytes(1000), sync=True)


async def emit_for_ever(
    conn: ConnectedEvents, event: walnats.Event[bytes], message: bytes, *, sync: bool
) -> None:
    while True:
        await conn.emit(event, message, meta={'X-Key': 'a'}, sync=sync)
        await asyncio.sleep(0.01)


@dataclass
class Other:
    """What is no message of the event."""


@pytest.mark.parametrize('message', [1, None, b'a', Other(), ['a']], ids=lambda m: type(m).__name__)
async def test_payload_of_a_wrong_type(ground: Ground, message: Any) -> None:
    kind = type(message).__name__
    with pytest.raises(EncodeError, match=f"'{ground.event.name}'.*{kind}"):
        await ground.conn.emit(ground.event, message)
    await ground.check_untouched()


async def test_event_that_is_not_registered(ground: Ground) -> None:
    other: BaseEvent[str, Any] = walnats.Event('some-other-event', str)
    with pytest.raises(NotRegisteredError, match="'some-other-event'"):
        await ground.conn.emit(other, 'hello')
    await ground.check_untouched()


@pytest.mark.parametrize('sync', [False, True])
async def test_emit_after_close(server_url: str, unique: str, *, sync: bool) -> None:
    event = walnats.Event(unique, str)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
    with pytest.raises(ConnectionClosedError, match=f"'{event.name}'"):
        await conn.emit(event, 'hello', sync=sync)


async def test_inbox_prefix_that_is_too_long(server_url: str) -> None:
    """The server would close the connection for it."""
    event = walnats.Event('created', str)
    with pytest.raises(DeclarationError, match=r'inbox_prefix must be .* at most 255'):
        async with walnats.Events(event).connect(server_url, inbox_prefix='a' * 256):
            pass
    async with walnats.Events(event).connect(server_url, inbox_prefix='a' * 255) as conn:
        await conn.connection.inbox.open('x')
        await conn.connection.flush()
        assert conn.connection.nc.is_connected


# --- Connecting --------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """What there may be to connect to."""

    strict: str
    plain: str
    secure: str
    without_jetstream: str


@pytest.fixture
async def place(
    server_url: str, url_without_jetstream: str, certificates: Certificates
) -> AsyncIterator[Place]:
    users = f'authorization {{ user: anna, password: "{SECRET}" }}'
    async with (
        walnats.EmbeddedServer(config=users) as strict,
        walnats.EmbeddedServer(config=certificates.config) as secure,
    ):
        yield Place(strict.url, server_url, secure.url, url_without_jetstream)


def secret(url: str, scheme: str = 'nats') -> str:
    return f'{scheme}://anna:{SECRET}@{url.partition("://")[2]}'


CONNECTIONS: dict[str, tuple[Callable[[Place], str], type[Exception], str]] = {
    'URL malformed': (lambda p: f'nats://anna:{SECRET}@host:port', ConnectError, 'malformed'),
    'wrong port': (
        lambda p: secret('nats://127.0.0.1:1'),
        ConnectError,
        'is nats-server running there',
    ),
    'wrong password': (
        lambda p: secret(p.strict).replace(SECRET, f'{SECRET}-2'),
        AuthorizationError,
        'check user and password',
    ),
    'TLS to a server in clear': (
        lambda p: secret(p.plain, 'tls'),
        ConnectError,
        'secure connection not available',
    ),
    'server with TLS of a stranger': (
        lambda p: secret(p.secure),
        ConnectError,
        'CERTIFICATE_VERIFY_FAILED',
    ),
    'server without JetStream': (
        lambda p: secret(p.without_jetstream),
        JetStreamDisabledError,
        'JetStream is turned off',
    ),
}


@pytest.mark.parametrize('row', CONNECTIONS)
async def test_connections(place: Place, row: str, caplog: pytest.LogCaptureFixture) -> None:
    make_url, kind, text = CONNECTIONS[row]
    event = walnats.Event('created', str)
    options: Any = {'tls': ssl.create_default_context()} if 'TLS' in row else {}
    options['connect_timeout'] = DEADLINE
    started = time.monotonic()
    with pytest.raises(kind, match=text) as caught:
        async with walnats.Events(event).connect(make_url(place), **options) as conn:
            await conn.register()
    assert time.monotonic() - started < DEADLINE + 0.5
    assert isinstance(caught.value, WalnatsError)
    assert SECRET not in str(caught.value) + repr(caught.value) + caplog.text
