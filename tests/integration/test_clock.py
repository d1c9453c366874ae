"""The clock, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import walnats
from walnats._jetstream import publish

if TYPE_CHECKING:
    from nats.aio.client import Client


def make_clock(name: str, *, period: float = 0.25, **kwargs: object) -> walnats.Clock:
    event = walnats.Event(
        name, datetime, storage=walnats.Storage(retention=walnats.Retention.LIMITS)
    )
    return walnats.Clock(event, period=period, **kwargs)  # type: ignore[arg-type]


async def read_stream(nc: Client, clock: walnats.Clock) -> list[tuple[datetime, datetime]]:
    """Give the message and the time it was stored, for each message of the clock."""
    js = nc.jetstream()
    info = await js.stream_info(clock.event.stream_name)
    found = []
    for seq in range(1, info.state.messages + 1):
        raw = await js.get_msg(clock.event.stream_name, seq)
        assert raw.data is not None
        assert raw.time is not None
        found.append((clock.event.decode(raw.data), raw.time))
    return found


async def run_until(nc: Client, clocks: list[walnats.Clock], url: str, ticks: int) -> None:
    """Run the clocks, each on a connection of its own, until the stream has so many ticks."""
    subscription = await nc.subscribe(clocks[0].event.name)

    async def run(clock: walnats.Clock) -> None:
        async with walnats.Events(clock.event).connect(url) as conn:
            await conn.register()
            await clock.run(conn)

    running = [asyncio.create_task(run(clock)) for clock in clocks]
    seen: set[bytes] = set()
    while len(seen) < ticks:
        seen.add((await subscription.next_msg(timeout=10)).data)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_ticks_are_whole_multiples_of_the_period_and_on_time(
    server_url: str, nc: Client, unique: str
) -> None:
    clock = make_clock(f'{unique}-ticks')
    await run_until(nc, [clock], server_url, ticks=4)
    found = await read_stream(nc, clock)
    assert len(found) >= 4
    for moment, stored_at in found:
        assert moment.tzinfo == UTC
        assert moment.timestamp() % 0.25 == 0
        assert 0 <= (stored_at - moment).total_seconds() < 0.2
    gaps = {
        (later - earlier).total_seconds() for (earlier, _), (later, _) in itertools.pairwise(found)
    }
    assert gaps == {0.25}


async def test_many_clocks_give_one_message_per_tick(
    server_url: str, nc: Client, unique: str
) -> None:
    clock = make_clock(f'{unique}-many')
    await run_until(nc, [clock] * 5, server_url, ticks=4)
    moments = [moment for moment, _ in await read_stream(nc, clock)]
    assert len(moments) == len(set(moments)) >= 4


async def test_burst_emits_the_next_tick_and_returns(
    server_url: str, nc: Client, unique: str
) -> None:
    clock = make_clock(f'{unique}-burst')
    async with walnats.Events(clock.event).connect(server_url) as conn:
        await conn.register()
        started_at = time.time()
        await clock.run(conn, burst=True)
    [(moment, _)] = await read_stream(nc, clock)
    assert started_at <= moment.timestamp() <= started_at + 0.26


async def test_a_late_tick_is_not_followed_by_the_missed_ones(
    server_url: str, nc: Client, unique: str
) -> None:
    clock = make_clock(f'{unique}-late')
    subscription = await nc.subscribe(clock.event.name)
    async with walnats.Events(clock.event).connect(server_url) as conn:
        await conn.register()
        running = asyncio.create_task(clock.run(conn))
        await subscription.next_msg(timeout=5)
        time.sleep(1.1)  # noqa: ASYNC251 -- the loop is blocked on purpose
        for _ in range(2):
            await subscription.next_msg(timeout=5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    moments = [moment.timestamp() for moment, _ in await read_stream(nc, clock)]
    assert len(moments) == 3
    assert moments[1] - moments[0] >= 1.0
    assert moments[2] - moments[1] == 0.25


async def test_one_message_per_tick_across_a_reconnect(unique: str) -> None:
    clock = make_clock(f'{unique}-reconnect')
    async with walnats.EmbeddedServer() as server:
        async with walnats.Events(clock.event).connect(server.url) as conn:
            await conn.register()
            with conn.monitor() as queue:
                running = [asyncio.create_task(clock.run(conn)) for _ in range(2)]
                await queue.get()
                await server.kill()
                await server.start()
                before = time.time()
                while (await queue.get()).timestamp() < before:
                    pass
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        async with walnats.Events(clock.event).connect(server.url) as conn:
            moments = [moment for moment, _ in await read_stream(conn.connection.nc, clock)]
    assert len(moments) == len(set(moments)) >= 2


async def test_a_cloud_event_gets_the_id_of_the_tick(
    server_url: str, nc: Client, unique: str
) -> None:
    meta = walnats.CloudEvent('any', '/clocks', 'com.example.tick')
    clock = make_clock(f'{unique}-ce', meta=meta)
    async with walnats.Events(clock.event).connect(server_url) as conn:
        await conn.register()
        await clock.run(conn, burst=True)
    raw = await nc.jetstream().get_msg(clock.event.stream_name, 1)
    assert raw.headers is not None
    assert raw.headers['ce-id'].startswith(clock.event.name)
    assert raw.headers['ce-source'] == '/clocks'


async def test_an_event_without_stream_is_an_error(server_url: str, unique: str) -> None:
    clock = make_clock(f'{unique}-none')
    async with walnats.Events(clock.event).connect(server_url) as conn:
        with pytest.raises(walnats.StreamNotFoundError, match='register'):
            await clock.run(conn, burst=True)


async def wait_until_left_out(log: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(10):
        while not any('the tick is left out' in record.getMessage() for record in log.records):
            await asyncio.sleep(0.01)


async def test_a_tick_is_left_out_where_an_outage_has_filled_the_pending_queue(
    unique: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publish, 'DEADLINE', 0.1)
    clock, other = make_clock(f'{unique}-full'), walnats.Event(f'{unique}-other', bytes)
    lost = asyncio.Event()

    async def note_lost() -> None:
        lost.set()

    events = walnats.Events(clock.event, other)
    async with (
        walnats.EmbeddedServer() as server,
        events.connect(server.url, pending_size=1000, disconnected_cb=note_lost) as conn,
    ):
        await conn.register()
        await server.kill()
        await asyncio.wait_for(lost.wait(), 10)
        with contextlib.suppress(walnats.OutboundBufferLimitError):
            while True:
                await conn.emit(other, bytes(10))
        running = asyncio.create_task(clock.run(conn))
        await wait_until_left_out(caplog)
        with conn.monitor() as queue:
            await server.start()
            await asyncio.wait_for(queue.get(), 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert 'the pending queue has no room' in caplog.text


async def test_a_tick_is_left_out_where_no_leader_is_elected_in_time(
    url_without_jetstream: str,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(publish, 'DEADLINE', 0.1)
    monkeypatch.setattr(publish, '_ASK_TIMEOUT', 0.2)
    clock = make_clock(unique)
    async with walnats.Events(clock.event).connect(url_without_jetstream) as conn:
        # As in a cluster without a leader: nobody takes messages, nobody tells of the stream.
        await conn.connection.nc.subscribe(f'$JS.API.STREAM.INFO.{clock.event.stream_name}')
        running = asyncio.create_task(clock.run(conn))
        await wait_until_left_out(caplog)
        subscription = await conn.connection.nc.subscribe(clock.event.name)
        await subscription.next_msg(timeout=10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert 'no server answers for its stream' in caplog.text


async def test_an_event_that_can_not_be_emitted_ends_the_clock(
    server_url: str, unique: str
) -> None:
    clock = make_clock(f'{unique}-ends')
    async with walnats.Events(clock.event).connect(server_url) as conn:
        with pytest.raises(walnats.StreamNotFoundError, match='register'):
            await clock.run(conn)


async def test_a_stream_that_is_gone_for_a_while_is_missed_for_as_long(
    server_url: str, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For one who may not ask, a stream without a leader looks as if it were gone."""
    clock = make_clock(f'{unique}-gone')
    async with walnats.Events(clock.event).connect(server_url) as conn:
        await conn.register()
        jetstream, stream = conn.connection.nc.jetstream(), clock.event.stream_name
        running = asyncio.create_task(clock.run(conn))

        async def wait_until_stored() -> None:
            async with asyncio.timeout(10):
                while not (await jetstream.stream_info(stream)).state.last_seq:
                    await asyncio.sleep(0.01)

        await wait_until_stored()
        await jetstream.delete_stream(stream)
        await wait_until_left_out(caplog)
        await conn.register()
        await wait_until_stored()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(walnats.DeclarationError, match='period'):
        walnats.Clock(period=0)
    with pytest.raises(walnats.DeclarationTypeError, match='event'):
        walnats.Clock('minute-passed')  # type: ignore[arg-type]
    with pytest.raises(walnats.DeclarationError, match='datetime'):
        walnats.Clock(walnats.Event('n', int))  # type: ignore[arg-type]
    with pytest.raises(walnats.HeaderTypeError, match='meta must be a CloudEvent or a dict'):
        walnats.Clock(meta='any')  # type: ignore[arg-type]
    with pytest.raises(walnats.HeaderError, match='Nats-Msg-Id'):
        walnats.Clock(meta={'Nats-Msg-Id': '1'})


def test_defaults() -> None:
    clock = walnats.Clock()
    assert clock.event == walnats.Event('minute-passed', datetime)
    assert clock.period == 60
