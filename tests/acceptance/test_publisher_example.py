"""The example of transactions: what the database has and what was emitted go together."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from examples.publisher import outbox
from examples.publisher.events import EVENTS, ORDER_PLACED, Order
from examples.publisher.orders import place_order
from examples.publisher.postgres import postgres
from examples.publisher.tables import OrderRow, OutboxRow, Table
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from walnats.types import ConnectedEvents

    Sessions = async_sessionmaker[AsyncSession]

ROOT = Path(__file__).parents[2]
BOOK = Order('a1', 'book', 1)
ORDERS = [Order(f'a{number}', 'book', number) for number in range(1, 8)]


class CommitError(Exception):
    """The database went away at the worst moment."""


class DoomedSession(Session):
    """A session that can do anything but commit."""


@event.listens_for(DoomedSession, 'before_commit')
def _fail(_session: Session) -> None:
    raise CommitError


@pytest.fixture(scope='module')
def database_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database with empty tables."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(Table.metadata.drop_all)
        await connection.run_sync(Table.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine)


@pytest.fixture
def doomed(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, sync_session_class=DoomedSession)


@pytest.fixture
async def server() -> AsyncIterator[walnats.EmbeddedServer]:
    async with walnats.EmbeddedServer() as server:
        yield server


@pytest.fixture
async def conn(server: walnats.EmbeddedServer) -> AsyncIterator[ConnectedEvents]:
    """The publisher. There are no actors, so no stream gets full."""
    async with EVENTS.connect(server.url) as conn:
        yield conn


async def count_emitted(conn: ConnectedEvents) -> int:
    """Count what the stream has ever taken."""
    stream = await conn.connection.nc.jetstream().stream_info(ORDER_PLACED.stream_name)
    return stream.state.last_seq


async def count(sessions: Sessions, table: type[Table]) -> int:
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


def test_it_runs_and_adds_up() -> None:
    command = [sys.executable, '-m', 'examples.publisher']
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "chair: event 'order-placed': the message is not stored" in done.stdout
    assert done.stdout.endswith('in the database: a1, a2, a3, a4; sent: a1, a2, a3, a4\n')


async def test_an_order_is_a_row_and_a_message(sessions: Sessions, conn: ConnectedEvents) -> None:
    await conn.register()
    with conn.monitor() as queue:
        await place_order(sessions, conn, BOOK)
        assert await queue.get() == BOOK
    assert await count(sessions, OrderRow) == 1


async def test_what_is_not_emitted_leaves_no_row(sessions: Sessions, conn: ConnectedEvents) -> None:
    with pytest.raises(walnats.StreamNotFoundError):
        await place_order(sessions, conn, BOOK)
    assert await count(sessions, OrderRow) == 0
    await conn.register()
    await place_order(sessions, conn, BOOK)
    assert (await count(sessions, OrderRow), await count_emitted(conn)) == (1, 1)


async def test_what_the_database_refuses_is_not_emitted(
    sessions: Sessions, conn: ConnectedEvents
) -> None:
    await conn.register()
    await place_order(sessions, conn, BOOK)
    with conn.monitor() as queue:
        with pytest.raises(IntegrityError):
            await place_order(sessions, conn, BOOK)
        await place_order(sessions, conn, ORDERS[1])
        assert await queue.get() == ORDERS[1]


async def test_an_order_that_could_not_be_committed_is_placed_again(
    sessions: Sessions, doomed: Sessions, conn: ConnectedEvents
) -> None:
    await conn.register()
    with pytest.raises(CommitError):
        await place_order(doomed, conn, BOOK)
    assert (await count(sessions, OrderRow), await count_emitted(conn)) == (0, 1)
    await place_order(sessions, conn, BOOK)
    assert (await count(sessions, OrderRow), await count_emitted(conn)) == (1, 1)


async def test_an_outbox_needs_no_nats(
    sessions: Sessions, conn: ConnectedEvents, server: walnats.EmbeddedServer
) -> None:
    await conn.register()
    await server.stop()
    for order in ORDERS:
        await outbox.place_order(sessions, order)
    await server.start()
    with conn.monitor() as queue:
        assert await outbox.relay(sessions, conn) == len(ORDERS)
        assert [await queue.get() for _ in ORDERS] == ORDERS
    assert (await count(sessions, OrderRow), await count(sessions, OutboxRow)) == (len(ORDERS), 0)


async def test_what_is_not_emitted_stays_in_the_outbox(
    sessions: Sessions, conn: ConnectedEvents
) -> None:
    await outbox.place_order(sessions, BOOK)
    with pytest.raises(walnats.EmitManyError):
        await outbox.relay(sessions, conn)
    assert await count(sessions, OutboxRow) == 1


async def test_a_relay_that_dies_emits_nothing_twice(
    sessions: Sessions, doomed: Sessions, conn: ConnectedEvents
) -> None:
    await conn.register()
    await outbox.place_order(sessions, BOOK)
    with pytest.raises(CommitError):
        await outbox.relay(doomed, conn)
    assert (await count(sessions, OutboxRow), await count_emitted(conn)) == (1, 1)
    assert await outbox.relay(sessions, conn) == 1
    assert (await count(sessions, OutboxRow), await count_emitted(conn)) == (0, 1)


async def test_relays_share_the_outbox(sessions: Sessions, conn: ConnectedEvents) -> None:
    await conn.register()
    for order in ORDERS:
        await outbox.place_order(sessions, order)
    relayed = await asyncio.gather(*(outbox.relay(sessions, conn) for _ in range(3)))
    assert sum(relayed) == len(ORDERS)
    assert (await count(sessions, OutboxRow), await count_emitted(conn)) == (0, len(ORDERS))
