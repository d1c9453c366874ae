"""What happens at the airports: the events, and the shape of their messages.

Publishers and workers share this module. It does no I/O.
"""

from dataclasses import dataclass
from datetime import date, datetime, time

import walnats


@dataclass(frozen=True)
class Flight:
    """A flight as it was planned."""

    day: date
    carrier: str
    number: int
    tail_number: str | None
    origin: str
    destination: str
    distance: int
    """Miles."""
    planned_at: datetime

    @property
    def key(self) -> str:
        """What tells this flight from all others, such as `2013-01-01 UA1545`."""
        return f'{self.day} {self.carrier}{self.number}'


@dataclass(frozen=True)
class Arrival:
    """Where and when the flight ended: a diverted one has no delay and no air time."""

    local_time: time
    delay: int | None
    air_time: int | None


@dataclass(frozen=True)
class Departure:
    """A flight that left. The delay is in minutes, less than 0 if it left early."""

    flight: Flight
    left_at: datetime
    delay: int
    arrival: Arrival | None
    """None if it never arrived, or if nobody wrote it down."""


@dataclass(frozen=True)
class Cancellation:
    """A flight that didn't leave."""

    flight: Flight


@dataclass(frozen=True)
class Delay:
    """What is announced at the airport."""

    flight: Flight
    minutes: int


FLIGHT_DEPARTED = walnats.Event('flight-departed', Departure)
FLIGHT_CANCELLED = walnats.Event('flight-cancelled', Cancellation)
DELAY_ANNOUNCED = walnats.Event('delay-announced', Delay)
