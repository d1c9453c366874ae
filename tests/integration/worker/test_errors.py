"""What keeps a worker from getting messages is an error that says so, at once."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import nats
import pytest
from tests.integration.worker.conftest import until

import walnats
from walnats.errors import ConsumerNotFoundError, DeclarationError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.worker.conftest import Stage

NAME = 'limited'
NEXT = f'$JS.API.CONSUMER.MSG.NEXT.{NAME}.actor'
ACK = f'$JS.ACK.{NAME}.actor.>'


def users(*allowed: str) -> str:
    """Give a configuration with a user who may do all, and one who may publish only this."""
    subjects = ', '.join(f'"{subject}"' for subject in allowed)
    return f"""authorization {{ users: [
        {{ user: boss, password: boss }}
        {{ user: worker, password: worker, permissions: {{
            publish: {{ allow: [{subjects}] }}, subscribe: {{ allow: ["_INBOX.>"] }} }} }}
    ] }}"""


class Limited:
    """An event on a server where the worker may do little."""

    def __init__(self, url: str) -> None:
        self.event: walnats.Event[int] = walnats.Event(NAME, int)
        self.got: asyncio.Queue[int] = asyncio.Queue()
        self.actor = walnats.Actor('actor', self.event, self.got.put, max_attempts=1)
        self.boss = url.replace('//', '//boss:boss@')
        self.worker = url.replace('//', '//worker:worker@')

    async def register(self) -> None:
        async with walnats.Actors(self.actor, dead_letters=None).connect(self.boss) as conn:
            await conn.register()

    async def unregister(self) -> None:
        async with walnats.Actors(self.actor).connect(self.boss) as conn:
            await conn.unregister(self.actor.name)

    async def is_asked(self) -> bool:
        async with await nats.connect(self.boss) as nc:
            return bool((await nc.jetstream().consumer_info(NAME, self.actor.name)).num_waiting)

    async def emit(self, number: int) -> None:
        async with walnats.Events(self.event).connect(self.boss) as conn:
            await conn.emit(self.event, number, sync=True)

    async def listen(self, **options: Any) -> None:
        actors = walnats.Actors(self.actor, dead_letters=None)
        async with actors.connect(self.worker) as conn:
            await conn.listen(**options)


@pytest.fixture
async def limited(request: pytest.FixtureRequest) -> AsyncIterator[Limited]:
    async with walnats.EmbeddedServer(config=users(*request.param)) as server:
        yield Limited(server.url)


async def test_a_missing_consumer_is_an_error_at_once(stage: Stage) -> None:
    actor = stage.actor(stage.seen())
    async with walnats.Events(stage.event).connect(stage.url) as events:
        await events.register()
    async with stage.connect(actor, register=False) as conn:
        start = time.monotonic()
        with pytest.raises(ConsumerNotFoundError, match=r"'actor'.*call `register`"):
            await conn.listen()
        assert time.monotonic() - start < 1


@pytest.mark.parametrize('burst', [True, False])
async def test_a_missing_stream_is_the_same(stage: Stage, *, burst: bool) -> None:
    async with stage.connect(stage.actor(stage.seen()), register=False) as conn:
        start = time.monotonic()
        with pytest.raises(ConsumerNotFoundError, match='register'):
            await conn.listen(burst=burst)
        assert time.monotonic() - start < 1


@pytest.mark.parametrize('what', ['consumer', 'stream'])
async def test_what_is_deleted_while_it_listens(stage: Stage, what: str) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        task = asyncio.create_task(conn.listen())
        await stage.publish(1)
        await seen.wait(1)
        await until(is_asked, stage)
        jetstream = stage.nc.jetstream()
        if what == 'consumer':
            await jetstream.delete_consumer(stage.event.stream_name, 'actor')
        else:
            await jetstream.delete_stream(stage.event.stream_name)
        with pytest.raises(ConsumerNotFoundError, match='register'):
            await asyncio.wait_for(task, 5)


async def is_asked(stage: Stage) -> bool:
    return bool((await stage.info()).num_waiting)


async def test_an_error_of_one_actor_hands_back_the_jobs_of_all(stage: Stage, unique: str) -> None:
    gone = walnats.Event(f'{unique}-gone', int)
    seen = stage.seen(lambda _: asyncio.Event().wait())
    actors: list[walnats.Actor[Any, Any]] = [
        stage.actor(seen, ack_wait=30),
        walnats.Actor('gone', gone, lambda _: None),
    ]
    async with stage.connect(*actors) as conn:
        await stage.publish(1)
        task = asyncio.create_task(conn.listen())
        await seen.wait(1)
        await stage.nc.jetstream().delete_consumer(gone.stream_name, 'gone')
        with pytest.raises(ConsumerNotFoundError, match="'gone'"):
            await asyncio.wait_for(task, 5)
        assert await stage.take(1, 1) == [1]


async def test_an_error_waits_for_the_jobs_it_has_cancelled(stage: Stage) -> None:
    ended: list[int] = []

    async def handler(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            ended.append(1)

    seen = stage.seen(handler)
    async with stage.connect(stage.actor(seen)) as conn:
        await stage.publish(range(3))
        task = asyncio.create_task(conn.listen())
        await seen.wait(3)
        await stage.nc.jetstream().delete_consumer(stage.event.stream_name, 'actor')
        with pytest.raises(ConsumerNotFoundError):
            await asyncio.wait_for(task, 5)
        assert len(ended) == 3


@pytest.mark.parametrize('limited', [(ACK,)], indirect=True)
async def test_a_user_who_may_not_ask_for_messages(limited: Limited) -> None:
    await limited.register()
    with pytest.raises(PermissionDeniedError, match=r"publish to '\$JS\.API\.CONSUMER\.MSG\.NEXT"):
        await asyncio.wait_for(limited.listen(), 3)


@pytest.mark.parametrize('limited', [(ACK,)], indirect=True)
async def test_a_user_who_may_not_on_a_connection_of_the_users(limited: Limited) -> None:
    await limited.register()
    client = await nats.connect(limited.worker)
    try:
        async with walnats.Actors(limited.actor, dead_letters=None).connect(client) as conn:
            with pytest.raises(PermissionDeniedError):
                await asyncio.wait_for(conn.listen(), 3)
    finally:
        await client.close()


@pytest.mark.parametrize('limited', [(NEXT, ACK)], indirect=True)
async def test_the_least_privilege_that_works(limited: Limited) -> None:
    await limited.register()
    await limited.emit(7)
    task = asyncio.create_task(limited.listen())
    assert await asyncio.wait_for(limited.got.get(), 5) == 7
    await limited.emit(8)
    assert await asyncio.wait_for(limited.got.get(), 5) == 8
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize('limited', [(NEXT, ACK)], indirect=True)
async def test_with_least_privilege_a_consumer_may_be_without_a_leader_for_a_while(
    limited: Limited,
) -> None:
    """The server says the same of one that isn't there: here it comes late, and is made anew."""
    task = asyncio.create_task(limited.listen())
    await asyncio.sleep(1)
    await limited.register()
    await until(limited.is_asked)
    await asyncio.sleep(3)  # as long as the worker is patient: it's another while after that
    await limited.unregister()
    await limited.register()
    await limited.emit(7)
    assert await asyncio.wait_for(limited.got.get(), 4) == 7
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize('limited', [(NEXT, ACK)], indirect=True)
async def test_with_least_privilege_a_consumer_that_never_comes_is_an_error(
    limited: Limited,
) -> None:
    with pytest.raises(ConsumerNotFoundError, match='register'):
        await asyncio.wait_for(limited.listen(), 9)


@pytest.mark.parametrize(
    'options',
    [
        {'max_jobs': 0},
        {'max_jobs': True},
        {'batch': 0},
        {'poll_delay': 0},
        {'poll_delay': float('nan')},
        {'grace': -1},
        {'burst': 1},
        {'signals': (12345,)},
        {'signals': 15},
        {'signals': (signal.SIGKILL,)},
        {'signals': ([],)},
        {'max_polls': 0},
        {'max_threads': 0},
        {'max_processes': 0},
    ],
    ids=str,
)
async def test_options_that_can_not_be(stage: Stage, options: dict[str, Any]) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        with pytest.raises(DeclarationError, match=f'listen: {next(iter(options))}'):
            await conn.listen(**options)


@pytest.mark.parametrize('timeout', [-1, float('nan'), 'soon', None], ids=str)
async def test_a_time_that_can_not_be_is_no_shutdown(stage: Stage, timeout: Any) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen)) as conn:
        with pytest.raises(DeclarationError, match='shutdown: timeout must be'):
            await conn.shutdown(timeout)
        await stage.publish(1)
        await seen.wait(1)
