"""Turns at asking, where only some of the actors may ask for messages at once."""

from __future__ import annotations

import asyncio
import time


class Turns:
    """Gives turns in the order in which they were asked for.

    :param limit: how many actors have a turn at once.
    :param length: seconds after which one has to end if others wait.
    """

    def __init__(self, limit: int, length: float) -> None:
        self.length = length
        self._free = asyncio.Semaphore(limit)
        self._waiting = 0

    async def take(self) -> Turn:
        """Wait for a turn."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        return Turn(self)

    def give_back(self) -> None:
        """Pass a turn on to the one that has waited longest."""
        self._free.release()

    @property
    def is_wanted(self) -> bool:
        """If somebody waits for a turn."""
        return self._waiting > 0


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
