"""Each error that the publisher raises: provoked on a real server; the connection lives on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nats
import pytest
from tests.servers import stopped

import walnats
from walnats import errors
from walnats._jetstream import api, publish

from .conftest import PATIENCE, Accounts, Link, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.msg import Msg

    from walnats.types import ConnectedEvents

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS)
FULL = walnats.Storage(retention=walnats.Retention.LIMITS, discard=walnats.Discard.NEW)

ALLOWED = walnats.Event('allowed', str, storage=KEPT).with_response(int)
SECRET = walnats.Event('secret', str, storage=KEPT)
NEVER = walnats.Event('never-registered', str)
NARROW = walnats.Event('narrow', str, limits=walnats.Limits(messages=1), storage=FULL)
WIDER = walnats.Event('narrow', str, limits=walnats.Limits(messages=2), storage=FULL)
REPLICATED = walnats.Event('replicated', str, storage=walnats.Storage(replicas=5))
EVENTS = walnats.Events(ALLOWED, SECRET, NEVER, NARROW)


@dataclass
class Stage:
    """What a provocation can use."""

    conn: ConnectedEvents
    accounts: Accounts
    link: Link
    patch: pytest.MonkeyPatch

    async def respond(self, payload: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer the next request."""
        peer = await nats.connect(self.accounts.url('all'))

        async def answer(message: Msg) -> None:
            await peer.publish((message.headers or {})['Walnats-Reply'], payload, headers=headers)

        await peer.subscribe('allowed', cb=answer)
        await settle(peer)
        try:
            await self.conn.request(ALLOWED, 'a')
        finally:
            await peer.close()


async def not_registered(stage: Stage) -> None:
    await stage.conn.emit(walnats.Event('other', str), 'a')


async def encode(stage: Stage) -> None:
    await stage.conn.emit(ALLOWED, 7)  # type: ignore[misc]


async def decode(stage: Stage) -> None:
    await stage.respond(b'nonsense')


async def header(stage: Stage) -> None:
    await stage.conn.emit(ALLOWED, 'a', meta={'Status': '503'})


async def header_type(stage: Stage) -> None:
    await stage.conn.emit(ALLOWED, 'a', uid=7)  # type: ignore[arg-type]


async def declaration(stage: Stage) -> None:
    await stage.conn.emit(ALLOWED, 'a', delay=-1)


async def declaration_type(stage: Stage) -> None:
    await stage.conn.request(NEVER, 'a')  # type: ignore[arg-type]


async def max_payload(stage: Stage) -> None:
    await stage.conn.emit(ALLOWED, 'a' * stage.conn.connection.nc.max_payload)


async def outbound_buffer_limit(stage: Stage) -> None:
    await stage.accounts.server.kill()
    await asyncio.wait_for(stage.link.lost.wait(), PATIENCE)
    try:
        await stage.conn.emit(ALLOWED, 'a' * 100_000)
    finally:
        await stage.accounts.server.start()


async def permission_denied(stage: Stage) -> None:
    await stage.conn.emit(SECRET, 'a', sync=True)


async def not_confirmed(stage: Stage) -> None:
    stage.patch.setattr(publish, 'DEADLINE', 0.2)
    with stopped(stage.accounts.server.pid):
        await stage.conn.emit(ALLOWED, 'a', sync=True)


async def emit_many(stage: Stage) -> None:
    await stage.conn.emit_many(ALLOWED, ['a', 7, 'b'])  # type: ignore[misc]


async def request_timeout(stage: Stage) -> None:
    await stage.conn.request(ALLOWED, 'a', timeout=0.1)


async def request_failed(stage: Stage) -> None:
    await stage.respond(b'', {'Walnats-Error': 'no'})


async def jetstream(stage: Stage) -> None:
    await stage.conn.emit(ALLOWED, 'a', meta={'Nats-Expected-Stream': 'other'}, sync=True)


async def jetstream_timeout(stage: Stage) -> None:
    stage.patch.setattr(api, 'TIMEOUT', 0.2)
    with stopped(stage.accounts.server.pid):
        await stage.conn.register()


async def stream_not_found(stage: Stage) -> None:
    await stage.conn.emit(NEVER, 'a', sync=True)


async def stream_full(stage: Stage) -> None:
    await stage.conn.emit(NARROW, 'a', sync=True)
    await stage.conn.emit(NARROW, 'b', sync=True)


async def stream_exists(stage: Stage) -> None:
    async with walnats.Events(WIDER).connect(stage.conn) as other:
        await other.register(update=False)


