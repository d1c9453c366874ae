"""What is sent in all scenarios: a flight, about 120 bytes as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import walnats


@dataclass
class Flight:
    carrier: str
    flight: int
    tail: str
    origin: str
    destination: str
    departed_at: str
    delay: float


FLIGHT = Flight('UA', 1545, 'N14228', 'EWR', 'IAH', '2013-01-01T10:17:00Z', 2.0)
EVENT = walnats.Event('flight-departed', Flight)
