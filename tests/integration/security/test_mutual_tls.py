"""Mutual TLS: only those get in for whom an authority vouches that the server trusts."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

import walnats
from walnats.errors import AuthorizationError, ConnectError

if TYPE_CHECKING:
    from tests.integration.security.conftest import Certificates

pytestmark = pytest.mark.usefixtures('no_leaks')

CREATED = walnats.Event('created', str)


def secure(url: str, scheme: str = 'tls') -> str:
    return f'{scheme}://{url.partition("://")[2]}'


async def enter(url: str, **options: Any) -> None:
    async with walnats.Events(CREATED).connect(url, **options) as conn:
        await conn.register()


@pytest.mark.parametrize('scheme', ['tls', 'nats'])
async def test_emitted_and_handled(certificates: Certificates, scheme: str) -> None:
    handled: list[str] = []
    actor = walnats.Actor('greet', CREATED, handled.append)
    tls = certificates.client.context(certificates.authority)
    async with walnats.EmbeddedServer(config=certificates.config) as server:
        url = secure(server.url, scheme)
        async with (
            walnats.Actors(actor).connect(url, tls=tls) as worker,
            walnats.Events(CREATED).connect(url, tls=tls) as conn,
        ):
            await worker.register()
            await conn.emit(CREATED, 'Ada', sync=True)
            await worker.listen(burst=True)
    assert handled == ['Ada']


async def test_without_a_certificate(certificates: Certificates) -> None:
    tls = ssl.create_default_context(cafile=str(certificates.authority.path))
    async with walnats.EmbeddedServer(config=certificates.config) as server:
        with pytest.raises(ConnectError, match='no connection'):
            await enter(secure(server.url), tls=tls, connect_timeout=0.5)


async def test_with_a_certificate_of_a_stranger(certificates: Certificates) -> None:
    tls = certificates.stranger.context(certificates.authority)
    async with walnats.EmbeddedServer(config=certificates.config) as server:
        with pytest.raises(ConnectError, match='no connection'):
            await enter(secure(server.url), tls=tls, connect_timeout=0.5)


async def test_to_a_server_of_a_stranger(certificates: Certificates) -> None:
    tls = certificates.client.context(certificates.stranger)
    async with walnats.EmbeddedServer(config=certificates.config) as server:
        with pytest.raises(ConnectError, match='CERTIFICATE_VERIFY_FAILED'):
            await enter(secure(server.url), tls=tls, connect_timeout=0.5)


async def test_the_certificate_says_who_it_is(certificates: Certificates) -> None:
    """With `verify_and_map` there is no password at all."""
    mapped = certificates.config.replace('verify: true', 'verify_and_map: true')
    known, unknown = (
        f'{mapped} authorization {{ users: [ {{ user: "CN={name}" }} ] }}'
        for name in ('client', 'somebody else')
    )
    tls = certificates.client.context(certificates.authority)
    async with walnats.EmbeddedServer(config=known) as server:
        await enter(secure(server.url), tls=tls)
    async with walnats.EmbeddedServer(config=unknown) as server:
        with pytest.raises(AuthorizationError):
            await enter(secure(server.url), tls=tls)
