"""The clock, on a real server."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import walnats

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


def test_wrong_values_are_refused() -> None:
    with pytest.raises(walnats.DeclarationError, match='period'):
        walnats.Clock(period=0)
    with pytest.raises(walnats.DeclarationTypeError, match='event'):
        walnats.Clock('minute-passed')  # type: ignore[arg-type]
    with pytest.raises(walnats.DeclarationError, match='datetime'):
        walnats.Clock(walnats.Event('n', int))  # type: ignore[arg-type]


def test_defaults() -> None:
    clock = walnats.Clock()
    assert clock.event == walnats.Event('minute-passed', datetime)
    assert clock.period == 60
