"""Who may run a job now: the slots of the process, and those of each actor."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from .._actor import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._jetstream.delivery import Delivery

# Seconds of waiting that are worth one step of priority: nothing starves.
_STEP = 1.0
_RANK = {Priority.HIGH: 2, Priority.NORMAL: 1, Priority.LOW: 0}


class Slots:
    """The slots of the process, shared by its actors."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.free = limit
        self.kept = 0
        """Slots of jobs that were given up but go on in their pool."""
        self._actors: list[ActorSlots] = []

    @property
    def taken(self) -> int:
        """How many jobs run."""
        return self.limit - self.free

    @property
    def waiting(self) -> int:
        """How many messages wait for a slot."""
        return sum(len(actor.waiting) for actor in self._actors)

    def for_actor(
        self, limit: int, priority: Priority, start: Callable[[Delivery], None]
    ) -> ActorSlots:
        """Give an actor at most `limit` of the slots; `start` is called to run a message."""
        actor = ActorSlots(self, min(limit, self.limit), _RANK[priority], start)
        self._actors.append(actor)
        return actor

    def start_waiting(self) -> None:
        """Give the free slots to the most urgent of those that wait for one."""
        while self.free > 0:
            ready = [actor for actor in self._actors if actor.can_start]
            if not ready:
                return
            if len(ready) == 1:
                ready[0].start_next()
            else:
                now = time.monotonic()
                max(ready, key=lambda actor: actor.urgency(now)).start_next()


class ActorSlots:
    """The slots of one actor, and its messages that wait for one, the oldest first."""

    def __init__(
        self, slots: Slots, limit: int, rank: int, start: Callable[[Delivery], None]
    ) -> None:
        self.limit = limit
        self.free = limit
        self.kept = 0
        self.waiting: deque[Delivery] = deque()
        self._is_stopped = False
        self._slots = slots
        self._rank = rank
        self._start = start

    @property
    def can_start(self) -> bool:
        """If a message waits for nothing but a slot of the process."""
        return bool(self.waiting) and self.free > 0 and not self._is_stopped

    def submit(self, delivery: Delivery) -> None:
        """Run the message now if there is a slot, else when one gets free."""
        self.waiting.append(delivery)
        if self._slots.free > 0 and self.can_start:
            self.start_next()

    def start_next(self) -> None:
        """Run the message that has waited longest."""
        self.free -= 1
        self._slots.free -= 1
        self._start(self.waiting.popleft())

    def release(self) -> None:
        """Give a slot back: its job is over."""
        self.free += 1
        self._slots.free += 1
        self._slots.start_waiting()

    def retake(self) -> None:
        """Take a slot again for a job that isn't quite over, be there a free one or not."""
        self.free -= 1
        self._slots.free -= 1

    @property
    def is_stuck(self) -> bool:
        """If all slots, its own or those of the process, are kept by jobs that don't end."""
        return self.kept >= self.limit or self._slots.kept >= self._slots.limit

    def keep(self) -> None:
        """Note that a job was given up, and that its slot is taken all the same."""
        self.kept += 1
        self._slots.kept += 1

    def unkeep(self) -> None:
        """Note that the job is over at last; its slot has still to be released."""
        self.kept -= 1
        self._slots.kept -= 1

    def stop(self) -> None:
        """Start nothing any more: what waits goes on waiting."""
        self._is_stopped = True

    def urgency(self, now: float) -> float:
        """How much the message that has waited longest wants to run: its priority, then time."""
        return self._rank + (now - self.waiting[0].received_at) / _STEP