async def stream_config(stage: Stage) -> None:
    async with walnats.Events(REPLICATED).connect(stage.conn) as other:
        await other.register()


PROVOKED: dict[type[Exception], tuple[str, Callable[[Stage], Awaitable[None]]]] = {
    errors.NotRegisteredError: ('all', not_registered),
    errors.EncodeError: ('all', encode),
    errors.DecodeError: ('all', decode),
    errors.HeaderError: ('all', header),
    errors.HeaderTypeError: ('all', header_type),
    errors.DeclarationError: ('all', declaration),
    errors.DeclarationTypeError: ('all', declaration_type),
    errors.MaxPayloadError: ('all', max_payload),
    errors.OutboundBufferLimitError: ('all', outbound_buffer_limit),
    errors.PermissionDeniedError: ('few', permission_denied),
    errors.NotConfirmedError: ('all', not_confirmed),
    errors.EmitManyError: ('all', emit_many),
    errors.RequestTimeoutError: ('all', request_timeout),
    errors.RequestFailedError: ('all', request_failed),
    errors.JetStreamError: ('all', jetstream),
    errors.JetStreamTimeoutError: ('all', jetstream_timeout),
    errors.StreamNotFoundError: ('all', stream_not_found),
    errors.StreamFullError: ('all', stream_full),
    errors.StreamExistsError: ('all', stream_exists),
    errors.StreamConfigError: ('all', stream_config),
}
"""The user and the provocation for each class of error."""

ELSEWHERE = {
    # Two tests below: there is nothing to be stored by, or no connection that could live on.
    *('JetStreamDisabledError', 'ConnectionClosedError'),
    # Of declaring and connecting, of the worker and of the embedded server; and the root.
    *('InvalidNameError', 'RegistryError', 'SerializerNotFoundError'),
    *('ConnectError', 'AuthorizationError'),
    *('ConsumerConfigError', 'ConsumerNotFoundError', 'DeadLetterNotFoundError', 'ReplayError'),
    *('ServerStartError', 'WalnatsError'),
}


def test_no_class_is_forgotten() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    known = {each.__name__ for each in classes if issubclass(each, errors.WalnatsError)}
    provoked = {each.__name__ for each in PROVOKED}
    assert known <= provoked | ELSEWHERE
    assert not provoked & ELSEWHERE


@pytest.mark.parametrize('error', PROVOKED, ids=lambda error: error.__name__)
async def test_the_connection_lives_on(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    user, provoke = PROVOKED[error]
    link = Link()
    async with walnats.Events(ALLOWED, SECRET, NARROW).connect(accounts.url('all')) as deployer:
        await deployer.register()
    async with EVENTS.connect(accounts.url(user), pending_size=50_000, **link.options) as conn:
        with pytest.raises(error) as caught:
            await provoke(Stage(conn, accounts, link, monkeypatch))
        assert type(caught.value) is error
        assert str(caught.value).strip()
        monkeypatch.undo()
        client = conn.connection.nc
        await conn.emit(ALLOWED, 'again', uid='again', sync=True)
        assert conn.connection.nc is client
        assert client.stats['reconnects'] == (error is errors.OutboundBufferLimitError)
    async with EVENTS.connect(accounts.url('all')) as deployer:
        stream = deployer.connection.nc.jetstream()
        last = await stream.get_last_msg('allowed', 'allowed')
        assert last.data == b'"again"'


async def test_jetstream_disabled(accounts: Accounts) -> None:
    async with EVENTS.connect(accounts.url('plain')) as conn:
        with pytest.raises(errors.JetStreamDisabledError):
            await conn.register()
        with pytest.raises(errors.JetStreamDisabledError):
            await conn.emit(ALLOWED, 'a', sync=True)
        with conn.monitor() as queue:
            await conn.emit(ALLOWED, 'again')
            assert await asyncio.wait_for(queue.get(), PATIENCE) == 'again'


async def test_connection_closed(accounts: Accounts) -> None:
    """The context is over, and its client goes on in another one."""
    client = await nats.connect(accounts.url('all'))
    async with EVENTS.connect(client, close=False) as conn:
        pass
    with pytest.raises(errors.ConnectionClosedError):
        await conn.emit(ALLOWED, 'a')
    async with walnats.Events(ALLOWED).connect(client) as conn:
        await conn.register()
        await conn.emit(ALLOWED, 'again', sync=True)
