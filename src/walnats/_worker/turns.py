"""Turns at asking, where only some of the actors may ask for messages at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque


class Turns:
    """Gives turns in the order in which they were asked for.

    :param limit: how many actors have a turn at once.
    :param length: seconds after which one has to end if others wait.
    """

    def __init__(self, limit: int, length: float) -> None:
        self.length = length
        self._free = limit
        self._queue: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Turn:
        """Wait for a turn."""
        if self._free > 0:
            self._free -= 1
            return Turn(self)
        coming: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(coming)
        try:
            await coming
        except asyncio.CancelledError:
            if coming.done() and not coming.cancelled():
                self.give_back()
            else:
                self._queue.remove(coming)
            raise
        return Turn(self)

    def give_back(self) -> None:
        """Pass a turn on to the one that has waited longest."""
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self._free += 1

    @property
    def is_wanted(self) -> bool:
        """If somebody waits for a turn."""
        return bool(self._queue)


class Turn:
    """The right of one actor to ask, until it is ended."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._since = time.monotonic()

    @property
    def is_over(self) -> bool:
        """If it has lasted long enough and somebody else waits."""
        return self._turns.is_wanted and time.monotonic() - self._since > self._turns.length

    def end(self) -> None:
        """Pass it on."""
        self._turns.give_back()
