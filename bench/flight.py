"""What is sent in all scenarios: a flight. It is imported in every environment: no dependencies."""

from __future__ import annotations

from dataclasses import dataclass, replace

NAME = 'flight-departed'
"""The subject and the stream, in all scenarios."""

_LENGTH_WITHOUT_REMARKS = 140


@dataclass
class Flight:
    carrier: str
    flight: int
    tail: str
    origin: str
    destination: str
    departed_at: str
    delay: float
    remarks: str = ''


FLIGHT = Flight('UA', 1545, 'N14228', 'EWR', 'IAH', '2013-01-01T10:17:00Z', 2.0)


def make_flight(size: int) -> Flight:
    """Give a flight of about `size` bytes as JSON, but of no fewer than 140."""
    return replace(FLIGHT, remarks='x' * max(0, size - _LENGTH_WITHOUT_REMARKS))
