"""Cancels jobs that run into their time-out.

One timer for all jobs of an actor: they may run equally long, so the oldest one is due first.
A time-out of its own for each job (`asyncio.timeout`) takes a tenth of the time of a message.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Deadlines:
    """The deadlines of one actor's jobs.

    :param seconds: how long each task may run.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # By task, the oldest first; those that were cancelled are no longer here.
        self._ends: dict[asyncio.Task[Any], float] = {}

    def start(self) -> asyncio.Task[Any] | None:
        """Cancel the current task in time, unless :meth:`end` comes first. Gives the task."""
        task = asyncio.current_task()
        if task is not None:
            self._ends[task] = ends_at = self._loop.time() + self._seconds
            if self._timer is None:
                self._timer = self._loop.call_at(ends_at, self._cancel_overdue)
        return task

    def end(self, task: asyncio.Task[Any] | None) -> bool:
        """Let the task go on. True if it was cancelled, for no other reason than its deadline."""
        if task is None or self._ends.pop(task, None) is not None:
            return False
        return task.uncancel() == 0

    def close(self) -> None:
        """Cancel no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _cancel_overdue(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._ends:
            task, ends_at = next(iter(self._ends.items()))
            if ends_at > now:
                self._timer = self._loop.call_at(ends_at, self._cancel_overdue)
                return
            del self._ends[task]
            task.cancel()
