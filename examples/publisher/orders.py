"""Placing an order: a row in the database and a message, both or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import ORDER_PLACED
from .tables import OrderRow

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from walnats.types import ConnectedEvents

    from .events import Order


async def place_order(
    sessions: async_sessionmaker[AsyncSession], conn: ConnectedEvents, order: Order
) -> None:
    """Store the order and emit it. If that fails, it is safe to call this again."""
    async with sessions.begin() as session:
        session.add(OrderRow(number=order.number, item=order.item, quantity=order.quantity))
        # The database has its say first: an order that it refuses is not emitted.
        await session.flush()
        # An error here rolls the transaction back.
        await conn.emit(ORDER_PLACED, order, uid=order.number, sync=True)
