"""The publisher: emits each row of the file as what it was, a departure or a cancellation.

NATS_SERVER=nats://... python -m examples.flights.publisher LEDGER
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import walnats

from .dataset import MISSING, read_flights
from .events import FLIGHT_CANCELLED, FLIGHT_DEPARTED, Arrival, Cancellation, Departure, Flight
from .ledger import Job, Step, open_ledger

if TYPE_CHECKING:
    from .dataset import Row
    from .ledger import Ledger

PUBLISHER = 'publisher'


async def main(ledger: Ledger) -> None:
    async with walnats.Events(FLIGHT_DEPARTED, FLIGHT_CANCELLED).connect() as conn:
        await conn.register()
        for row in read_flights():
            flight = parse_flight(row)
            if row['dep_time'] == MISSING:
                cancellation = Cancellation(flight)
                await conn.emit(FLIGHT_CANCELLED, cancellation, uid=flight.key, sync=True)
                ledger.note(Step.DONE, Job(PUBLISHER, FLIGHT_CANCELLED.name, flight.key))
            else:
                departure = parse_departure(flight, row)
                await conn.emit(FLIGHT_DEPARTED, departure, uid=flight.key, sync=True)
                ledger.note(Step.DONE, Job(PUBLISHER, FLIGHT_DEPARTED.name, flight.key))


def parse_flight(row: Row) -> Flight:
    planned_hour = datetime.fromisoformat(row['time_hour'])
    return Flight(
        day=date(int(row['year']), int(row['month']), int(row['day'])),
        carrier=row['carrier'],
        number=int(row['flight']),
        tail_number=None if row['tailnum'] == MISSING else row['tailnum'],
        origin=row['origin'],
        destination=row['dest'],
        distance=int(row['distance']),
        planned_at=planned_hour + timedelta(minutes=int(row['minute'])),
    )


def parse_departure(flight: Flight, row: Row) -> Departure:
    delay = int(row['dep_delay'])
    return Departure(
        flight=flight,
        left_at=flight.planned_at + timedelta(minutes=delay),
        delay=delay,
        arrival=None if row['arr_time'] == MISSING else parse_arrival(row),
    )


def parse_arrival(row: Row) -> Arrival:
    hour, minute = divmod(int(row['arr_time']), 100)
    return Arrival(
        local_time=time(hour % 24, minute),  # midnight is 2400
        delay=parse_minutes(row['arr_delay']),
        air_time=parse_minutes(row['air_time']),
    )


def parse_minutes(value: str) -> int | None:
    return None if value == MISSING else int(value)


if __name__ == '__main__':
    with suppress(KeyboardInterrupt), open_ledger(Path(sys.argv[1])) as this_ledger:
        asyncio.run(main(this_ledger))
