"""Warns when an actor gets nothing because too many of its messages are delayed.

Delayed messages and those that wait for a retry count against `max_ack_pending`, like those
that are being worked on. At that number the server delivers no other ones.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from .._jetstream import topology
from ..errors import PermissionDeniedError, WalnatsError

if TYPE_CHECKING:
    from .._actor import Actor
    from .._jetstream.connection import Connection
    from .._jetstream.delivery import Delivery

logger = logging.getLogger('walnats.worker')

# Seconds without a new message after which it's worth to ask, and until it's asked again.
_SILENCE = 5.0
_INTERVAL = 60.0


class StallWatch:
    """Watches over one actor."""

    def __init__(self, connection: Connection, actor: Actor[Any, Any]) -> None:
        self._connection = connection
        self._actor = actor
        self._has_delayed = False
        self._silent_since = time.monotonic()
        self._not_before = 0.0

    def note_delivery(self, delivery: Delivery) -> None:
        """Note that something came. If it is new, the actor isn't stalled.

        What is delivered again says nothing: retries come and go while nothing new does.
        """
        if delivery.deliveries == 1:
            self._silent_since = delivery.received_at

    def note_delay(self) -> None:
        """Note that a message was handed back with a delay."""
        self._has_delayed = True

    async def check(self) -> None:
        """Ask the server, where that may tell something, and warn."""
        now = time.monotonic()
        if not self._has_delayed or now < max(self._not_before, self._silent_since + _SILENCE):
            return
        self._not_before = now + _INTERVAL
        try:
            state = await topology.read_consumer_state(self._connection, self._actor)
        except PermissionDeniedError:
            # A worker needn't be allowed to ask.
            self._has_delayed = False
            return
        except WalnatsError:
            return
        if state.num_ack_pending >= self._actor.max_ack_pending and state.num_pending:
            logger.warning(
                'actor %r is stalled: %s of its messages are delayed or wait for a retry, as many '
                'as its max_ack_pending allows; %s others wait behind them. Raise max_ack_pending',
                self._actor.name,
                state.num_ack_pending,
                state.num_pending,
            )
