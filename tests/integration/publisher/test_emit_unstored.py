"""Emitting what the server is there for, and doesn't store: the error has its reason."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import nats.js.errors
import pytest

import walnats
from walnats import (
    JetStreamDisabledError,
    NotConfirmedError,
    PermissionDeniedError,
    StreamFullError,
    StreamNotFoundError,
)
from walnats._jetstream import publish

from .conftest import settle, until, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.msg import Msg

    from .conftest import Accounts, Peer

    Logged = Callable[[], list[logging.LogRecord]]

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS, medium=walnats.Medium.MEMORY)
ALLOWED = walnats.Event('allowed', int, storage=KEPT)
LOCKED = walnats.Event('locked', int, storage=KEPT)
SECRET = walnats.Event('secret', int, storage=KEPT)
ALL = walnats.Events(ALLOWED, LOCKED, SECRET)


def complaints(logged: Logged) -> list[str]:
    """What the publisher has logged, if that is errors."""
    records = [record for record in logged() if record.name == 'walnats.publisher']
    assert {record.levelno for record in records} <= {logging.ERROR}
    return [record.getMessage() for record in records]


async def register(accounts: Accounts) -> None:
    async with ALL.connect(accounts.url('all')) as deployer:
        await deployer.register()


# --- No stream ---------------------------------------------------------------


async def test_sync_to_an_event_without_stream(server_url: str, peer: Peer, unique: str) -> None:
    event = walnats.Event(unique, int, storage=KEPT)
    async with walnats.Events(event).connect(server_url) as conn:
        async with asyncio.timeout(1):
            with pytest.raises(StreamNotFoundError) as caught:
                await conn.emit(event, 1, sync=True)
        assert isinstance(caught.value, nats.js.errors.NoStreamResponseError)
        assert isinstance(caught.value, nats.js.errors.NotFoundError)
        assert f"event '{unique}': the message is not stored" in str(caught.value)
        assert 'call `register`' in str(caught.value)
        assert caught.value.code == 503
        assert waiting(conn) == 0
        await conn.register()
        await conn.emit(event, 2, sync=True)
    assert await peer.payloads(event) == [b'2']


async def test_an_event_without_stream_is_logged_once(
    server_url: str, peer: Peer, unique: str, logged: Logged
) -> None:
    event, other = (walnats.Event(f'{unique}{n}', int, storage=KEPT) for n in (1, 2))
    async with walnats.Events(event, other).connect(server_url) as conn:
        for number in range(5):
            await conn.emit(event, number)
            await until(lambda: waiting(conn) == 0)
            await conn.emit(other, number)
        await conn.connection.flush()
        [first, second] = complaints(logged)
        assert f"event '{unique}1': the message is not stored: there is no stream" in first
        assert 'call `register`' in first
        assert f"event '{unique}2'" in second
        await conn.register()
        await conn.emit(event, 9, sync=True)
    assert await peer.payloads(event) == [b'9']


async def test_concurrent_first_emits_are_logged_once(
    server_url: str, unique: str, logged: Logged
) -> None:
    event = walnats.Event(unique, int)
    async with walnats.Events(event).connect(server_url) as conn:
        await asyncio.gather(*(conn.emit(event, number) for number in range(20)))
    assert len(complaints(logged)) == 1


async def test_who_shares_a_connection_shares_what_was_logged(
    server_url: str, unique: str, logged: Logged
) -> None:
    """A handler connects through its worker's connection for each message."""
    event = walnats.Event(unique, int)
    events = walnats.Events(event)
    async with events.connect(server_url) as conn:
        for number in range(3):
            async with events.connect(conn) as shared:
                await shared.emit(event, number)
        await conn.emit(event, 3)
    assert len(complaints(logged)) == 1


async def test_the_last_thing_a_program_does_is_logged_too(
    server_url: str, peer: Peer, unique: str, logged: Logged
) -> None:
    """JetStream answers later than the rest of the server, and is busy with other messages."""
    missing, small = (walnats.Event(f'{unique}{n}', int) for n in (1, 2))
    await peer.js.add_stream(name=small.name, subjects=[small.name], max_msg_size=1)
    async with walnats.Events(missing, small).connect(server_url) as conn:
        for _ in range(500):
            await conn.connection.publish(small.name, b'1')
        await conn.emit(missing, 1)
        await conn.emit(small, 10)
    assert len(complaints(logged)) == 2


