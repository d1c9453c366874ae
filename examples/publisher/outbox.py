"""Placing an order while NATS may be away: the message goes into the database first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from .events import ORDER_PLACED
from .tables import OrderRow, OutboxRow

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from walnats.types import ConnectedEvents

    from .events import Order

BATCH = 100


async def place_order(sessions: async_sessionmaker[AsyncSession], order: Order) -> None:
    """Store the order and its message in one transaction. NATS isn't needed."""
    async with sessions.begin() as session:
        session.add(OrderRow(number=order.number, item=order.item, quantity=order.quantity))
        session.add(OutboxRow(payload=ORDER_PLACED.encode(order)))


async def relay(sessions: async_sessionmaker[AsyncSession], conn: ConnectedEvents) -> int:
    """Emit what is in the outbox, the oldest first, and give how many messages that were.

    They are removed only once all of them are stored. If anything fails before that they are
    emitted again the next time, under the same uids.
    """
    async with sessions.begin() as session:
        rows = await _take(session)
        orders = [ORDER_PLACED.decode(row.payload) for row in rows]
        await conn.emit_many(ORDER_PLACED, orders, uid=lambda order: order.number)
        done = [row.id for row in rows]
        await session.execute(delete(OutboxRow).where(OutboxRow.id.in_(done)))
    return len(rows)


async def _take(session: AsyncSession) -> list[OutboxRow]:
    """Lock some rows until the end of the transaction, and leave those that others have locked."""
    oldest = select(OutboxRow).order_by(OutboxRow.id).limit(BATCH)
    return list(await session.scalars(oldest.with_for_update(skip_locked=True)))
