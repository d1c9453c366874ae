"""Secrets are shown nowhere: in no log, error, warning, repr or command line."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import nats
import nkeys  # type: ignore[import-untyped]
import pytest
from nats.aio.client import RawCredentials
from tests.integration.security.conftest import Nkey, Operator, creds_text

import walnats
from walnats import serializers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

pytestmark = pytest.mark.usefixtures('no_leaks')

CREATED = walnats.Event('created', str)
ACTORS = walnats.Actors(walnats.Actor('greet', CREATED, print))
# Unlike anything else, and made to confuse those who take a URL apart.
SECRET = 'Xy7-s3cret:pa55@w0rd'
SHORT = ('Xy7-s3cret', 'pa55', 'w0rd')
"""Parts of it: none of them may be shown either."""


class Ears:
    """Hears all that is said, and by whom."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog = caplog
        self._capfd = capfd
        self._heard: list[str] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[Ears]:
        """Have every logger say all that it can, and keep the errors."""
        self._caplog.set_level(0)
        for name in ('asyncio', 'nats', 'walnats'):
            self._caplog.set_level(0, name)
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter('always')
            try:
                yield self
            except Exception as exc:  # noqa: BLE001 -- what it says is the point
                self.note(exc)
        self._heard += [str(warning.message) for warning in given]

    def note(self, thing: object) -> None:
        """Keep what may be shown of a thing, or of an error with all that led to it."""
        self._heard += [repr(thing), str(thing)]
        if isinstance(thing, BaseException):
            self._heard += traceback.format_exception(thing)

    async def hear(self, error: Exception) -> None:
        """Be the user's own callback."""
        self.note(error)

    def check(self, *secrets: str) -> None:
        """Check that none of them was said. There must have been something to hear."""
        formatter = logging.Formatter('%(name)s %(message)s')
        logged = [formatter.format(record) for record in self._caplog.records]
        logged += [repr(record.__dict__) for record in self._caplog.records]
        captured = self._capfd.readouterr()
        text = '\n'.join([*self._heard, *logged, captured.out, captured.err])
        assert text.strip()
        for secret in secrets:
            for form in (secret, quote(secret, safe=''), quote(secret), repr(secret)[1:-1]):
                assert form not in text


