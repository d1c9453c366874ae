"""Emitting many messages while the server does its part."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

import walnats
from walnats import DeclarationError, DeclarationTypeError, EmitManyError, HeaderError
from walnats._publisher import bulk

from .conftest import until, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from walnats.types import ConnectedEvents

    from .conftest import Peer

pytestmark = pytest.mark.usefixtures('no_leaks')

KEPT = walnats.Storage(retention=walnats.Retention.LIMITS, medium=walnats.Medium.MEMORY)
NOT_KEPT = walnats.Storage(medium=walnats.Medium.MEMORY)
STRICT = walnats.Storage(
    retention=walnats.Retention.LIMITS,
    medium=walnats.Medium.MEMORY,
    discard=walnats.Discard.NEW,
)


def int_event(name: str, **options: Any) -> walnats.Event[int]:
    return walnats.Event(name, int, **{'storage': KEPT, **options})


async def slowly(numbers: range) -> AsyncIterator[int]:
    for number in numbers:
        await asyncio.sleep(0)
        yield number


# --- What is emitted ---------------------------------------------------------


@pytest.mark.parametrize('count', [0, 1, 3000])
@pytest.mark.parametrize('kind', ['list', 'generator', 'async generator'])
async def test_each_message_is_stored(
    server_url: str, peer: Peer, unique: str, count: int, kind: str
) -> None:
    event = int_event(unique)
    numbers = range(count)
    messages: dict[str, Any] = {
        'list': list(numbers),
        'generator': (number for number in numbers),
        'async generator': slowly(numbers),
    }
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        assert await conn.emit_many(event, messages[kind]) == walnats.types.EmitSummary(count, 0)
        assert waiting(conn) == 0
    assert await peer.payloads(event) == [b'%d' % number for number in numbers]


async def test_options_are_those_of_emit(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique)
    placed = walnats.CloudEvent('id', '/orders', 'placed')
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        await conn.emit_many(event, [1], uid=str, trace_id='t', delay=60, meta=placed)
        await conn.emit_many(event, [2], uid=str, meta={'X-A': 'b'}, delay=0)
    first, second = [message.headers or {} for message in await peer.stored(event)]
    assert 'Walnats-Delay' in first
    expected = {**placed.as_headers(), 'Nats-Msg-Id': '1', 'Walnats-Trace': 't'}
    assert {**first, **expected} == first
    assert second == {'Nats-Msg-Id': '2', 'X-A': 'b'}


async def test_uids_of_our_own_differ(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for _ in range(2):
            assert await conn.emit_many(event, [7] * 100) == walnats.types.EmitSummary(100, 0)
    uids = {(message.headers or {})['Nats-Msg-Id'] for message in await peer.stored(event)}
    assert len(uids) == 200


async def test_duplicates_are_counted(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique)
    seen: list[int] = []
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        summary = await conn.emit_many(
            event, [n % 100 for n in range(250)], uid=str, progress=seen.append
        )
        assert summary == walnats.types.EmitSummary(stored=100, duplicates=150)
        assert seen[-1] == 250
        summary = await conn.emit_many(event, range(110), uid=str)
        assert summary == walnats.types.EmitSummary(stored=10, duplicates=100)
    assert await peer.payloads(event) == [b'%d' % number for number in range(110)]


async def test_two_at_once_on_one_connection(server_url: str, peer: Peer, unique: str) -> None:
    one, two = int_event(f'{unique}1'), int_event(f'{unique}2')
    async with walnats.Events(one, two).connect(server_url) as conn:
        await conn.register()
        summaries = await asyncio.gather(
            conn.emit_many(one, range(3000)),
            conn.emit_many(two, slowly(range(2000))),
            conn.emit_many(one, range(3000, 4000)),
            *(conn.emit(one, number, sync=True) for number in range(4000, 4100)),
        )
        assert [summary.stored for summary in summaries[:3] if summary] == [3000, 2000, 1000]
        assert waiting(conn) == 0
    assert sorted(map(int, await peer.payloads(one))) == list(range(4100))
    assert list(map(int, await peer.payloads(two))) == list(range(2000))


# --- Memory and progress -----------------------------------------------------


async def test_only_a_window_is_in_memory(server_url: str, unique: str) -> None:
    """200,000 messages: no more of them are taken than a window ahead of what is stored."""
    event = int_event(unique, storage=NOT_KEPT)
    count, taken, acknowledged, ahead = 200_000, 0, 0, 0
    seen: list[int] = []

    def numbers() -> Iterator[int]:
        nonlocal taken, ahead
        for taken in range(1, count + 1):
            ahead = max(ahead, taken - acknowledged)
            yield taken

    def progress(number: int) -> None:
        nonlocal acknowledged
        acknowledged = number
        seen.append(number)

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        summary = await conn.emit_many(event, numbers(), progress=progress)
    assert summary.stored == taken == count == seen[-1]
    assert seen == sorted(set(seen))
    assert 100 < ahead <= bulk._WINDOW + 1


@pytest.mark.parametrize('size', [64 * 1024, 1_000_000])
async def test_only_so_many_bytes_are_in_memory(server_url: str, unique: str, size: int) -> None:
    event = walnats.Event(unique, bytes, storage=NOT_KEPT)
    taken, acknowledged, ahead = 0, 0, 0

    def payloads() -> Iterator[bytes]:
        nonlocal taken, ahead
        for taken in range(1, 60_000_000 // size):
            ahead = max(ahead, taken - acknowledged)
            yield bytes(size)

    def progress(number: int) -> None:
        nonlocal acknowledged
        acknowledged = number

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        summary = await conn.emit_many(event, payloads(), progress=progress)
    assert summary.stored == taken
    assert ahead * size <= bulk._WINDOW_BYTES + 2 * size


async def test_others_run_meanwhile(server_url: str, unique: str) -> None:
    """Neither many messages nor many that fail keep the event loop for themselves."""
    event = int_event(unique, storage=NOT_KEPT)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        messages: list[Any] = [1, 'not encodable']
        for message in messages:
            emitting = asyncio.create_task(conn.emit_many(event, [message] * 20_000))
            turns = 0
            while not emitting.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > 10
            emitting.exception()


# --- Failures of single messages ---------------------------------------------


async def emit_failing(
    conn: ConnectedEvents, event: walnats.Event[Any], messages: Any, **options: Any
) -> EmitManyError:
    with pytest.raises(EmitManyError) as caught:
        await conn.emit_many(event, messages, **options)
    assert waiting(conn) == 0
    error = caught.value
    assert [failed.index for failed in error.failed] == sorted({f.index for f in error.failed})
    assert f"event '{event.name}': messages stored: {error.summary.stored}" in str(error)
    return error


async def test_messages_that_cannot_be_encoded(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique)
    messages = [number if number % 10 else 'bad' for number in range(2500)]
    seen: list[int] = []
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        error = await emit_failing(conn, event, messages, progress=seen.append)
        assert [failed.index for failed in error.failed] == list(range(0, 2500, 10))
        assert {failed.message for failed in error.failed} == {'bad'}
        assert all(isinstance(failed.error, TypeError) for failed in error.failed)
        assert error.summary == walnats.types.EmitSummary(2250, 0)
        assert seen[-1] == 2250
        assert "failed: 250, the first at index 0: event '" in str(error)
        await conn.emit(event, 1, sync=True)
    assert await peer.count(event) == 2251


async def test_messages_that_are_too_big(server_url: str, peer: Peer, unique: str) -> None:
    """Too big for what is declared, for the stream, for the server: three places that say so."""
    event = walnats.Event(unique, bytes, storage=KEPT)
    await peer.js.add_stream(name=unique, subjects=[unique], max_msg_size=5000, storage='memory')
    sizes = [10, 6000, 20, 2_000_000, 30]
    async with walnats.Events(event).connect(server_url) as conn:
        error = await emit_failing(conn, event, map(bytes, sizes))
        assert [failed.index for failed in error.failed] == [1, 3]
        assert all(isinstance(f.error, walnats.MaxPayloadError) for f in error.failed)
        assert 'stream' in str(error.failed[0].error)
        assert 'server' in str(error.failed[1].error)
        assert [len(failed.message) for failed in error.failed] == [6000, 2_000_000]
    assert sorted(map(len, await peer.payloads(event))) == [10, 20, 30]


async def test_a_stream_that_gets_full(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique, limits=walnats.Limits(messages=700), storage=STRICT)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        error = await emit_failing(conn, event, range(2500))
        assert [failed.index for failed in error.failed] == list(range(700, 2500))
        assert all(failed.index == failed.message for failed in error.failed)
        assert all(isinstance(f.error, walnats.StreamFullError) for f in error.failed)
        assert error.summary.stored == 700
        await peer.js.purge_stream(unique)
        assert (await conn.emit_many(event, range(10))).stored == 10
    assert await peer.count(event) == 10


async def test_a_uid_function_that_fails(server_url: str, peer: Peer, unique: str) -> None:
    event = int_event(unique)
    uids: dict[int, Any] = {0: 'a', 1: 7, 2: 'b', 3: '', 4: 'c', 5: 'é', 6: None}
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        error = await emit_failing(conn, event, range(8), uid=uids.__getitem__)
    assert [failed.index for failed in error.failed] == [1, 3, 5, 6, 7]
    kinds = [type(failed.error) for failed in error.failed]
    assert kinds[:3] == [walnats.HeaderTypeError, HeaderError, HeaderError]
    assert kinds[3:] == [walnats.HeaderTypeError, KeyError]
    assert await peer.payloads(event) == [b'0', b'2', b'4']


async def test_failing_in_every_way_and_small_windows(
    server_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the window and however the answers come: each message is accounted for."""
    event = int_event(unique, limits=walnats.Limits(messages=50), storage=STRICT)
    dice = random.Random(7)

    async def hesitantly(count: int) -> AsyncIterator[Any]:
        for number in range(count):
            for _ in range(dice.choice((0, 0, 0, 1, 2, 5))):
                await asyncio.sleep(0)
            yield 'bad' if dice.random() < 0.1 else number

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for _ in range(150):
            window = dice.choice((1, 2, 3, 4, 8, 64))
            monkeypatch.setattr(bulk, '_WINDOW', window)
            monkeypatch.setattr(bulk, '_RESCUERS', dice.choice((1, 1, 2, 3, 64)))
            async with asyncio.timeout(10):
                error = await emit_failing(conn, event, hesitantly(60 + window))
            assert error.summary.stored + len(error.failed) == 60 + window


