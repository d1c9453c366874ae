"""The tables of the shop."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    pass


class OrderRow(Table):
    """An order that the shop has taken."""

    __tablename__ = 'orders'

    number: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str]
    quantity: Mapped[int]


class OutboxRow(Table):
    """A message that is still to be emitted."""

    __tablename__ = 'outbox'

    id: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[bytes]