async def test_another_stream_of_that_name(server_url: str, peer: Peer, unique: str) -> None:
    await peer.js.add_stream(name=unique, subjects=[f'{unique}.other'])
    event = walnats.Event(unique, int)
    async with walnats.Events(event).connect(server_url) as conn:
        async with asyncio.timeout(1):
            with pytest.raises(StreamNotFoundError, match=r'no stream .* that takes it'):
                await conn.emit(event, 1, sync=True)


async def test_a_stream_of_another_name_is_good_enough(
    server_url: str, peer: Peer, unique: str
) -> None:
    await peer.js.add_stream(name=f'{unique}-all', subjects=[f'{unique}.>'])
    event = walnats.Event(f'{unique}.placed', int)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.emit(event, 1, sync=True)
    assert (await peer.js.stream_info(f'{unique}-all')).state.messages == 1


async def test_no_stream_and_an_onlooker(
    server_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody is subscribed, the server doesn't say that nobody stores."""
    monkeypatch.setattr(publish, '_ATTEMPT_TIMEOUT', 0.2)
    event = walnats.Event(unique, int)
    async with walnats.Events(event).connect(server_url) as conn:
        with conn.monitor() as queue:
            with pytest.raises(StreamNotFoundError, match='call `register`'):
                await conn.emit(event, 1, sync=True)
            assert queue.get_nowait() == 1


async def test_no_stream_and_no_permission_to_ask(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, '_NO_STREAM_PATIENCE', 0.3)
    async with ALL.connect(accounts.url('mute')) as conn:
        with pytest.raises(StreamNotFoundError, match='call `register`'):
            await conn.emit(ALLOWED, 1, sync=True)
        await register(accounts)
        await conn.emit(ALLOWED, 2, sync=True)


# --- No permission -----------------------------------------------------------


@pytest.mark.parametrize('user', ['few', 'mute'])
async def test_sync_without_permission_to_publish(accounts: Accounts, user: str) -> None:
    await register(accounts)
    async with ALL.connect(accounts.url(user)) as conn:
        for _ in range(2):
            async with asyncio.timeout(1):
                with pytest.raises(PermissionError) as caught:
                    await conn.emit(SECRET, 1, sync=True)
            assert isinstance(caught.value, PermissionDeniedError)
            assert "event 'secret'" in str(caught.value)
            assert 'permissions violation for publish to "secret"' in str(caught.value)
            assert 'may have been stored' not in str(caught.value)
            assert waiting(conn) == 0
        await conn.emit(ALLOWED, 2, sync=True)


async def test_no_permission_to_publish_is_logged_once(accounts: Accounts, logged: Logged) -> None:
    await register(accounts)
    async with ALL.connect(accounts.url('few')) as conn:
        for number in range(5):
            await conn.emit(SECRET, number)
            await conn.connection.flush()
        [text] = complaints(logged)
        assert "event 'secret'" in text
        assert 'permissions violation for publish to "secret"' in text
        assert len([record for record in logged() if record.levelno >= logging.ERROR]) == 2
        await conn.emit(ALLOWED, 2, sync=True)


async def test_no_permission_to_hear_the_answer(accounts: Accounts, logged: Logged) -> None:
    """The message is stored; the error must not say otherwise."""
    await register(accounts)
    async with ALL.connect(accounts.url('deaf')) as conn:
        await conn.emit(SECRET, 1)
        await until(lambda: waiting(conn) == 0)
        [text] = complaints(logged)
        assert 'permissions violation for subscription to "_inbox.' in text
        assert text.endswith('; the message may have been stored')
        with pytest.raises(PermissionDeniedError) as caught:
            await conn.emit(SECRET, 2, uid='a', sync=True)
        assert "event 'secret'" in str(caught.value)
        assert "the message may have been stored, retry with uid 'a'" in str(caught.value)
        await conn.emit(SECRET, 3)
        await conn.connection.flush()
    async with ALL.connect(accounts.url('all')) as deployer:
        jetstream = deployer.connection.nc.jetstream()
        assert (await jetstream.stream_info('secret')).state.messages == 3


# --- Refused by the stream ---------------------------------------------------

LIMITS = [walnats.Limits(messages=2), walnats.Limits(bytes=250)]


@pytest.mark.parametrize('limits', LIMITS, ids=['messages', 'bytes'])
async def test_a_full_stream(
    server_url: str, peer: Peer, unique: str, limits: walnats.Limits, logged: Logged
) -> None:
    storage = walnats.Storage(
        retention=walnats.Retention.LIMITS,
        medium=walnats.Medium.MEMORY,
        discard=walnats.Discard.NEW,
    )
    event = walnats.Event(unique, int, limits=limits, storage=storage)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for number in range(2):
            await conn.emit(event, number, sync=True)
        async with asyncio.timeout(1):
            with pytest.raises(StreamFullError) as caught:
                await conn.emit(event, 2, sync=True)
        assert isinstance(caught.value, nats.js.errors.ServerError)
        assert f"event '{unique}': the message is not stored: stream '{unique}' is full" in str(
            caught.value
        )
        assert 'exceeded' in str(caught.value)
        await conn.emit(event, 3, uid='as long as one that emit would make')
        await until(lambda: waiting(conn) == 0)
        assert [f"stream '{unique}' is full" in text for text in complaints(logged)] == [True]
        await peer.js.purge_stream(unique)
        await conn.emit(event, 4, sync=True)
    assert await peer.payloads(event) == [b'4']


async def test_a_stream_that_takes_nothing_more(server_url: str, peer: Peer, unique: str) -> None:
    """Sealed: a reason that walnats has no class of its own for."""
    await peer.js.add_stream(name=unique, subjects=[unique])
    info = await peer.js.stream_info(unique)
    await peer.js.update_stream(info.config.evolve(sealed=True))
    event = walnats.Event(unique, int)
    async with walnats.Events(event).connect(server_url) as conn:
        async with asyncio.timeout(1):
            with pytest.raises(walnats.JetStreamError, match='sealed') as caught:
                await conn.emit(event, 1, sync=True)
        assert f"event '{unique}': the message is not stored" in str(caught.value)
        assert caught.value.err_code == 10109


# --- No JetStream ------------------------------------------------------------


async def test_sync_without_jetstream(accounts: Accounts) -> None:
    async with ALL.connect(accounts.url('plain')) as conn:
        for _ in range(2):
            async with asyncio.timeout(1):
                with pytest.raises(JetStreamDisabledError) as caught:
                    await conn.emit(ALLOWED, 1, sync=True)
            assert isinstance(caught.value, nats.js.errors.ServiceUnavailableError)
            assert "event 'allowed': the message is not stored" in str(caught.value)
            assert 'JetStream' in str(caught.value)
        with conn.monitor() as queue:
            await conn.emit(ALLOWED, 2)
            async with asyncio.timeout(5):
                assert await queue.get() == 2


async def test_without_jetstream_is_logged_once(accounts: Accounts, logged: Logged) -> None:
    async with ALL.connect(accounts.url('plain')) as conn:
        for number in range(3):
            await conn.emit(ALLOWED, number)
            await until(lambda: waiting(conn) == 0)
    assert len(complaints(logged)) == 1


# --- Somebody else answers ---------------------------------------------------

ANSWERS = [b'', b'ok', b'{}', b'[]', b'null', b'{"seq": 1}', b'{"error": 1}', b'\xff', b'{"stream"']


@pytest.mark.parametrize('answer', ANSWERS)
async def test_somebody_answers_before_jetstream(
    server_url: str, peer: Peer, unique: str, answer: bytes, logged: Logged
) -> None:
    event = walnats.Event(unique, int, storage=KEPT)

    async def respond(message: Msg) -> None:
        await message.respond(answer)

    async with walnats.Events(event).connect(server_url) as conn:
        # No stream yet, so that the answer is the only one.
        subscription = await peer.nc.subscribe(unique, cb=respond)
        await settle(peer.nc)
        await conn.emit(event, 1)
        await until(lambda: waiting(conn) == 0)
        [text] = complaints(logged)
        assert 'somebody else answers to the subject' in text
        with pytest.raises(NotConfirmedError, match=r"may have been stored, retry with uid 'a'"):
            await conn.emit(event, 1, uid='a', sync=True)
        with pytest.raises(walnats.EmitManyError) as caught:
            await conn.emit_many(event, [1, 2], uid=str)
        assert [failed.error.uid for failed in caught.value.failed] == ['1', '2']  # type: ignore[attr-defined]
        await subscription.unsubscribe()
        await conn.register()
        await conn.emit(event, 2, uid='a', sync=True)
