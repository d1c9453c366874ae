"""A shop that keeps its database and its messages together, whatever fails.

    python -m examples.publisher

It runs PostgreSQL and nats-server, and lets things go wrong. The exit status is 1 if the
warehouse hasn't seen each order in the database exactly once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

import walnats

from . import outbox
from .events import EVENTS, ORDER_PLACED, Order
from .orders import place_order
from .postgres import postgres
from .tables import OrderRow, Table

if TYPE_CHECKING:
    from walnats.types import ConnectedActors, ConnectedEvents

BOOK = Order('a1', 'book', 1)
LAMP = Order('a2', 'lamp', 2)
CHAIR = Order('a3', 'chair', 4)
TABLE = Order('a4', 'table', 1)


class Warehouse:
    """Sends what was ordered."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.actor = walnats.Actor('send-order', ORDER_PLACED, self.send_order, max_attempts=10)

    async def send_order(self, order: Order) -> None:
        print(f'  the warehouse sends {order.quantity} {order.item}')
        self.sent.append(order.number)


async def main(database_url: str) -> bool:
    """Run the example, and tell whether all adds up."""
    warehouse = Warehouse()
    engine = create_async_engine(database_url)
    sessions = async_sessionmaker(engine)
    async with (
        walnats.EmbeddedServer() as server,
        walnats.Actors(warehouse.actor).connect(server.url) as worker,
        EVENTS.connect(worker) as conn,
    ):
        async with engine.begin() as connection:
            await connection.run_sync(Table.metadata.create_all)
        await conn.register()
        await worker.register()
        await show_rollback(sessions, conn, worker)
        await show_outbox(sessions, conn, worker, server)
        numbers = await read_numbers(sessions)
    await engine.dispose()
    print(f'in the database: {", ".join(numbers)}; sent: {", ".join(warehouse.sent)}')
    return numbers == sorted(warehouse.sent)


async def show_rollback(
    sessions: async_sessionmaker[AsyncSession], conn: ConnectedEvents, worker: ConnectedActors
) -> None:
    """Let an emit fail inside a transaction, and do it all again."""
    print('The warehouse has a break; two orders are all that may wait for it:')
    for order in (BOOK, LAMP, CHAIR):
        try:
            await place_order(sessions, conn, order)
        except walnats.StreamFullError as error:
            print(f'  {order.item}: {error}')
        else:
            print(f'  {order.item}: placed')
    print(f'  in the database: {", ".join(await read_numbers(sessions))}')
    print('The break is over:')
    await worker.listen(burst=True)
    print('The third order is placed again:')
    await place_order(sessions, conn, CHAIR)
    await worker.listen(burst=True)


async def show_outbox(
    sessions: async_sessionmaker[AsyncSession],
    conn: ConnectedEvents,
    worker: ConnectedActors,
    server: walnats.EmbeddedServer,
) -> None:
    """Place an order while NATS is away."""
    print('NATS is stopped, and there is one more order:')
    await server.stop()
    await outbox.place_order(sessions, TABLE)
    print(f'  {TABLE.item}: placed')
    print('NATS is back:')
    await server.start()
    print(f'  messages from the outbox: {await outbox.relay(sessions, conn)}')
    await worker.listen(burst=True)


async def read_numbers(sessions: async_sessionmaker[AsyncSession]) -> list[str]:
    async with sessions() as session:
        return list(await session.scalars(select(OrderRow.number).order_by(OrderRow.number)))


if __name__ == '__main__':
    logging.basicConfig(stream=sys.stdout, format='  (%(name)s: %(message)s)')
    with postgres() as url:
        sys.exit(0 if asyncio.run(main(url)) else 1)
