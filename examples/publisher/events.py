"""The event of the shop. Publishers and workers share this module. It does no I/O."""

from dataclasses import dataclass

import walnats


@dataclass(frozen=True)
class Order:
    number: str
    """Made by whoever orders, so that it is the same in every attempt to place the order."""
    item: str
    quantity: int


# A warehouse that is two orders behind gets no more of them: emitting raises StreamFullError.
ORDER_PLACED = walnats.Event(
    'order-placed',
    Order,
    limits=walnats.Limits(messages=2),
    # A uid is known for longer than anyone is likely to try again.
    storage=walnats.Storage(discard=walnats.Discard.NEW, dedup_window=3600),
)
EVENTS = walnats.Events(ORDER_PLACED)
