"""Emitting many messages while the server is killed, frozen, closed or forbids it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import nats
import pytest
from tests.servers import stopped

import walnats
from walnats import EmitManyError, NotConfirmedError
from walnats._jetstream import publish
from walnats._publisher import bulk
from walnats.types import EmitSummary

from .conftest import PATIENCE, Link, peer_on, until, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from .conftest import Accounts

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS)
EVENT = walnats.Event('placed', int, storage=KEPT)
EVENTS = walnats.Events(EVENT)
ALL = walnats.Events(
    *(walnats.Event(name, int, storage=KEPT) for name in ('allowed', 'locked', 'secret'))
)
SECRET: Any = ALL.get('secret')
ALLOWED: Any = ALL.get('allowed')


class Source:
    """Numbers without end, until told to stop."""

    def __init__(self) -> None:
        self.taken = 0
        self.stopped = False
        self.acknowledged = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        while not self.stopped:
            self.taken += 1
            yield self.taken - 1
            await asyncio.sleep(0)

    def progress(self, count: int) -> None:
        self.acknowledged = count


async def numbers(server: walnats.EmbeddedServer) -> list[int]:
    """What the stream has."""
    async with peer_on(server.url) as peer:
        return sorted(int(payload) for payload in await peer.payloads(EVENT))


# --- Killed ------------------------------------------------------------------


async def test_killed_and_restarted_in_the_middle(server: walnats.EmbeddedServer) -> None:
    source = Source()
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        emitting = asyncio.create_task(conn.emit_many(EVENT, source, progress=source.progress))
        for _ in range(3):
            before = source.acknowledged
            await until(lambda before=before: source.acknowledged > before + 500)  # type: ignore[misc]
            await server.kill()
            await server.start()
        before = source.acknowledged
        await until(lambda: source.acknowledged > before)
        source.stopped = True
        summary = await emitting
        assert summary == EmitSummary(source.taken, 0)
        assert waiting(conn) == 0
    assert await numbers(server) == list(range(source.taken))


async def test_what_was_on_its_way_is_sent_again_at_once(
    server: walnats.EmbeddedServer,
) -> None:
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        await conn.emit(EVENT, -1, sync=True)
        with stopped(server.pid):
            emitting = asyncio.create_task(conn.emit_many(EVENT, range(100)))
            await until(lambda: waiting(conn) == 100)
            await conn.connection.nc._flush_pending(force_flush=True)
            await server.kill()
        await server.start()
        async with asyncio.timeout(bulk._ANSWER_TIMEOUT - 1):
            assert await emitting == EmitSummary(100, 0)
    assert await numbers(server) == list(range(-1, 100))


async def test_uids_of_the_caller_across_a_crash(server: walnats.EmbeddedServer) -> None:
    source = Source()
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        emitting = asyncio.create_task(
            conn.emit_many(EVENT, source, uid=str, progress=source.progress)
        )
        await until(lambda: source.acknowledged > 500)
        await server.kill()
        await server.start()
        before = source.acknowledged
        await until(lambda: source.acknowledged > before)
        source.stopped = True
        summary = await emitting
        # A repeat of ours looks like a duplicate, but each message counts once.
        assert summary.stored + summary.duplicates == source.taken
    assert await numbers(server) == list(range(source.taken))


async def test_small_windows_and_few_rescuers_across_a_crash(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        total = 0
        for window, rescuers in ((1, 1), (3, 2), (64, 64)):
            monkeypatch.setattr(bulk, '_WINDOW', window)
            monkeypatch.setattr(bulk, '_RESCUERS', rescuers)
            source = Source()
            emitting = asyncio.create_task(conn.emit_many(EVENT, source, progress=source.progress))
            await until(lambda source=source: source.acknowledged > 20)  # type: ignore[misc]
            await server.kill()
            await server.start()
            before = source.acknowledged
            await until(lambda s=source, b=before: s.acknowledged > b)  # type: ignore[misc]
            source.stopped = True
            assert (await emitting).stored == source.taken
            total += source.taken
    assert len(await numbers(server)) == total


async def test_memory_is_bounded_during_an_outage(server: walnats.EmbeddedServer) -> None:
    """The pending queue has room for 2 MiB; what doesn't fit is not piled up elsewhere."""
    link = Link()
    event = walnats.Event('big', bytes, storage=walnats.Storage(retention=walnats.Retention.LIMITS))
    taken = 0

    def payloads() -> Iterator[bytes]:
        nonlocal taken
        while taken < 40:
            taken += 1
            yield bytes(1_000_000)

    async with walnats.Events(event).connect(server.url, **link.options) as conn:
        await conn.register()
        await server.kill()
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
        before = conn.connection.nc.stats['out_msgs']
        emitting = asyncio.create_task(conn.emit_many(event, payloads()))
        await until(lambda: conn.connection.nc.stats['out_msgs'] > before)
        for _ in range(200):
            await asyncio.sleep(0)
        assert taken * 1_000_000 <= bulk._WINDOW_BYTES + 2_000_000
        await server.start()
        assert await emitting == EmitSummary(40, 0)
        async with peer_on(server.url) as peer:
            assert await peer.count(event) == 40