# --- Fatal errors ------------------------------------------------------------


async def test_no_stream(server_url: str, unique: str) -> None:
    event = int_event(unique)
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async with walnats.Events(event).connect(server_url) as conn:
        async with asyncio.timeout(5):
            error = await emit_failing(conn, event, endless())
        assert len(error.failed) == taken <= 2 * bulk._WINDOW
        assert all(isinstance(f.error, walnats.StreamNotFoundError) for f in error.failed)
        assert 'no more were taken: ' in str(error)
        assert 'call `register`' in str(error)
        await conn.register()
        assert (await conn.emit_many(event, [1])).stored == 1


async def test_closed_before(server_url: str, unique: str) -> None:
    """No message is taken, so there is nothing to be told of each."""
    event = int_event(unique)
    events = walnats.Events(event)
    async with events.connect(server_url) as conn:
        await conn.register()
        await conn.emit_many(event, [1])
    for _ in range(2):
        messages = iter([1, 2])
        with pytest.raises(walnats.ConnectionClosedError, match=f"event '{unique}'"):
            await conn.emit_many(event, messages)
        assert next(messages) == 1


# --- Errors of the caller ----------------------------------------------------


class OurError(Exception):
    pass


@pytest.mark.parametrize('kind', ['generator', 'async generator'])
async def test_an_error_in_the_middle_of_the_messages(
    server_url: str, peer: Peer, unique: str, kind: str
) -> None:
    event = int_event(unique)

    def numbers() -> Iterator[Any]:
        yield from range(1500)
        yield 'bad'
        raise OurError

    async def async_numbers() -> AsyncIterator[Any]:
        for number in numbers():
            yield number

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with pytest.raises(OurError) as caught:
            await conn.emit_many(event, numbers() if kind == 'generator' else async_numbers())
        assert waiting(conn) == 0
        assert caught.value.__notes__ == [f"event '{unique}': messages stored: 1500, failed: 1"]
        await conn.emit(event, 1500, sync=True)
    assert await peer.payloads(event) == [b'%d' % number for number in range(1501)]


