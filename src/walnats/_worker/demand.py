"""How many messages an actor asks for. Pure.

The rule: never hold what another machine could be working on, but don't let a fast handler
wait for the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Jobs that will be over within this time are as good as free slots: about the time, in
# seconds, that it takes a message to come.
_HORIZON = 0.002
_MAX_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What an actor has at hand."""

    slots: int
    """Jobs that it may run at once."""
    held: int
    """Messages that run or wait for a slot."""
    waiting: int
    """Those of them that wait for a slot."""
    outstanding: int
    """Messages that were asked for and haven't come."""
    job_time: float | None
    """Seconds that a slot is taken for by one job, on average; None if none has run."""
    window: int
    """The most that may be outstanding: 1 where nothing has come lately."""

    @property
    def claimed(self) -> int:
        """Messages that are held or were asked for."""
        return self.held + self.outstanding


def messages_to_ask(load: Load, *, process_limit: int, claims: Sequence[int]) -> int:
    """Give the number to ask for now, 0 for none.

    :param process_limit: jobs that the process may run at once.
    :param claims: for each actor of the process, this one included, the messages that it
        holds or has asked for. Without look-ahead, their sum never gets above the limit
        plus one per actor.
    """
    ahead = _look_ahead(load)
    target = load.slots + ahead
    wanted = min(target - load.claimed, load.window - load.outstanding)
    if wanted <= 0:
        # Else the others would get each slot that it frees, whatever its priority.
        has_all_slots = len(claims) > 1 and load.slots >= process_limit
        return _least(load, process_limit, claims) if has_all_slots else 0
    if load.outstanding > 0 and wanted < min(target, load.window) // 4:
        return 0
    room = process_limit + ahead - sum(claims)
    return max(_least(load, process_limit, claims), min(wanted, room))


def _least(load: Load, process_limit: int, claims: Sequence[int]) -> int:
    """Give 1 where an actor may look out for one message though there is no slot for it.

    So it has a message to compete for the next free slot with. One per actor is its own;
    all beyond that has to fit into the process.
    """
    if load.outstanding > 0 or load.waiting > 0:
        return 0
    shared = sum(max(0, claimed - 1) for claimed in claims)
    return 1 if load.claimed == 0 or shared < process_limit else 0


def _look_ahead(load: Load) -> int:
    if load.job_time is None:
        return 0
    soon_free = load.slots * _HORIZON / max(load.job_time, 1e-6)
    return int(min(_MAX_AHEAD * load.slots, soon_free))
