"""Looking on at what is emitted, without taking it from anybody."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import nats
import pytest

import walnats
from walnats import ConnectionClosedError, DeclarationError

from .conftest import PATIENCE, Link, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client

    from walnats.types import ConnectedEvents

    from .conftest import Accounts, Peer

    Logged = Callable[[], list[logging.LogRecord]]

pytestmark = pytest.mark.usefixtures('no_leaks')


def int_event(name: str) -> walnats.Event[int]:
    return walnats.Event(name, int, storage=walnats.Storage(medium=walnats.Medium.MEMORY))


async def take(queue: asyncio.Queue[Any], count: int) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return [await queue.get() for _ in range(count)]


def subscriptions(conn: ConnectedEvents) -> int:
    """What the client is subscribed to, without the inbox."""
    subjects = [sub.subject for sub in conn.connection.nc._subs.values()]
    return len([subject for subject in subjects if not subject.startswith('_INBOX')])


async def test_messages_of_all_events_from_now_on(server_url: str, peer: Peer, unique: str) -> None:
    numbers = int_event(f'{unique}.numbers')
    words = walnats.Event(f'{unique}-words', str)
    async with walnats.Events(numbers, words).connect(server_url) as conn:
        await conn.register()
        await conn.emit(numbers, 0, sync=True)
        with conn.monitor() as queue:
            assert isinstance(queue, asyncio.Queue)
            # Right after entering: nothing waits for the subscription.
            await conn.emit(numbers, 1)
            await conn.emit(words, 'two', uid='a', meta={'X-A': 'b'}, sync=True)
            await conn.emit_many(numbers, [3, 4])
            await peer.nc.publish(numbers.name, b'5')
            await peer.nc.publish(f'{unique}.other', b'6')
            await peer.nc.publish(words.name, b'"seven"')
            got = await take(queue, 6)
            assert queue.empty()
    # Each subject has an order of its own.
    assert [one for one in got if isinstance(one, int)] == [1, 3, 4, 5]
    assert [one for one in got if isinstance(one, str)] == ['two', 'seven']


async def test_events_without_stream_are_seen_too(server_url: str, unique: str) -> None:
    event = int_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        with conn.monitor() as queue:
            await conn.emit(event, 1)
            assert await take(queue, 1) == [1]


async def test_several_at_once(server_url: str, unique: str) -> None:
    event = int_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with conn.monitor() as first:
            await conn.emit(event, 1, sync=True)
            with conn.monitor() as second:
                await conn.emit(event, 2, sync=True)
                assert await take(second, 1) == [2]
            await conn.emit(event, 3, sync=True)
            assert await take(first, 3) == [1, 2, 3]
            assert second.empty()


async def test_a_full_queue_drops_the_oldest(server_url: str, unique: str, logged: Logged) -> None:
    event = int_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with conn.monitor(maxsize=10) as queue:
            await conn.emit_many(event, range(100))
            await until(lambda: queue.dropped == 90)
            assert queue.qsize() == 10
            assert await take(queue, 10) == list(range(90, 100))
            await conn.emit_many(event, range(100, 120))
            await until(lambda: queue.dropped == 100)
            assert await take(queue, 10) == list(range(110, 120))
    [record] = logged()
    assert record.levelno == logging.WARNING
    assert 'the queue of 10 messages is full, dropping the oldest' in record.getMessage()


async def test_what_cannot_be_decoded_is_logged_and_skipped(
    server_url: str, peer: Peer, unique: str, logged: Logged
) -> None:
    event = int_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with conn.monitor() as queue:
            await conn.emit(event, 1, sync=True)
            for payload in (b'secret', b'', b'\xff', b'[' * 100_000, b'2'):
                await peer.nc.publish(unique, payload)
            assert await take(queue, 2) == [1, 2]
            assert queue.empty()
    texts = [record.getMessage() for record in logged()]
    assert len(texts) == 4
    start = f"monitor: event '{unique}': can't decode the message"
    assert all(text.startswith(start) for text in texts)
    assert not any('secret' in text for text in texts)
    assert {record.levelno for record in logged()} == {logging.ERROR}


async def test_no_subscription_is_left(accounts: Accounts) -> None:
    events = [int_event(name) for name in ('allowed', 'locked', 'secret')]
    async with walnats.Events(*events).connect(accounts.url('all'), name='watcher') as conn:
        await conn.register()
        for _ in range(3):
            with conn.monitor():
                await conn.connection.flush()
                seen = await accounts.subscriptions('watcher')
                assert {'allowed', 'locked', 'secret'} < set(seen)
                assert len(seen) == 4
            await until(lambda: subscriptions(conn) == 0)
        await conn.connection.flush()
        assert len(await accounts.subscriptions('watcher')) == 1


async def test_no_subscription_is_left_after_an_error(server_url: str, unique: str) -> None:
    async with walnats.Events(int_event(unique)).connect(server_url) as conn:
        with pytest.raises(RuntimeError, match='ours'), conn.monitor():
            raise RuntimeError('ours')
        await until(lambda: subscriptions(conn) == 0)


async def test_it_takes_nothing_from_actors(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique)
    handled: list[int] = []
    actor = walnats.Actor('actor', event, handled.append)
    async with (
        walnats.Actors(actor, dead_letters=None).connect(server_url) as worker,
        walnats.Events(event).connect(server_url) as conn,
    ):
        await worker.register()
        with conn.monitor() as queue:
            await conn.emit_many(event, range(50))
            assert await take(queue, 50) == list(range(50))
            assert (await peer.js.consumer_info(unique, 'actor')).num_pending == 50
            async with asyncio.timeout(PATIENCE):
                await worker.listen(burst=True, poll_delay=0.1)
    assert sorted(handled) == list(range(50))


async def test_across_an_outage(server: walnats.EmbeddedServer) -> None:
    event = walnats.Event('watched', int)
    link = Link()
    async with walnats.Events(event).connect(server.url, **link.options) as conn:
        await conn.register()
        with conn.monitor() as queue:
            await conn.emit(event, 1, sync=True)
            await server.kill()
            await asyncio.wait_for(link.lost.wait(), PATIENCE)
            with conn.monitor() as entered_during_the_outage:
                await server.start()
                await conn.emit(event, 2, uid='a', sync=True)
                assert set(await take(entered_during_the_outage, 1)) == {2}
            assert (await take(queue, 2))[:2] == [1, 2]
        await until(lambda: subscriptions(conn) == 0)


async def test_left_during_an_outage(server: walnats.EmbeddedServer) -> None:
    event = walnats.Event('watched', int)
    link = Link()
    async with walnats.Events(event).connect(server.url, **link.options) as conn:
        await conn.register()
        with conn.monitor() as queue:
            await server.kill()
            await asyncio.wait_for(link.lost.wait(), PATIENCE)
        await server.start()
        await conn.emit(event, 1, sync=True)
        await conn.connection.flush()
        assert queue.empty()
        assert subscriptions(conn) == 0


async def test_no_permission_is_logged(accounts: Accounts, logged: Logged) -> None:
    allowed, secret = int_event('allowed'), int_event('secret')
    async with walnats.Events(allowed, secret).connect(accounts.url('deaf')) as conn:
        for _ in range(2):
            with conn.monitor() as queue:
                await conn.connection.flush()
                await conn.emit(allowed, 1)
                assert await take(queue, 1) == [1]
    complaints = [r.getMessage() for r in logged() if 'monitor' in r.getMessage()]
    assert len(complaints) == 2
    assert "monitor: event 'secret' can't be watched: permissions violation" in complaints[0]


async def test_to_look_on_one_needs_no_permission_to_publish(
    accounts: Accounts, logged: Logged
) -> None:
    event = int_event('secret')
    async with (
        walnats.Events(event).connect(accounts.url('reader')) as conn,
        walnats.Events(event).connect(accounts.url('all')) as other,
    ):
        with conn.monitor() as queue:
            await conn.emit(event, 1)  # denied
            await conn.connection.flush()
            await other.emit(event, 2)
            assert await take(queue, 1) == [2]
    assert not [r for r in logged() if 'monitor' in r.getMessage()]


@pytest.mark.parametrize('maxsize', [0, -1, 1.5, '10', None, True])
async def test_a_bad_size(server_url: str, unique: str, maxsize: Any) -> None:
    async with walnats.Events(int_event(unique)).connect(server_url) as conn:
        with (
            pytest.raises(DeclarationError, match='monitor: maxsize must be an integer from 1'),
            conn.monitor(maxsize),
        ):
            pass
        assert subscriptions(conn) == 0


async def test_a_closed_connection(server_url: str, unique: str) -> None:
    nc = await nats.connect(server_url)
    async with walnats.Events(int_event(unique)).connect(nc) as conn:
        await nc.close()
        with pytest.raises(ConnectionClosedError, match=f"'{unique}'"), conn.monitor():
            pass


async def test_a_context_that_is_over(server_url: str, nc: Client, unique: str) -> None:
    async with walnats.Events(int_event(unique)).connect(nc, close=False) as conn:
        pass
    with pytest.raises(ConnectionClosedError, match=f"'{unique}'"), conn.monitor():
        pass


@pytest.mark.parametrize('close', [True, False])
async def test_closed_while_somebody_looks_on(
    server_url: str, nc: Client, unique: str, *, close: bool
) -> None:
    context = walnats.Events(int_event(unique)).connect(server_url if close else nc, close=close)
    conn = await context.__aenter__()
    with conn.monitor():
        await context.__aexit__(None, None, None)
    await asyncio.sleep(0)


async def test_closed_right_after_looking_on(server_url: str, unique: str) -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    nc = await nats.connect(server_url)
    async with walnats.Events(int_event(unique)).connect(nc) as conn:
        with conn.monitor():
            pass
        await nc.close()
    gc.collect()  # an error that nobody has asked for is told when its task is collected
    assert problems == []