@pytest.mark.parametrize(('count', 'size'), [(10, 1), (2000, 1), (20, 400_000)])
async def test_an_error_in_progress(
    server_url: str, peer: Peer, unique: str, *, count: int, size: int
) -> None:
    event = walnats.Event(unique, bytes, storage=KEPT)
    calls = 0

    def progress(_: int) -> None:
        nonlocal calls
        calls += 1
        raise OurError

    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with pytest.raises(OurError) as caught:
            await conn.emit_many(event, [bytes(size)] * count, progress=progress)
        stored = await peer.count(event)
        assert calls == 1
        assert caught.value.__notes__ == [f"event '{unique}': messages stored: {stored}, failed: 0"]
        assert waiting(conn) == 0
        await conn.emit(event, b'', sync=True)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'messages': 5}, DeclarationTypeError, 'messages must be an iterable.*not one int'),
    ({'messages': 'text'}, DeclarationTypeError, 'messages must be an iterable.*not one str'),
    ({'messages': None}, DeclarationTypeError, 'messages must be an iterable'),
    ({'uid': 'a'}, DeclarationTypeError, 'uid must be a function'),
    ({'uid': asyncio.sleep}, DeclarationTypeError, 'uid must be a function, and not an async one'),
    ({'progress': 7}, DeclarationTypeError, 'progress must be a function'),
    ({'progress': asyncio.sleep}, DeclarationTypeError, 'progress must be a function, and not an'),
    ({'trace_id': ''}, HeaderError, 'trace_id must not be empty'),
    ({'meta': {'Status': '1'}}, HeaderError, "'Status' is reserved"),
    ({'meta': 7}, HeaderError, 'meta must be a CloudEvent or a dict'),
    ({'delay': -1}, DeclarationError, 'delay must be from 0'),
    ({'delay': 'soon'}, DeclarationTypeError, 'delay must be a number'),
    (
        {'meta': walnats.CloudEvent('id', '/orders', 'placed')},
        DeclarationError,
        'a CloudEvent for many messages needs `uid`',
    ),
]


