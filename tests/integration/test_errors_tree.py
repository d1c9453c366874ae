"""Every error class, provoked for real; and each time the connection lives on."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats
import pytest

import walnats
from walnats import Actor, Actors, Event, Events, Limits, Storage, errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from walnats.types import ConnectedEvents

pytestmark = pytest.mark.usefixtures('no_leaks')

PROVOKED: dict[str, Callable[[Scene], Awaitable[object]]] = {}
# The root, of which only subclasses are raised; what has tests beside the feature that raises it.
ELSEWHERE = {'DeadLetterNotFoundError', 'ReplayError', 'RequestFailedError', 'WalnatsError'}
USERS = """
accounts {
    PLAIN { users: [{user: plain, password: p}] }
    FAKED {
        users: [{user: faked, password: p}]
        mappings: { "$JS.API.STREAM.INFO.created": fake }
    }
    A { jetstream: enabled, users: [
        { user: all, password: p },
        { user: mute, password: p, permissions: { publish: { deny: "created" } } }
    ] }
}
"""


class Scene:
    """A registered event on a connection, and a server that is the scene's own."""

    def __init__(self, conn: ConnectedEvents, event: Event[str], server: Any) -> None:
        self.conn = conn
        self.event = event
        self.server: walnats.EmbeddedServer = server

    @asynccontextmanager
    async def connect(self, event: Event[Any], user: str = 'all') -> AsyncIterator[ConnectedEvents]:
        url = self.server.url.replace('//', f'//{user}:p@')
        async with Events(event).connect(url) as conn:
            yield conn

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        os.kill(self.server.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)


def provokes(name: str) -> Callable[[Any], Any]:
    def remember(provoke: Any) -> Any:
        PROVOKED[name] = provoke
        return provoke

    return remember


async def handle(message: str) -> None:
    pass


class Unknown:
    """No serializer knows it."""


# --- Declarations ------------------------------------------------------------


@provokes('InvalidNameError')
async def _(scene: Scene) -> None:
    Event('a b', str)


@provokes('DeclarationError')
async def _(scene: Scene) -> None:
    Limits(age=-1)


@provokes('DeclarationTypeError')
async def _(scene: Scene) -> None:
    Limits(age='1')  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@provokes('RegistryError')
async def _(scene: Scene) -> None:
    Events()


@provokes('SerializerNotFoundError')
async def _(scene: Scene) -> None:
    Event('created', Unknown)


@provokes('DecodeError')
async def _(scene: Scene) -> None:
    scene.event.decode(b'nonsense')


# --- Connecting --------------------------------------------------------------


@provokes('ServerStartError')
async def _(scene: Scene) -> None:
    async with walnats.EmbeddedServer(binary='/nowhere/nats-server'):
        pass


@provokes('ConnectError')
async def _(scene: Scene) -> None:
    async with Events(scene.event).connect('nats://127.0.0.1:1', connect_timeout=0.1):
        pass


@provokes('AuthorizationError')
async def _(scene: Scene) -> None:
    async with scene.connect(scene.event, user='nobody'):
        pass


@provokes('ConnectionClosedError')
async def _(scene: Scene) -> None:
    async with scene.connect(scene.event) as conn:
        await conn.connection.nc.close()
        await conn.emit(scene.event, 'hello')


# --- Emitting ----------------------------------------------------------------


@provokes('NotRegisteredError')
async def _(scene: Scene) -> None:
    await scene.conn.emit(Event('another', str), 'hello')


@provokes('HeaderError')
async def _(scene: Scene) -> None:
    await scene.conn.emit(scene.event, 'hello', meta={'key': 'a\nb'})


@provokes('HeaderTypeError')
async def _(scene: Scene) -> None:
    wrong: Any = {'key': 1}
    await scene.conn.emit(scene.event, 'hello', meta=wrong)


@provokes('EncodeError')
async def _(scene: Scene) -> None:
    wrong: Any = 1
    await scene.conn.emit(scene.event, wrong)


@provokes('MaxPayloadError')
async def _(scene: Scene) -> None:
    await scene.conn.emit(scene.event, 'x' * 2**20)


@provokes('OutboundBufferLimitError')
async def _(scene: Scene) -> None:
    lost = asyncio.Event()

    async def on_lost() -> None:
        lost.set()

    async def on_error(error: Exception) -> None:
        pass

    url = scene.server.url.replace('//', '//all:p@')
    nc = await nats.connect(url, pending_size=0, disconnected_cb=on_lost, error_cb=on_error)
    async with Events(scene.event).connect(nc) as conn:
        await scene.server.kill()
        await lost.wait()
        await conn.emit(scene.event, 'hello')


