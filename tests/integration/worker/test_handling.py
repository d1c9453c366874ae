"""Messages reach their handlers, in whatever form the handler comes, and are settled."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import walnats

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.integration.worker.conftest import Item, Stage


async def test_typed_messages_are_handled_and_settled(stage: Stage) -> None:
    got: list[Item] = []
    seen = stage.seen(got.append)
    async with (
        stage.listening(stage.actor(seen)) as conn,
        walnats.Events(stage.event).connect(conn) as events,
    ):
        for number in range(20):
            await events.emit(stage.event, stage.item(number), sync=number % 2 == 0)
        await seen.wait(20)
        await stage.wait_settled()
    assert sorted(got, key=lambda item: item.n) == [stage.item(n) for n in range(20)]


async def test_each_actor_of_an_event_gets_each_message(stage: Stage) -> None:
    one, other = stage.seen(), stage.seen()
    async with stage.listening(stage.actor(one, 'one'), stage.actor(other, 'other')):
        await stage.publish(range(10))
        assert sorted(await one.wait(10)) == sorted(await other.wait(10)) == list(range(10))
        await stage.wait_settled('one')
        await stage.wait_settled('other')


async def test_actors_of_two_events_share_a_worker(stage: Stage, unique: str) -> None:
    @dataclass
    class Other:
        text: str

    event = walnats.Event(f'{unique}.other', Other)
    seen = stage.seen()
    texts: asyncio.Queue[str] = asyncio.Queue()
    async with stage.listening(
        stage.actor(seen), walnats.Actor('actor', event, lambda other: texts.put_nowait(other.text))
    ):
        await stage.publish(1)
        await stage.nc.jetstream().publish(event.name, b'{"text":"hello"}')
        await seen.wait(1)
        assert await asyncio.wait_for(texts.get(), 10) == 'hello'


async def test_messages_kept_from_before_are_handled(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)):
        await stage.publish(range(3))
    async with stage.listening(stage.actor(seen)):
        assert sorted(await seen.wait(3)) == [0, 1, 2]


class Handlers:
    """One way of handling per attribute; each leaves the number in the queue."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[int] = asyncio.Queue()
        self.partial = functools.partial(self._with_more, 'more')
        self.partial_async = functools.partial(self._with_more_async, more='more')
        self.object = Callable_(self.got)

    def sync(self, item: Item) -> None:
        self.got.put_nowait(item.n)

    async def asynchronous(self, item: Item) -> None:
        await asyncio.sleep(0)
        self.got.put_nowait(item.n)

    def returns_coroutine(self, item: Item) -> Awaitable[None]:
        return self.asynchronous(item)

    def returns_task(self, item: Item) -> Awaitable[None]:
        return asyncio.get_running_loop().create_task(self.asynchronous(item))

    def _with_more(self, more: str, item: Item) -> None:
        assert more == 'more'
        self.got.put_nowait(item.n)

    async def _with_more_async(self, item: Item, more: str) -> None:
        self._with_more(more, item)


class Callable_:  # noqa: N801 -- `Callable` is taken
    def __init__(self, got: asyncio.Queue[int]) -> None:
        self.got = got

    async def __call__(self, item: Item) -> None:
        self.got.put_nowait(item.n)


@pytest.mark.parametrize(
    'name',
    [
        'sync',
        'asynchronous',
        'returns_coroutine',
        'returns_task',
        'partial',
        'partial_async',
        'object',
    ],
)
async def test_any_callable_is_a_handler(stage: Stage, name: str) -> None:
    handlers = Handlers()
    handler: Callable[[Item], Any] = getattr(handlers, name)
    async with stage.connect(stage.actor(handler)) as conn:
        await stage.publish(7)
        await conn.listen(burst=True, poll_delay=0.5)
        assert handlers.got.get_nowait() == 7
        await stage.wait_settled(seconds=1)


async def test_a_handler_emits_over_the_connection_of_the_worker(stage: Stage, unique: str) -> None:
    announced = walnats.Event(f'{unique}.announced', int)
    got: asyncio.Queue[int] = asyncio.Queue()
    connections: list[Any] = []

    async def forward(item: Item) -> None:
        async with walnats.Events(announced).connect(connections[0]) as events:
            await events.emit(announced, item.n * 10, sync=item.n == 1)

    actors: list[walnats.Actor[Any, Any]] = [
        stage.actor(forward),
        walnats.Actor('listener', announced, got.put),
    ]
    async with stage.listening(*actors) as conn:
        connections.append(conn)
        await stage.publish([1, 2])
        assert {await asyncio.wait_for(got.get(), 10) for _ in range(2)} == {10, 20}
        assert conn.connection.nc.is_connected


async def test_what_a_handler_sets_in_its_context_is_not_seen_by_the_next(stage: Stage) -> None:
    variable = contextvars.ContextVar('variable', default='nothing')
    found: list[str] = []

    async def handler(_: Item) -> None:
        found.append(variable.get())
        variable.set('something')
        await asyncio.sleep(0)

    variable.set('of the caller')
    actors = [stage.actor(handler, name) for name in ('one', 'two', 'three')]
    async with stage.listening(*actors, max_jobs=1):
        # Messages wait for the one slot: it is the end of a job that starts the next.
        await stage.publish(range(5))
        for name in ('one', 'two', 'three'):
            await stage.wait_settled(name)
    assert found == ['of the caller'] * 15


async def test_nothing_is_logged_while_all_goes_well(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, 'walnats')
    seen = stage.seen()
    async with walnats.Events(stage.event).connect(stage.url) as events:
        await events.register()
        async with stage.listening(stage.actor(seen)) as conn:
            for number in range(10):
                await events.emit(stage.event, stage.item(number), sync=number > 5)
            await seen.wait(10)
            await conn.shutdown()
        await events.register()
        await stage.burst(stage.actor(seen))
    assert [record for record in caplog.records if record.name.startswith('walnats')] == []


async def test_after_listening_nothing_is_left(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen), stage.actor(seen, 'other')) as conn:
        await stage.publish(0)
        before = asyncio.all_tasks()
        subscriptions = set(conn.connection.nc._subs)
        for _ in range(3):
            task = asyncio.create_task(conn.listen())
            count = len(seen.numbers)
            await stage.publish(range(20))
            await seen.wait(count + 40)
            await conn.shutdown()
            await task
        assert set(conn.connection.nc._subs) == subscriptions
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize('seconds', [0, 0.001, 0.05])
async def test_after_cancelling_nothing_is_left(stage: Stage, seconds: float) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        await stage.publish(range(50))
        before = asyncio.all_tasks()
        subscriptions = set(conn.connection.nc._subs)
        task = asyncio.create_task(conn.listen())
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert set(conn.connection.nc._subs) == subscriptions
        assert asyncio.all_tasks() == before
