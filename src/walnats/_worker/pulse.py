"""Keeps the held messages of one actor alive: tells the server that they're being worked on."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from ..errors import WalnatsError

if TYPE_CHECKING:
    from collections.abc import Collection

    from .._actor import Actor
    from .._jetstream.connection import Connection
    from .._jetstream.delivery import Delivery

logger = logging.getLogger('walnats.worker')

_BEATS_PER_WAIT = 3


async def keep_alive(
    connection: Connection, actor: Actor[Any, Any], held: Collection[Delivery]
) -> None:
    """Send signs of life for what is in `held`, until cancelled.

    A job that runs for longer than its `job_timeout` is stuck: it gets none, so that another
    worker can have the message.
    """
    interval = actor.ack_wait / _BEATS_PER_WAIT
    was_connected = True
    while True:
        await asyncio.sleep(interval)
        is_connected = connection.nc.is_connected
        # In an outage one sign of each waits to be sent: more would fill the pending queue, and
        # leave no room for acknowledgements.
        if is_connected or was_connected:
            await _beat_all(actor, held, interval)
        was_connected = is_connected


async def _beat_all(actor: Actor[Any, Any], held: Collection[Delivery], interval: float) -> None:
    now = time.monotonic()
    for delivery in tuple(held):
        if delivery in held and _needs_beat(delivery, now, interval):
            await _beat(actor, delivery)


def _needs_beat(delivery: Delivery, now: float, interval: float) -> bool:
    # A sign of life for one that was handed back would put its retry off.
    if delivery.is_settled:
        return False
    if delivery.runs_until is not None and now > delivery.runs_until:
        return False
    return now - delivery.received_at > interval / 2


async def _beat(actor: Actor[Any, Any], delivery: Delivery) -> None:
    try:
        await delivery.in_progress()
    except WalnatsError as exc:
        logger.warning(
            'actor %r: message %s gets no sign of life: %s', actor.name, delivery.seq, exc
        )