@pytest.fixture
def ears(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Ears:
    return Ears(caplog, capfd)


# --- What there is to hide ---------------------------------------------------

USER = Nkey(nkeys.PREFIX_BYTE_USER)
OTHER = Nkey(nkeys.PREFIX_BYTE_USER)
JWT, JWT_SEED = Operator().user()
# How a secret gets to `connect`: what is put before the host, and the options.
CREDENTIALS: dict[str, tuple[str, dict[str, Any]]] = {
    'password in the URL': (f'anna:{SECRET}@', {}),
    'token in the URL': (f'{SECRET}@', {}),
    'user and password': ('', {'user': 'anna', 'password': SECRET}),
    'functions': ('', {'user': lambda: 'anna', 'password': lambda: SECRET}),
    'token': ('', {'token': SECRET}),
    'seed': ('', {'nkeys_seed_str': USER.seed}),
    'text of credentials': ('', {'user_credentials': RawCredentials(creds_text(JWT, JWT_SEED))}),
}
SECRETS = (SECRET, *SHORT, USER.seed, OTHER.seed, JWT, JWT_SEED)

USERS = f"""
authorization {{ users: [
  {{ user: anna, password: "{SECRET}-but-another" }}
  {{ nkey: {OTHER.public} }}
] }}
"""


# --- Where connecting fails --------------------------------------------------


async def refused(url: Callable[[str], str], options: dict[str, Any], ears: Ears) -> None:
    async with walnats.EmbeddedServer(config=USERS) as server:
        await enter(url(server.url), options, ears)


async def closed_port(url: Callable[[str], str], options: dict[str, Any], ears: Ears) -> None:
    await enter(url('nats://127.0.0.1:1'), options, ears)


async def no_tls(url: Callable[[str], str], options: dict[str, Any], ears: Ears) -> None:
    async with walnats.EmbeddedServer() as server:
        await enter(url(server.url).replace('nats://', 'tls://'), options, ears)


async def unknown_host(url: Callable[[str], str], options: dict[str, Any], ears: Ears) -> None:
    await enter(url('nats://no-such-host.invalid:4222'), options, ears)


async def malformed(url: Callable[[str], str], options: dict[str, Any], ears: Ears) -> None:
    for rest in ('host:port', '[::1', ':4222', 'host:4222/x?y', 'ho st', 'host:99999'):
        with ears.listening():
            await enter(url(f'nats://{rest}'), options, ears)


async def bad_option(url: Callable[[str], str], options: dict[str, Any], ears: Ears) -> None:
    for more in ({'ping_interval': -1}, {'no_such_option': 1}, {'error_cb': 1}):
        with ears.listening():
            await enter(url('nats://127.0.0.1:1'), {**options, **more}, ears)


async def server_that_says_nonsense(
    url: Callable[[str], str], options: dict[str, Any], ears: Ears
) -> None:
    """It sends back what it was told, as an error."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"auth_required": true, "max_payload": 1000, "nonce": "a"}\r\n')
        await reader.readline()
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        writer.close()

    listener = await asyncio.start_server(serve, '127.0.0.1', 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        await enter(url(f'nats://127.0.0.1:{port}'), options, ears)


async def enter(url: str, options: dict[str, Any], ears: Ears) -> None:
    registry = walnats.Events(CREATED)
    given = {'connect_timeout': 0.1, 'error_cb': ears.hear, **options}
    async with registry.connect(url, **given) as conn:
        raise AssertionError(f'connected: {conn}')


@pytest.mark.parametrize('kind', CREDENTIALS)
@pytest.mark.parametrize(
    'fail',
    [refused, closed_port, no_tls, unknown_host, malformed, bad_option, server_that_says_nonsense],
    ids=lambda fail: fail.__name__,
)
async def test_connecting_fails(
    ears: Ears, fail: Callable[..., Awaitable[None]], kind: str
) -> None:
    userinfo, options = CREDENTIALS[kind]
    with ears.listening():
        await fail(lambda url: url.replace('://', f'://{userinfo}'), options, ears)
    ears.check(*SECRETS)


@pytest.mark.parametrize('option', ['nkeys_seed', 'user_credentials', 'nkeys_seed_str', 'user'])
@pytest.mark.parametrize(
    'text', [USER.seed, creds_text(JWT, JWT_SEED)], ids=['seed', 'credentials']
)
async def test_secrets_in_the_wrong_place(
    ears: Ears, tmp_path: Path, option: str, text: str
) -> None:
    """A seed where the path of its file is expected; keys that are something else."""
    path = tmp_path / 'a.creds'
    path.write_text(text)
    for value in text, str(path):
        with ears.listening():
            await enter('nats://127.0.0.1:1', {option: value}, ears)
    ears.check(USER.seed, JWT, JWT_SEED)


# --- Where all goes well, and then not ---------------------------------------


@pytest.fixture
async def strict() -> AsyncIterator[walnats.EmbeddedServer]:
    config = f'authorization {{ user: anna, password: "{SECRET}" }}'
    async with walnats.EmbeddedServer(config=config) as server:
        yield server


async def test_a_connection_from_its_first_to_its_last_day(
    ears: Ears, strict: walnats.EmbeddedServer
) -> None:
    """It works, is lost, refused, closed by the server for good, and used when it's over."""
    closed, back, failed = asyncio.Event(), asyncio.Event(), 0

    async def note_closed() -> None:
        closed.set()

    async def note_back() -> None:
        back.set()

    url = strict.url.replace('://', f'://anna:{SECRET}@')
    options: Any = {'closed_cb': note_closed, 'reconnected_cb': note_back, 'error_cb': ears.hear}
    with ears.listening():
        async with (
            walnats.Events(CREATED).connect(url, **options) as conn,
            ACTORS.connect(conn) as worker,
        ):
            await conn.register()
            await worker.register()
            await conn.emit(CREATED, 'Ada', sync=True)
            await worker.listen(burst=True)
            ears.note([conn, worker, conn.connection, conn.connection.inbox, conn.first_emits])
            await strict.kill()
            await strict.start()
            await back.wait()
            await conn.connection.nc.publish('x' * 5000, b'')  # the server closes it for that
            await closed.wait()
            for failing in (
                conn.emit(CREATED, 'Ada'),
                conn.emit(CREATED, 'Ada', sync=True),
                conn.register(),
                worker.listen(),
            ):
                with ears.listening():
                    failed += 1
                    await failing
    assert failed == 4
    ears.check(SECRET, *SHORT)


async def test_a_handler_that_fails_with_what_it_was_given(
    ears: Ears, strict: walnats.EmbeddedServer
) -> None:
    """Its own words are its own affair; the payload is in none of ours."""
    failed = asyncio.Event()

    def fail(text: str) -> None:
        failed.set()
        raise ValueError('no luck')

    actors = walnats.Actors(walnats.Actor('fail', CREATED, fail, max_attempts=1))
    with ears.listening():
        async with (
            walnats.Events(CREATED).connect(strict.url, user='anna', password=SECRET) as conn,
            actors.connect(conn) as worker,
        ):
            await worker.register()
            await conn.emit(CREATED, 'pin-code-4711', sync=True)
            await worker.listen(burst=True)
            ears.note([letter async for letter in worker.dead_letters()])
    assert failed.is_set()
    ears.check(SECRET, *SHORT, 'pin-code-4711')


async def test_nothing_is_on_a_command_line(strict: walnats.EmbeddedServer) -> None:
    processes = Path('/proc')
    if not processes.is_dir():
        pytest.skip('this system does not tell what runs on it')
    lines = [line for path in processes.glob('[0-9]*/cmdline') if (line := read(path))]
    assert any(b'nats-server' in line for line in lines)
    assert not [line for line in lines if SECRET.encode() in line]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b''


async def test_a_server_that_does_not_start(ears: Ears) -> None:
    config = f'authorization {{ user: anna, password: "{SECRET}", no such thing }}'
    with ears.listening():
        async with walnats.EmbeddedServer(config=config):
            pass
    ears.check(SECRET)


def test_keys_of_serializers_are_in_no_repr(ears: Ears) -> None:
    key = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY='
    base = serializers.BytesSerializer(bytes)
    ears.note(serializers.FernetSerializer(bytes, base, key))
    ears.note(serializers.HMACSerializer(bytes, base, SECRET.encode()))
    for serializer in (
        serializers.FernetSerializer(bytes, base, key),
        serializers.HMACSerializer(bytes, base, SECRET.encode()),
    ):
        event = walnats.Event('created', bytes, serializer)
        with ears.listening():
            event.decode(b'forged')
        ears.note([event, walnats.Events(event), walnats.Actor('greet', event, print)])
    ears.check(SECRET, key)


async def test_the_ears_hear(ears: Ears, strict: walnats.EmbeddedServer) -> None:
    """Plain nats-py shows the password, in an attribute that one likes to log."""
    client = await nats.connect(
        strict.url.replace('://', f'://anna:{SECRET}@'), allow_reconnect=False
    )
    ears.note(client.connected_url)
    await client.close()
    with pytest.raises(AssertionError):
        ears.check(SECRET)