async def test_without_a_pending_queue(server: walnats.EmbeddedServer) -> None:
    link = Link()
    async with EVENTS.connect(server.url, pending_size=0, **link.options) as conn:
        await conn.register()
        await server.kill()
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
        emitting = asyncio.create_task(conn.emit_many(EVENT, range(100)))
        await until(lambda: waiting(conn) >= bulk._RESCUERS)
        await server.start()
        assert await emitting == EmitSummary(100, 0)
    assert await numbers(server) == list(range(100))


async def test_an_outage_that_lasts_too_long(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a queue nothing was sent: it says so, and takes no more messages."""
    link = Link()
    monkeypatch.setattr(bulk, '_WINDOW', 100)
    async with EVENTS.connect(server.url, pending_size=0, **link.options) as conn:
        await conn.register()
        await server.kill()
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
        monkeypatch.setattr(publish, 'DEADLINE', 0.2)
        source = Source()
        async with asyncio.timeout(5):
            with pytest.raises(EmitManyError, match=r'no more were taken.*pending queue') as caught:
                await conn.emit_many(EVENT, source)
        kinds = {type(failed.error) for failed in caught.value.failed}
        assert kinds == {walnats.OutboundBufferLimitError}
        assert len(caught.value.failed) == source.taken
        monkeypatch.undo()
        await server.start()
        assert (await conn.emit_many(EVENT, [1])).stored == 1
    assert await numbers(server) == [1]


async def test_cancelled_during_an_outage(server: walnats.EmbeddedServer) -> None:
    source, link = Source(), Link()
    async with EVENTS.connect(server.url, **link.options) as conn:
        await conn.register()
        emitting = asyncio.create_task(conn.emit_many(EVENT, source, progress=source.progress))
        await until(lambda: source.acknowledged > 500)
        await server.kill()
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
        await until(lambda: waiting(conn) > 10)
        emitting.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await emitting
        assert waiting(conn) == 0
        await server.start()
        await conn.emit(EVENT, -1, sync=True)
    stored = await numbers(server)
    assert len(stored) == len(set(stored))


# --- Silent ------------------------------------------------------------------


async def test_a_server_that_keeps_silent(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each message has an error of its own, with the uid under which to emit it again."""
    monkeypatch.setattr(bulk, '_WINDOW', 200)
    monkeypatch.setattr(bulk, '_ANSWER_TIMEOUT', 0.2)
    source = Source()
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        await conn.emit(EVENT, -1, sync=True)
        monkeypatch.setattr(publish, 'DEADLINE', 0.2)
        with stopped(server.pid):
            async with asyncio.timeout(5):
                with pytest.raises(EmitManyError, match='no more were taken') as caught:
                    await conn.emit_many(EVENT, source)
            assert waiting(conn) == 0
        monkeypatch.undo()
        failed = caught.value.failed
        assert [one.index for one in failed] == list(range(source.taken))
        uids = [one.error.uid for one in failed if isinstance(one.error, NotConfirmedError)]
        assert len(set(uids)) == len(uids) > bulk._RESCUERS
        for one in failed[: len(uids)]:
            assert f"retry with uid '{uids[one.index]}'" in str(one.error)
            await conn.emit(EVENT, one.message, uid=uids[one.index], sync=True)
        # One was taken while the error came that concerns all.
        for one in failed[len(uids) :]:
            assert "event 'placed': not sent, because: " in str(one.error)
        assert len(failed) - len(uids) <= 1
    assert await numbers(server) == [-1, *range(len(uids))]


async def test_a_server_that_is_slow(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is late is sent again, and stored once."""
    monkeypatch.setattr(bulk, '_ANSWER_TIMEOUT', 0.1)
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        with stopped(server.pid):
            emitting = asyncio.create_task(conn.emit_many(EVENT, range(500)))
            sent = conn.connection.nc.stats
            await until(lambda: sent['out_msgs'] > 500 + bulk._RESCUERS)
        assert await emitting == EmitSummary(500, 0)
    assert await numbers(server) == list(range(500))


# --- Closed ------------------------------------------------------------------


@pytest.mark.parametrize('is_frozen', [True, False])
async def test_closed_in_the_middle(server: walnats.EmbeddedServer, *, is_frozen: bool) -> None:
    source = Source()
    nc = await nats.connect(server.url)
    async with EVENTS.connect(nc) as conn:
        await conn.register()
        emitting = asyncio.create_task(conn.emit_many(EVENT, source, progress=source.progress))
        await until(lambda: source.acknowledged > 500)
        if is_frozen:
            with stopped(server.pid):
                await until(lambda: waiting(conn) > 10)
                await nc.close()
        else:
            await nc.close()
        async with asyncio.timeout(3):
            with pytest.raises(EmitManyError, match='no more were taken') as caught:
                await emitting
        failed = caught.value.failed
        kinds = {type(one.error) for one in failed}
        assert kinds <= {NotConfirmedError, walnats.ConnectionClosedError}
        if is_frozen:
            assert NotConfirmedError in kinds
        assert caught.value.summary.stored + len(failed) == source.taken
    # Those that are reported as stored are.
    stored = set(await numbers(server))
    unknown = {one.message for one in failed if isinstance(one.error, NotConfirmedError)}
    unsent = {one.message for one in failed} - unknown
    assert not stored & unsent
    assert len(stored | unknown) == caught.value.summary.stored + len(unknown)


async def test_the_context_ends_in_the_middle(server: walnats.EmbeddedServer) -> None:
    source = Source()
    async with EVENTS.connect(server.url) as conn:
        await conn.register()
        emitting = asyncio.create_task(conn.emit_many(EVENT, source, progress=source.progress))
        await until(lambda: source.acknowledged > 100)
    async with asyncio.timeout(3):
        with pytest.raises(EmitManyError, match='no more were taken'):
            await emitting
    assert waiting(conn) == 0


# --- Forbidden ---------------------------------------------------------------


async def fail_soon(emitting: Callable[[], Any], error: type[Exception]) -> EmitManyError:
    async with asyncio.timeout(5):
        with pytest.raises(EmitManyError, match='no more were taken') as caught:
            await emitting()
    assert {type(failed.error) for failed in caught.value.failed} == {error}
    assert caught.value.summary == EmitSummary(0, 0)
    return caught.value


async def test_no_permission_to_publish(accounts: Accounts) -> None:
    async with ALL.connect(accounts.url('all')) as deployer:
        await deployer.register()
    async with ALL.connect(accounts.url('few')) as conn:
        for _ in range(2):
            source = Source()
            error = await fail_soon(
                lambda source=source: conn.emit_many(SECRET, source),  # type: ignore[misc]
                walnats.PermissionDeniedError,
            )
            assert len(error.failed) == source.taken
            assert 'permissions violation for publish to "secret"' in str(error)
            assert waiting(conn) == 0
        assert await conn.emit_many(ALLOWED, range(10)) == EmitSummary(10, 0)


async def test_no_permission_to_hear_the_answers(accounts: Accounts) -> None:
    async with ALL.connect(accounts.url('all')) as deployer:
        await deployer.register()
    async with ALL.connect(accounts.url('deaf')) as conn:
        error = await fail_soon(
            lambda: conn.emit_many(SECRET, Source()), walnats.PermissionDeniedError
        )
        assert 'the message may have been stored, retry with uid' in str(error.failed[0].error)
        await conn.emit(ALLOWED, 1)


async def test_no_jetstream(accounts: Accounts) -> None:
    async with ALL.connect(accounts.url('plain')) as conn:
        error = await fail_soon(
            lambda: conn.emit_many(SECRET, Source()), walnats.JetStreamDisabledError
        )
        assert 'JetStream' in str(error)
