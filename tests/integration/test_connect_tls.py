"""TLS: what was asked for is what is spoken, or nothing is said at all."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import walnats
from walnats.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .conftest import FakeHost

pytestmark = pytest.mark.usefixtures('no_leaks')

SECRET = 's3cret-pa55'


@pytest.fixture(scope='module')
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, signed by itself, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'test')])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address('127.0.0.1'))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp('tls') / 'certificate.pem'
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def config(certificate: Path, more: str = '') -> str:
    return f"""
        tls {{ cert_file: "{certificate}", key_file: "{certificate}" {more} }}
        authorization {{ user: anna, password: "{SECRET}" }}
    """


async def emit(url: str, **options: Any) -> str:
    """Emit over the connection, and give the version of TLS it has."""
    created = walnats.Event('created', str)
    async with walnats.Events(created).connect(url, **options) as conn:
        await conn.register()
        await conn.emit(created, 'hello', sync=True)
        writer = conn.connection.nc._transport._io_writer  # type: ignore[union-attr]
        secured = writer.get_extra_info('ssl_object')
        return secured.version() if secured is not None else 'none'


def with_scheme(scheme: str, url: str) -> str:
    return f'{scheme}://anna:{SECRET}@' + url.partition('://')[2]


@pytest.mark.parametrize('scheme', ['tls', 'nats'])
async def test_server_that_requires_tls(
    certificate: Path, trusting: ssl.SSLContext, scheme: str
) -> None:
    async with walnats.EmbeddedServer(config=config(certificate)) as server:
        version = await emit(with_scheme(scheme, server.url), tls=trusting)
        assert version.startswith('TLS')


async def test_server_that_only_offers_tls(certificate: Path, trusting: ssl.SSLContext) -> None:
    """nats-py goes on in clear here."""
    settings = config(certificate) + 'allow_non_tls: true'
    async with walnats.EmbeddedServer(config=settings) as server:
        version = await emit(with_scheme('tls', server.url), tls=trusting)
        assert version.startswith('TLS')
        version = await emit(with_scheme('nats', server.url), tls=trusting)
        assert version.startswith('TLS')
        assert await emit(with_scheme('nats', server.url)) == 'none'


async def test_handshake_first(certificate: Path, trusting: ssl.SSLContext) -> None:
    settings = config(certificate, ', handshake_first: true')
    async with walnats.EmbeddedServer(config=settings) as server:
        url = with_scheme('tls', server.url)
        version = await emit(url, tls=trusting, tls_handshake_first=True)
        assert version.startswith('TLS')


async def test_proxy_that_takes_tls_away(certificate: Path, trusting: ssl.SSLContext) -> None:
    """Behind it is a server that knows nothing of TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"headers": true, "max_payload": 1000}\r\n')
        while line := await reader.readline():
            if line == b'PING\r\n':
                writer.write(b'PONG\r\n')
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listener = await asyncio.start_server(serve, '127.0.0.1', 0, ssl=context)
    url = f'tls://127.0.0.1:{listener.sockets[0].getsockname()[1]}'
    events = walnats.Events(walnats.Event('created', str))
    async with listener, events.connect(url, tls=trusting, tls_handshake_first=True) as conn:
        assert conn.connection.nc.is_connected


@contextlib.asynccontextmanager
async def falling_silent(certificate: Path, *, after: bytes) -> AsyncIterator[str]:
    """Give the URL of a server that speaks TLS, and reads nothing any more after a command."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"headers": true, "max_payload": 1000}\r\n')
        while not (await reader.readline()).startswith(after):
            pass
        transport: Any = writer.transport
        transport.pause_reading()
        if after == b'PING':
            writer.write(b'PONG\r\n')
        await over.wait()
        transport.abort()

    over = asyncio.Event()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(serve, '127.0.0.1', 0, ssl=context) as listener:
        yield f'tls://127.0.0.1:{listener.sockets[0].getsockname()[1]}'
        over.set()


async def test_deadline_of_a_server_that_falls_silent(
    certificate: Path, trusting: ssl.SSLContext
) -> None:
    """TLS would wait half a minute for it to close the connection, too."""
    options: Any = {'tls': trusting, 'tls_handshake_first': True, 'connect_timeout': 0.4}
    async with falling_silent(certificate, after=b'CONNECT') as url, asyncio.timeout(5):
        with pytest.raises(ConnectError, match=r'within 0\.4 s'):
            await emit(url, **options)


async def test_leaving_a_server_that_has_fallen_silent(
    certificate: Path, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('walnats._jetstream.connection._FLUSH_TIMEOUT', 0.1)
    monkeypatch.setattr('walnats._jetstream.closing._CLOSE_TIMEOUT', 0.1)
    events = walnats.Events(walnats.Event('created', str))
    async with (
        falling_silent(certificate, after=b'PING') as url,
        asyncio.timeout(5),
        events.connect(url, tls=trusting, tls_handshake_first=True),
    ):
        pass


@pytest.mark.parametrize('scheme', ['tls', 'nats'])
async def test_certificate_that_nobody_vouches_for(certificate: Path, scheme: str) -> None:
    async with walnats.EmbeddedServer(config=config(certificate)) as server:
        with pytest.raises(ConnectError, match='CERTIFICATE_VERIFY_FAILED'):
            await emit(with_scheme(scheme, server.url), connect_timeout=0.3)


async def test_tls_url_to_a_server_in_clear(plain_host: FakeHost) -> None:
    url = f'tls://anna:{SECRET}@127.0.0.1:{plain_host.port}'
    with pytest.raises(ConnectError, match='secure connection not available') as caught:
        await emit(url, connect_timeout=0.3)
    assert SECRET not in str(caught.value)
    await plain_host.closed.wait()
    assert plain_host.received == b''


async def test_tls_option_to_a_server_in_clear(
    plain_host: FakeHost, trusting: ssl.SSLContext
) -> None:
    url = f'nats://anna:{SECRET}@127.0.0.1:{plain_host.port}'
    with pytest.raises(ConnectError, match='secure connection not available'):
        await emit(url, connect_timeout=0.3, tls=trusting)
    await plain_host.closed.wait()
    assert plain_host.received == b''


async def test_real_server_in_clear(server_url: str) -> None:
    with pytest.raises(ConnectError, match='secure connection not available'):
        await emit(server_url.replace('nats://', 'tls://'), connect_timeout=0.3)


async def test_stays_secure_after_an_outage(certificate: Path, trusting: ssl.SSLContext) -> None:
    settings = config(certificate) + 'allow_non_tls: true'
    async with walnats.EmbeddedServer(config=settings) as server:
        created = walnats.Event('created', str)
        url = with_scheme('tls', server.url)
        async with walnats.Events(created).connect(url, tls=trusting) as conn:
            await conn.register()
            await server.kill()
            await server.start()
            await conn.emit(created, 'hello', sync=True)
            writer = conn.connection.nc._transport._io_writer  # type: ignore[union-attr]
            assert writer.get_extra_info('ssl_object') is not None
