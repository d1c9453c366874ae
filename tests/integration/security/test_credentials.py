"""nkeys and files of credentials: they work, are rotated, and what can't be one is said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import nkeys  # type: ignore[import-untyped]
import pytest
from nats.aio.client import RawCredentials
from tests.integration.security.conftest import Nkey, Operator, creds_text

import walnats
from walnats.errors import AuthorizationError, ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import FakeHost

pytestmark = pytest.mark.usefixtures('no_leaks')

CREATED = walnats.Event('created', str)


async def round_trip(url: str, **options: Any) -> None:
    """Register, emit and handle, with connections that walnats opens."""
    handled: list[str] = []
    actor = walnats.Actor('greet', CREATED, handled.append)
    async with (
        walnats.Actors(actor).connect(url, **options) as worker,
        walnats.Events(CREATED).connect(url, **options) as conn,
    ):
        await worker.register()
        await conn.emit(CREATED, 'Ada', sync=True)
        await worker.listen(burst=True)
    assert handled == ['Ada']


async def enter(url: str, **options: Any) -> None:
    async with walnats.Events(CREATED).connect(url, **options):
        pass


# --- nkeys -------------------------------------------------------------------


@pytest.fixture
def user() -> Nkey:
    return Nkey(nkeys.PREFIX_BYTE_USER)


def knows(*users: Nkey) -> str:
    return f'authorization {{ users: [ {", ".join(f"{{ nkey: {u.public} }}" for u in users)} ] }}'


@pytest.mark.parametrize('end', ['', '\n', '\r\n'])
async def test_nkey(user: Nkey, tmp_path: Path, end: str) -> None:
    seed = tmp_path / 'user.nk'
    seed.write_text(user.seed + end)
    async with walnats.EmbeddedServer(config=knows(user)) as server:
        await round_trip(server.url, nkeys_seed=str(seed))
        await round_trip(server.url, nkeys_seed_str=user.seed + end)


async def test_nkey_that_the_server_does_not_know(user: Nkey) -> None:
    stranger = Nkey(nkeys.PREFIX_BYTE_USER)
    async with walnats.EmbeddedServer(config=knows(user)) as server:
        with pytest.raises(AuthorizationError, match='refuses the credentials') as caught:
            await enter(server.url, nkeys_seed_str=stranger.seed)
    assert stranger.seed not in str(caught.value)


async def test_nkey_that_is_replaced(user: Nkey, tmp_path: Path) -> None:
    other = Nkey(nkeys.PREFIX_BYTE_USER)
    path, back = tmp_path / 'user.nk', asyncio.Event()
    path.write_text(user.seed)

    async def note() -> None:
        back.set()

    async with (
        walnats.EmbeddedServer(config=knows(user, other)) as server,
        walnats.Events(CREATED).connect(
            server.url, nkeys_seed=str(path), reconnected_cb=note
        ) as conn,
    ):
        await conn.register()
        path.write_text(other.seed)
        await server.kill()
        await server.start()
        await back.wait()
        await conn.emit(CREATED, 'Ada', sync=True)


# --- Files of credentials ----------------------------------------------------


async def test_credentials(operator: Operator, tmp_path: Path) -> None:
    jwt, seed = operator.user()
    creds, jwt_file, seed_file = (tmp_path / name for name in ('a.creds', 'a.jwt', 'a.nk'))
    creds.write_text(creds_text(jwt, seed))
    jwt_file.write_text(jwt + '\n')
    seed_file.write_text(seed + '\n')
    async with walnats.EmbeddedServer(config=operator.config) as server:
        await round_trip(server.url, user_credentials=creds)
        await enter(server.url, user_credentials=str(creds))
        await enter(server.url, user_credentials=(str(jwt_file), str(seed_file)))
        await enter(server.url, user_credentials=(str(creds), str(creds)))
        await enter(server.url, user_credentials=RawCredentials(creds_text(jwt, seed)))
        with pytest.raises(AuthorizationError):
            await enter(server.url)


@pytest.mark.parametrize('vouched_for', ['user', 'operator'])
async def test_credentials_of_a_stranger(
    operator: Operator, tmp_path: Path, vouched_for: str
) -> None:
    stranger, seed = Operator().user()
    jwt = stranger if vouched_for == 'operator' else operator.user()[0]
    path = tmp_path / 'a.creds'
    path.write_text(creds_text(jwt, seed))
    async with walnats.EmbeddedServer(config=operator.config) as server:
        with pytest.raises(AuthorizationError, match='refuses the credentials') as caught:
            await enter(server.url, user_credentials=path)
    assert seed not in str(caught.value)
    assert jwt not in str(caught.value)


async def test_credentials_that_expire_are_read_anew(
    operator: Operator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, lost, back = tmp_path / 'a.creds', asyncio.Event(), asyncio.Event()
    path.write_text(creds_text(*operator.user(seconds=2)))

    async def note_lost() -> None:
        lost.set()
        path.write_text(creds_text(*operator.user()))

    async def note_back() -> None:
        back.set()

    async with (
        walnats.EmbeddedServer(config=operator.config) as server,
        walnats.Events(CREATED).connect(
            server.url,
            user_credentials=path,
            disconnected_cb=note_lost,
            reconnected_cb=note_back,
        ) as conn,
    ):
        await conn.register()
        await lost.wait()
        await back.wait()
        await conn.emit(CREATED, 'Ada', sync=True)
    assert 'authentication expired' in caplog.text


# --- What can't be one -------------------------------------------------------

ACCOUNT = Nkey(nkeys.PREFIX_BYTE_ACCOUNT)
USER = Nkey(nkeys.PREFIX_BYTE_USER)
BAD_SEEDS = {
    'empty': '',
    'words': 'no seed at all',
    'public': USER.public,
    'cut': USER.seed[:-3],
    'account': ACCOUNT.seed,
    'not ascii': 'SÜ' + USER.seed[2:],
}
BAD_FILES = {
    'empty': '',
    'words': 'nothing of that\n' * 3,
    'without jwt': creds_text('', USER.seed).partition('\n\n')[2],
    'without seed': creds_text('a.b.c', '').partition('\n\n')[0],
    'cut': '-----BEGIN NATS USER JWT-----\n',
    'seed of an account': creds_text('a.b.c', ACCOUNT.seed),
}


@pytest.fixture
def fails(silent_host: FakeHost) -> Callable[..., Any]:
    """A function that tries to connect, and gives the text of the error: nothing was sent."""

    async def try_it(**options: Any) -> str:
        async with asyncio.timeout(1):
            with pytest.raises(AuthorizationError) as caught:
                await enter(f'nats://127.0.0.1:{silent_host.port}', **options)
        assert not silent_host.connected.is_set()
        text = str(caught.value)
        assert text.startswith('connect: ')
        for secret in USER.seed, ACCOUNT.seed, BAD_SEEDS['cut']:
            assert secret not in text
        return text

    return try_it


@pytest.mark.parametrize('kind', BAD_SEEDS)
async def test_what_is_no_seed(fails: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    assert 'nkeys_seed_str has no seed of a user' in await fails(nkeys_seed_str=BAD_SEEDS[kind])
    path = tmp_path / 'user.nk'
    path.write_text(BAD_SEEDS[kind])
    assert f"'{path}' has no seed of a user" in await fails(nkeys_seed=str(path))
    assert f"'{path}' has no seed" in await fails(user_credentials=(str(path), str(path)))


@pytest.mark.parametrize('kind', BAD_FILES)
async def test_what_is_no_file_of_credentials(
    fails: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    """nats-py reads on for ever where there is no JWT, and lets nobody else run."""
    path = tmp_path / 'a.creds'
    path.write_text(BAD_FILES[kind])
    assert f"'{path}' has no " in await fails(user_credentials=path)
    text = await fails(user_credentials=RawCredentials(BAD_FILES[kind]))
    assert 'user_credentials has no ' in text


@pytest.mark.parametrize('option', ['nkeys_seed', 'user_credentials'])
async def test_a_file_that_can_not_be_read(
    fails: Callable[..., Any], tmp_path: Path, option: str
) -> None:
    assert 'nowhere' in await fails(**{option: str(tmp_path / 'nowhere')})
    assert str(tmp_path) in await fails(**{option: str(tmp_path)})
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    assert 'decode' in await fails(**{option: str(tmp_path / 'binary')})
    await fails(**{option: 7})


@pytest.mark.parametrize('option', ['nkeys_seed', 'user_credentials'])
@pytest.mark.parametrize(
    'secret', [USER.seed, creds_text('a.b.c', USER.seed)], ids=['seed', 'text']
)
async def test_a_secret_in_place_of_a_path_is_not_shown(
    fails: Callable[..., Any], option: str, secret: str
) -> None:
    assert 'a secret where the path of a file is expected' in await fails(**{option: secret})


async def test_a_file_that_is_broken_while_the_connection_is_lost(
    operator: Operator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again until somebody has mended it."""
    path, back, refused = tmp_path / 'a.creds', asyncio.Event(), asyncio.Event()
    good = creds_text(*operator.user())
    path.write_text(good)

    async def note() -> None:
        back.set()

    async def note_error(error: Exception) -> None:
        if 'has no NATS USER JWT' in str(error):
            refused.set()

    async with (
        walnats.EmbeddedServer(config=operator.config) as server,
        walnats.Events(CREATED).connect(
            server.url, user_credentials=path, reconnected_cb=note, error_cb=note_error
        ) as conn,
    ):
        await conn.register()
        path.write_text('')
        await server.kill()
        await server.start()
        await refused.wait()
        assert not back.is_set()
        path.write_text(good)
        await back.wait()
        await conn.emit(CREATED, 'Ada', sync=True)


async def test_a_user_without_credentials_of_any_kind(operator: Operator) -> None:
    async with walnats.EmbeddedServer(config=operator.config) as server:
        with pytest.raises(ConnectError):
            await enter(server.url, user='anna', password='wrong-one')
