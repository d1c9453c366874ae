"""Registries: which events or actors a service has, and how they get connected to NATS."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from ._actor import Actor, DeadLetters
from ._checks import show
from ._event import BaseEvent
from ._jetstream.opening import connected, refuse_options
from ._jetstream.options import DEFAULT_SERVER
from ._publisher.publisher import ConnectedEvents
from ._worker.worker import ConnectedActors
from .errors import ConnectionClosedError, DeclarationTypeError, RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ._jetstream.connection import Connection
    from ._jetstream.opening import Server
    from ._jetstream.options import ConnectOptions

    AnyServer: TypeAlias = Server | ConnectedEvents | ConnectedActors


class Events:
    """The events that a service emits.

        events = walnats.Events(USER_CREATED, USER_UPDATED)
        async with events.connect() as conn:
            await conn.register()
            await conn.emit(USER_CREATED, user)

    Raises RegistryError if there are no events, or if two would share a stream.
    """

    def __init__(self, *events: BaseEvent[Any, Any]) -> None:
        if not events:
            raise RegistryError('Events: there are no events, pass at least one')
        by_stream: dict[str, BaseEvent[Any, Any]] = {}
        for event in events:
            if not isinstance(event, BaseEvent):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
                raise DeclarationTypeError(f'Events: {show(event)} is not an event')
            other = by_stream.get(event.stream_name)
            if other is not None:
                raise RegistryError(_collision('Events', other, event))
            by_stream[event.stream_name] = event
        self._events = {event.name: event for event in events}

    def get(self, name: str) -> BaseEvent[Any, Any] | None:
        """Give the event of that name, None if there is none."""
        return self._events.get(name)

    def __iter__(self) -> Iterator[BaseEvent[Any, Any]]:
        return iter(self._events.values())

    def __len__(self) -> int:
        return len(self._events)

    def __repr__(self) -> str:
        return f'Events({", ".join(self._events)})'

    @asynccontextmanager
    async def connect(
        self,
        server: AnyServer = DEFAULT_SERVER,
        close: bool = True,  # noqa: FBT001, FBT002 -- the public contract has it so
        **options: Unpack[ConnectOptions],
    ) -> AsyncIterator[ConnectedEvents]:
        """Connect to NATS for as long as the context lasts.

        :param server: a URL, a list of URLs, a connected client of nats-py, or what another
            `connect` gave, whose connection is then shared and never closed here. By default
            `$NATS_SERVER`, else `$NATS_URL`, else nats://localhost:4222.
        :param close: close the connection on exit.
        :param options: passed on to `nats.connect`, see ConnectOptions. Not for a connection
            that is passed: that is an error.
        :raises ConnectError: a URL is malformed, or no server answered before the deadline,
            `connect_timeout`, 5 seconds by default.
        :raises AuthorizationError: the server refuses the credentials.
        """
        async with _connection(server, options, close=close) as connection:
            conn = ConnectedEvents(connection, self._events)
            yield conn
            await conn.first_emits.wait()


class Actors:
    """The actors that a worker runs.

        actors = walnats.Actors(SEND_EMAIL, UPDATE_STATISTICS)
        async with actors.connect() as conn:
            await conn.register()
            await conn.listen()

    Raises RegistryError if there are no actors, or two of the same name on one event.

    :param dead_letters: how the messages are kept that actors gave up on.
    """

    def __init__(
        self, *actors: Actor[Any, Any], dead_letters: DeadLetters | None = DeadLetters()
    ) -> None:
        if not actors:
            raise RegistryError('Actors: there are no actors, pass at least one')
        seen: set[tuple[str, str]] = set()
        by_stream: dict[str, BaseEvent[Any, Any]] = {}
        for actor in actors:
            if not isinstance(actor, Actor):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
                raise DeclarationTypeError(f'Actors: {show(actor)} is not an actor')
            other = by_stream.setdefault(actor.event.stream_name, actor.event)
            if other.name != actor.event.name:
                raise RegistryError(_collision('Actors', other, actor.event))
            key = (actor.event.name, actor.name)
            if key in seen:
                raise RegistryError(
                    f"event '{actor.event.name}' has two actors of the name '{actor.name}': "
                    'rename one of them'
                )
            seen.add(key)
        if dead_letters is not None and not isinstance(dead_letters, DeadLetters):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
            raise DeclarationTypeError('Actors: dead_letters must be a DeadLetters or None')
        self._actors = actors
        self._dead_letters = dead_letters

    def get(self, name: str) -> Actor[Any, Any] | None:
        """Give the first actor of that name, None if there is none."""
        return next((actor for actor in self._actors if actor.name == name), None)

    def __iter__(self) -> Iterator[Actor[Any, Any]]:
        return iter(self._actors)

    def __len__(self) -> int:
        return len(self._actors)

    def __repr__(self) -> str:
        return f'Actors({", ".join(actor.name for actor in self._actors)})'

    @asynccontextmanager
    async def connect(
        self,
        server: AnyServer = DEFAULT_SERVER,
        close: bool = True,  # noqa: FBT001, FBT002 -- the public contract has it so
        **options: Unpack[ConnectOptions],
    ) -> AsyncIterator[ConnectedActors]:
        """Connect to NATS for as long as the context lasts. See `Events.connect`."""
        async with _connection(server, options, close=close) as connection:
            yield ConnectedActors(connection, self._actors, self._dead_letters)


@asynccontextmanager
async def _connection(
    server: AnyServer, options: ConnectOptions, *, close: bool
) -> AsyncIterator[Connection]:
    if not isinstance(server, (ConnectedEvents, ConnectedActors)):
        async with connected(server, close=close, options=options) as connection:
            yield connection
        return
    refuse_options(options)
    if server.connection.is_released or server.connection.nc.is_closed:
        raise ConnectionClosedError('connect: the connection that was passed is over: it is closed')
    yield server.connection


def _collision(registry: str, one: BaseEvent[Any, Any], other: BaseEvent[Any, Any]) -> str:
    if one.name == other.name:
        return f"{registry}: event '{one.name}' is there twice"
    return (
        f"{registry}: '{one.name}' and '{other.name}' would share the stream '{one.stream_name}': "
        'rename one of them'
    )