@pytest.mark.parametrize(('options', 'error', 'text'), BAD)
async def test_bad_arguments_are_refused_before_a_message_is_taken(
    server_url: str, peer: Peer, unique: str, *, options: Any, error: Any, text: str
) -> None:
    event = int_event(unique)
    messages = iter([1, 2])
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        with pytest.raises(error, match=text):
            await conn.emit_many(event, **{'messages': messages, **options})
        assert next(messages) == 1
        assert (await conn.emit_many(event, messages)).stored == 1
    assert await peer.payloads(event) == [b'2']


# --- Cancelled ---------------------------------------------------------------


async def endlessly() -> AsyncIterator[int]:
    number = 0
    while True:
        number += 1
        yield number


async def test_cancelling_is_prompt_and_leaves_nothing_behind(
    server_url: str, peer: Peer, unique: str
) -> None:
    event = int_event(unique)
    seen: list[int] = []
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        emitting = asyncio.create_task(conn.emit_many(event, endlessly(), progress=seen.append))
        await until(lambda: bool(seen))
        emitting.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await emitting
        assert waiting(conn) == 0
        await conn.emit(event, 0, sync=True)
        assert (await conn.emit_many(event, [1, 2, 3])).stored == 3
        assert (await peer.payloads(event))[-4:] == [b'0', b'1', b'2', b'3']


async def test_cancelling_at_any_moment_of_a_failure(
    server_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With messages that are on their way, that failed, and that are sent again."""
    monkeypatch.setattr(bulk, '_WINDOW', 16)
    monkeypatch.setattr(bulk, '_RESCUERS', 4)
    event = int_event(unique, limits=walnats.Limits(messages=20), storage=STRICT)
    dice = random.Random(3)
    async with walnats.Events(event).connect(server_url) as conn:
        await conn.register()
        for _ in range(60):
            emitting = asyncio.create_task(conn.emit_many(event, endlessly()))
            for _ in range(dice.randrange(150)):
                await asyncio.sleep(0)
            emitting.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait({emitting})
            assert emitting.cancelled()
            assert waiting(conn) == 0
