"""What a job can come to. A job decides; settling tells the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ack:
    """Handled; `response` is the payload of the answer, if one is wanted."""

    response: bytes | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Failed: to be handled again in `delay` seconds."""

    delay: float
    exception: BaseException


@dataclass(frozen=True, slots=True)
class Postpone:
    """Not run, or not to its end: to be delivered again in `delay` seconds."""

    delay: float = 0


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up on, for the reason; by the exception, if there was one."""

    reason: str
    exception: BaseException | None = None


HAND_BACK = Postpone()
"""To be delivered again at once."""

Outcome = Ack | Retry | Postpone | Dead
