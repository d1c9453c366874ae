"""What the tests of the worker share: one event, actors on it, and a peer that only knows NATS."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nats
import pytest

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.api import ConsumerInfo, PubAck

    from walnats.types import ConnectedActors

PATIENCE = 10.0
"""Seconds that a signal may take to come. A test that needs them all has failed."""


@dataclass(frozen=True)
class Item:
    """The message of the tests' event."""

    n: int


class Seen:
    """A handler that notes what it gets, does what it is told to, and can be waited for."""

    def __init__(self, then: Callable[[Item], Any] | None = None) -> None:
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.running = 0
        self.most = 0
        self._then = then
        self._changed = asyncio.Condition()

    async def __call__(self, item: Item) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._note(item.n)
            if self._then is not None:
                result = self._then(item)
                if result is not None:
                    await result
        finally:
            self.running -= 1

    async def _note(self, number: int) -> None:
        self.numbers.append(number)
        self.times.append(asyncio.get_running_loop().time())
        async with self._changed:
            self._changed.notify_all()

    async def wait(self, count: int, seconds: float = PATIENCE) -> list[int]:
        """Wait until the handler was started so often."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: len(self.numbers) >= count)
        except TimeoutError:
            raise AssertionError(f'{len(self.numbers)} of {count} in {seconds} s') from None
        return self.numbers


async def until(condition: Callable[..., Any], *args: Any, seconds: float = PATIENCE) -> None:
    """Ask the server again and again: it gives no signal for what it knows."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition(*args):
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f'not within {seconds} s: {condition.__name__}{args}') from None


class Stage:
    """One event with the actors of a test."""

    def __init__(self, url: str, nc: Client, name: str) -> None:
        self.url = url
        self.nc = nc
        self.event: walnats.Event[Item] = walnats.Event(name, Item)

    seen = Seen
    item = Item
    until = staticmethod(until)

    def actor(
        self, handler: Callable[[Item], Any], name: str = 'actor', **options: Any
    ) -> walnats.Actor[Item, Any]:
        return walnats.Actor(name, self.event, handler, **options)

    @contextlib.asynccontextmanager
    async def connect(
        self, *actors: walnats.Actor[Any, Any], server: Any = None, register: bool = True
    ) -> AsyncIterator[ConnectedActors]:
        """Connect and register the actors."""
        registry = walnats.Actors(*actors, dead_letters=None)
        async with registry.connect(server or self.url) as conn:
            if register:
                await conn.register()
            yield conn

    @contextlib.asynccontextmanager
    async def listening(
        self, *actors: walnats.Actor[Any, Any], server: Any = None, **options: Any
    ) -> AsyncIterator[ConnectedActors]:
        """Listen for as long as the context lasts; an error of `listen` is raised."""
        async with self.connect(*actors, server=server) as conn:
            task = asyncio.create_task(conn.listen(**options))
            try:
                yield conn
            finally:
                if not task.done():
                    await conn.shutdown(timeout=1)
                await task

    async def burst(self, *actors: walnats.Actor[Any, Any], **options: Any) -> None:
        """Handle what is there."""
        async with self.connect(*actors) as conn, asyncio.timeout(PATIENCE):
            await conn.listen(burst=True, **{'poll_delay': 0.2, **options})

    async def connect_and_publish(self, actor: walnats.Actor[Any, Any], number: int) -> None:
        """Have one message wait for the actor."""
        async with self.connect(actor):
            await self.publish(number)

    async def publish(
        self, numbers: int | Iterable[int], headers: dict[str, str] | None = None
    ) -> list[PubAck]:
        """Publish messages by plain nats-py."""
        each = [numbers] if isinstance(numbers, int) else numbers
        return await asyncio.gather(*(self.publish_raw(_json(n), headers) for n in each))

    async def publish_raw(self, payload: bytes, headers: dict[str, str] | None = None) -> PubAck:
        jetstream = self.nc.jetstream(timeout=PATIENCE)
        return await jetstream.publish(self.event.name, payload, headers=headers)

    async def info(self, name: str = 'actor') -> ConsumerInfo:
        """What the server knows of the actor."""
        info: ConsumerInfo = await self.nc.jetstream().consumer_info(self.event.stream_name, name)
        return info

    async def unsettled(self, name: str = 'actor') -> int:
        """How many messages the actor hasn't settled, those that it hasn't got included."""
        info = await self.info(name)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def wait_settled(self, name: str = 'actor', seconds: float = PATIENCE) -> None:
        await until(self._is_settled, name, seconds=seconds)

    async def _is_settled(self, name: str) -> bool:
        return await self.unsettled(name) == 0

    async def take(self, count: int, seconds: float, name: str = 'actor') -> list[int]:
        """Be another worker: get so many messages of the actor within the time."""
        numbers: list[int] = []
        done = asyncio.Event()

        async def receive(msg: Msg) -> None:
            if msg.reply:
                numbers.append(json.loads(msg.data)['n'])
                await msg.ack()
            if len(numbers) >= count:
                done.set()

        inbox = self.nc.new_inbox()
        subscription = await self.nc.subscribe(inbox, cb=receive)
        subject = f'$JS.API.CONSUMER.MSG.NEXT.{self.event.stream_name}.{name}'
        request = {'batch': count, 'expires': int(seconds * 1e9)}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.nc.publish(subject, json.dumps(request).encode(), reply=inbox)
                await done.wait()
        await subscription.unsubscribe()
        return numbers


def _json(number: int) -> bytes:
    return b'{"n":%d}' % number


@pytest.fixture
def stage(server_url: str, nc: Client, unique: str) -> Stage:
    """An event of the test's own on the server that all share."""
    return Stage(server_url, nc, unique)


@contextlib.asynccontextmanager
async def own_stage(server: walnats.EmbeddedServer) -> AsyncIterator[Stage]:
    """An event on a server that the test may stop."""
    client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        yield Stage(server.url, client, 'own')
    finally:
        await client.close()


@pytest.fixture
async def own(server: walnats.EmbeddedServer) -> AsyncIterator[Stage]:
    """An event on the test's own server."""
    async with own_stage(server) as one:
        yield one
