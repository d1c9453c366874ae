"""One event, one actor, and publishers: what most scenarios are played with."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

import nats.errors
import pytest

import walnats
from walnats.errors import JetStreamTimeoutError, WalnatsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from walnats.types import ConnectedActors, ConnectedEvents

    from .ledger import Ledger, Tally

ACK_WAIT = 1.0
SHUTDOWN = 5.0
"""Seconds that a worker has to end, when it is asked to."""
FORGOTTEN = 200
"""Messages that a broker may deliver again when it's killed, at less than 1,000 per second: those
whose acknowledgements wait in line, 100 at most, and those of the last tenth of a second, of
which it hasn't written down that they're settled."""
HELD = 64
"""Messages that a worker may have at hand: what runs in 16 slots, and what it looks ahead."""
PATIENCE = 30.0
"""Seconds that something may take which only comes about or doesn't."""


class Scene:
    """Emits numbers, and has an actor handle them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.event: walnats.Event[int] = walnats.Event('number', int)
        self.numbers = itertools.count()
        self.padding = 0
        """Bytes that each message has besides the number, in a header."""

    def actor(
        self, handler: Callable[[int], Any] | None = None, **options: Any
    ) -> walnats.Actor[int, Any]:
        """Give the actor; its handler tells the ledger, or is the one given."""
        options = {'ack_wait': ACK_WAIT, 'max_ack_pending': 100, **options}
        return walnats.Actor('actor', self.event, handler or self.ledger.handle, **options)

    def busy_actor(self, seconds: float = 0.005, **options: Any) -> walnats.Actor[int, Any]:
        """Give an actor whose jobs take a moment, so that there are some in the middle."""

        async def handle(number: int) -> None:
            self.ledger.begin(number)
            await asyncio.sleep(seconds)
            self.ledger.handle(number)

        return self.actor(handle, **options)

    @contextlib.asynccontextmanager
    async def playing(
        self,
        url: Any,
        actor: walnats.Actor[int, Any] | None = None,
        *,
        lanes: int = 3,
        pause: float = 0.003,
        **options: Any,
    ) -> AsyncIterator[tuple[ConnectedActors, ConnectedEvents]]:
        """Emit and handle while the context lasts, over a connection each; it goes on to the end.

        When it's over, all is settled. At this pace it's less than 1,000 messages per second.
        """
        async with (
            self.worker(url, actor, **options) as worker,
            self.publisher(url, **options) as publisher,
            self.listening(worker),
        ):
            async with self.emitting(publisher, lanes=lanes, pause=pause):
                await self.progress()
                yield worker, publisher
                await self.progress()
            await self.finish(worker)

    @contextlib.asynccontextmanager
    async def worker(
        self, url: Any, actor: walnats.Actor[int, Any] | None = None, **options: Any
    ) -> AsyncIterator[ConnectedActors]:
        """Connect the actor and register it."""
        actors = walnats.Actors(actor or self.actor())
        async with actors.connect(url, **options) as conn:
            await conn.register()
            yield conn

    @contextlib.asynccontextmanager
    async def publisher(self, url: Any, **options: Any) -> AsyncIterator[ConnectedEvents]:
        """Connect the event and register it."""
        async with walnats.Events(self.event).connect(url, **options) as conn:
            await conn.register()
            yield conn

    @contextlib.asynccontextmanager
    async def listening(self, conn: ConnectedActors, **options: Any) -> AsyncIterator[None]:
        """Listen while the context lasts. It has to end in time, and without an error."""
        task = asyncio.create_task(conn.listen(**options))
        try:
            yield
        finally:
            # When the time is over, it has 5 s more to hand everything back.
            async with asyncio.timeout(SHUTDOWN + 6):
                if not task.done():
                    await conn.shutdown(timeout=SHUTDOWN)
                await task

    @contextlib.asynccontextmanager
    async def emitting(
        self, conn: ConnectedEvents, *, lanes: int = 3, pause: float = 0
    ) -> AsyncIterator[None]:
        """Emit one number after the other, in so many lanes, while the context lasts."""
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(self._emit_until(stopping, conn, pause)) for _ in range(lanes)]
        try:
            yield
            stopping.set()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def emit(self, conn: ConnectedEvents, count: int, *, delay: float | None = None) -> int:
        """Emit so many numbers, one after the other, and give the last one."""
        number = -1
        for number in itertools.islice(self.numbers, count):
            await self._emit_one(conn, number, delay)
        return number

    async def emit_many(self, conn: ConnectedEvents, numbers: Iterable[int]) -> None:
        """Emit the numbers from 0 on in bulk."""
        with self.ledger.emitting() as note_answer:
            summary = await conn.emit_many(
                self.event,
                numbers,
                meta=self._meta(),
                progress=lambda _: note_answer(),
            )
        for number in range(summary.stored + summary.duplicates):
            self.ledger.acknowledge(number)

    async def reach(self, count: int, seconds: float = PATIENCE) -> None:
        """Wait until so many messages were handled."""
        await _reach(self.ledger.handled, 'handled', count, seconds)

    async def progress(self, count: int = 20, seconds: float = PATIENCE) -> None:
        """Wait until so many more messages were acknowledged and handled."""
        acknowledged, handled = self.ledger.acknowledged, self.ledger.handled
        goals = acknowledged.count + count, handled.count + count
        await _reach(acknowledged, 'acknowledged', goals[0], seconds)
        await _reach(handled, 'handled', goals[1], seconds)

    async def finish(self, conn: ConnectedActors, seconds: float = PATIENCE) -> None:
        """Wait until the server has nothing more for the actor, and read the dead letters."""
        deadline = time.monotonic() + seconds
        while await self.unsettled(conn):
            assert time.monotonic() < deadline, 'the actor has not settled everything'
            await asyncio.sleep(0.02)
        for number in await self._read_letters(conn, deadline):
            self.ledger.bury(number)

    async def unsettled(self, conn: ConnectedActors) -> int:
        """How many messages the actor hasn't settled; 1 if nobody knows just now."""
        jetstream = conn.connection.nc.jetstream(timeout=1)
        try:
            info = await jetstream.consumer_info(self.event.stream_name, 'actor')
        except (nats.errors.Error, TimeoutError):
            return 1
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def _read_letters(self, conn: ConnectedActors, deadline: float) -> list[int]:
        """Give the numbers that are dead letters; their stream's only server may be starting."""
        while True:
            try:
                return [letter.message() async for letter in conn.dead_letters()]
            except JetStreamTimeoutError:
                assert time.monotonic() < deadline, 'the dead letters can not be read'

    def _meta(self) -> dict[str, str] | None:
        return {'Padding': 'x' * self.padding} if self.padding else None

    async def _emit_until(
        self, stopping: asyncio.Event, conn: ConnectedEvents, pause: float
    ) -> None:
        while not stopping.is_set():
            await self._emit_one(conn, next(self.numbers))
            await asyncio.sleep(pause)

    async def _emit_one(
        self, conn: ConnectedEvents, number: int, delay: float | None = None
    ) -> None:
        with self.ledger.emitting():
            try:
                await conn.emit(self.event, number, delay=delay, meta=self._meta(), sync=True)
            except WalnatsError:
                self.ledger.doubt(number)
            else:
                self.ledger.acknowledge(number)


async def _reach(tally: Tally, what: str, goal: int, seconds: float) -> None:
    try:
        await until(lambda: tally.count >= goal, seconds=seconds)
    except TimeoutError:
        pytest.fail(f'{goal - tally.count} more were to be {what} within {seconds:g} s')


async def until(condition: Callable[..., Any], *args: Any, seconds: float = PATIENCE) -> None:
    """Wait for something that gives no signal."""
    async with asyncio.timeout(seconds):
        while not condition(*args):
            await asyncio.sleep(0.005)
