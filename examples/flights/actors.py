"""Four actors: a departure board, a delay alert, statistics of the airlines, an arrival log.

The handlers are plain functions. Each returns the line that it wants in the ledger.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import walnats

from .dataset import read_airlines
from .events import (
    DELAY_ANNOUNCED,
    FLIGHT_CANCELLED,
    FLIGHT_DEPARTED,
    Cancellation,
    Delay,
    Departure,
)
from .ledger import Job, Line, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from walnats.types import ConnectedEvents

    from .ledger import Ledger

Message = TypeVar('Message', Departure, Cancellation, Delay)

BOARD = 'departure-board'
ALERT = 'delay-alert'
STATISTICS = 'carrier-statistics'
ARRIVALS = 'arrival-log'

ANNOUNCED_FROM = 15  # minutes

# Why the arrival log refuses a flight.
NO_ARRIVAL = 'it has no arrival time'
DIVERTED = 'it was diverted'


async def show_departure(departure: Departure) -> Line:
    return Line(departure.flight.origin, departure.delay)


async def show_cancellation(cancellation: Cancellation) -> Line:
    return Line(cancellation.flight.origin)


async def show_delay(delay: Delay) -> Line:
    return Line(delay.flight.origin, delay.minutes)


async def announce_delay(conn: ConnectedEvents, departure: Departure) -> Line:
    """Emit an event about an event. If this runs twice, its uid is the same, so it's kept once."""
    flight = departure.flight
    if departure.delay >= ANNOUNCED_FROM:
        delay = Delay(flight, departure.delay)
        await conn.emit(DELAY_ANNOUNCED, delay, uid=flight.key, sync=True)
    return Line(flight.origin, departure.delay)


async def count_departure(airlines: Mapping[str, str], departure: Departure) -> Line:
    return Line(airlines[departure.flight.carrier], departure.delay)


async def count_cancellation(airlines: Mapping[str, str], cancellation: Cancellation) -> Line:
    return Line(airlines[cancellation.flight.carrier])


async def log_arrival(departure: Departure) -> Line:
    """Be strict: what is no proper arrival becomes a dead letter, for people to look at."""
    if departure.arrival is None:
        raise walnats.GiveUp(NO_ARRIVAL)
    if departure.arrival.delay is None:
        raise walnats.GiveUp(DIVERTED)
    return Line(departure.flight.destination, departure.arrival.delay)


async def log_any_arrival(departure: Departure) -> Line:
    """Do the same, mended: a diverted flight is an arrival too, one without a delay."""
    if departure.arrival is not None and departure.arrival.delay is None:
        return Line(departure.flight.destination)
    return await log_arrival(departure)


def make_actors(ledger: Ledger, conn: ConnectedEvents) -> walnats.Actors:
    """Give the handlers what they need. An actor of two events is declared for each."""
    airlines = read_airlines()
    return walnats.Actors(
        _actor(BOARD, FLIGHT_DEPARTED, show_departure, ledger),
        _actor(BOARD, FLIGHT_CANCELLED, show_cancellation, ledger),
        _actor(BOARD, DELAY_ANNOUNCED, show_delay, ledger),
        _actor(ALERT, FLIGHT_DEPARTED, partial(announce_delay, conn), ledger),
        _actor(STATISTICS, FLIGHT_DEPARTED, partial(count_departure, airlines), ledger),
        _actor(STATISTICS, FLIGHT_CANCELLED, partial(count_cancellation, airlines), ledger),
        _actor(ARRIVALS, FLIGHT_DEPARTED, log_arrival, ledger),
    )


def make_mended_actors(ledger: Ledger) -> walnats.Actors:
    """Declare the arrival log as its next version has it: the same actor by its name."""
    return walnats.Actors(_actor(ARRIVALS, FLIGHT_DEPARTED, log_any_arrival, ledger))


def _actor(
    name: str,
    event: walnats.Event[Message],
    handler: Callable[[Message], Awaitable[Line]],
    ledger: Ledger,
) -> walnats.Actor[Message, None]:
    """Declare an actor whose jobs are all in the ledger."""

    async def handle(message: Message) -> None:
        job = Job(name, event.name, message.flight.key)
        ledger.note(Step.BEGUN, job)
        try:
            line = await handler(message)
        except walnats.GiveUp as refusal:
            ledger.note(Step.REFUSED, job, Line(refusal.reason))
            raise
        await asyncio.sleep(0.02)  # as if a display or a database took that long
        ledger.note(Step.DONE, job, line)

    # Seconds until the messages of a worker that was killed go to another one.
    return walnats.Actor(name, event, handle, ack_wait=2, max_attempts=10)