@provokes('PermissionDeniedError')
async def _(scene: Scene) -> None:
    event = Event('created', str)
    async with scene.connect(event, user='mute') as conn:
        await conn.register()
        await conn.emit(event, 'hello', sync=True)


@provokes('NotConfirmedError')
async def _(scene: Scene) -> None:
    async with scene.connect(scene.event) as conn:
        await conn.register()
        async with scene.frozen():
            await conn.emit(scene.event, 'hello', sync=True)


@provokes('EmitManyError')
async def _(scene: Scene) -> None:
    await scene.conn.emit_many(scene.event, ['hello', 'x' * 2**20])


@provokes('RequestTimeoutError')
async def _(scene: Scene) -> None:
    event = scene.event.with_response(str)
    async with Events(event).connect(scene.conn) as conn:
        await conn.request(event, 'hello', timeout=0.1)


# --- JetStream ---------------------------------------------------------------


@provokes('JetStreamError')
async def _(scene: Scene) -> None:
    async def respond(message: Any) -> None:
        await message.respond(b'nonsense')

    async with scene.connect(Event('created', str), user='faked') as conn:
        await conn.connection.nc.subscribe('fake', cb=respond)
        await conn.register()


@provokes('JetStreamDisabledError')
async def _(scene: Scene) -> None:
    async with scene.connect(scene.event, user='plain') as conn:
        await conn.register()


@provokes('JetStreamTimeoutError')
async def _(scene: Scene) -> None:
    async with scene.connect(scene.event) as conn, scene.frozen():
        await conn.register()


@provokes('StreamNotFoundError')
async def _(scene: Scene) -> None:
    event = Event('without-a-stream', str)
    async with Events(event).connect(scene.conn) as conn:
        await conn.emit(event, 'hello', sync=True)


@provokes('StreamFullError')
async def _(scene: Scene) -> None:
    storage = Storage(discard=walnats.Discard.NEW, retention=walnats.Retention.LIMITS)
    event = Event(f'{scene.event.name}-full', str, limits=Limits(messages=1), storage=storage)
    async with Events(event).connect(scene.conn) as conn:
        await conn.register()
        await conn.emit(event, 'first', sync=True)
        await conn.emit(event, 'second', sync=True)


@provokes('StreamExistsError')
async def _(scene: Scene) -> None:
    other = Event(scene.event.name, str, limits=Limits(age=60))
    async with Events(other).connect(scene.conn) as conn:
        await conn.register(update=False)


@provokes('StreamConfigError')
async def _(scene: Scene) -> None:
    storage = Storage(medium=walnats.Medium.MEMORY)
    async with Events(Event(scene.event.name, str, storage=storage)).connect(scene.conn) as conn:
        await conn.register()


@provokes('ConsumerConfigError')
async def _(scene: Scene) -> None:
    for start in walnats.Start:
        actors = Actors(Actor('a', scene.event, handle, start=start), dead_letters=None)
        async with actors.connect(scene.conn) as worker:
            await worker.register()


@provokes('ConsumerNotFoundError')
async def _(scene: Scene) -> None:
    actors = Actors(Actor('nobody', scene.event, handle), dead_letters=None)
    async with actors.connect(scene.conn) as worker:
        await worker.listen(burst=True)


# --- The tests ---------------------------------------------------------------

ERRORS = {name for name in errors.__all__ if name.endswith('Error')}


def test_every_error_is_provoked() -> None:
    assert PROVOKED.keys() == ERRORS - ELSEWHERE


@pytest.mark.parametrize('name', PROVOKED)
async def test_provoked(
    name: str, server_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('walnats._jetstream.api.TIMEOUT', 1)
    monkeypatch.setattr('walnats._jetstream.publish.DEADLINE', 1)
    event = Event(unique, str)
    async with (
        walnats.EmbeddedServer(config=USERS) as server,
        Events(event).connect(server_url) as conn,
    ):
        await conn.register()
        nc = conn.connection.nc
        with pytest.raises(errors.WalnatsError) as caught:
            await PROVOKED[name](Scene(conn, event, server))
        assert type(caught.value).__name__ == name
        assert len(str(caught.value)) > 20
        await conn.emit(event, 'and on it goes', sync=True)
        assert nc.is_connected
        assert nc.stats['reconnects'] == 0
