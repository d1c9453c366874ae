"""Warns when a handler blocks the event loop: nothing else runs then, signs of life included."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

logger = logging.getLogger('walnats.worker')

THRESHOLD = 5.0
"""Seconds for which the loop may be blocked without a warning."""

_INTERVAL = 0.5


class LoopWatch:
    """A thread that sees if the loop still turns. One warning per blockade."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._turned_at = time.monotonic()
        self._ended = threading.Event()
        self._handle = self._loop.call_soon(self._turn)
        self._thread = threading.Thread(target=self._watch, name='walnats-loop-watch', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._handle.cancel()
        self._ended.set()
        self._thread.join()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._handle = self._loop.call_later(_INTERVAL, self._turn)

    def _watch(self) -> None:
        warned_of = 0.0
        while not self._ended.wait(_INTERVAL):
            turned_at = self._turned_at
            blocked = time.monotonic() - turned_at
            if blocked > THRESHOLD and turned_at != warned_of:
                warned_of = turned_at
                logger.warning(
                    'the event loop is blocked for %.0f s by %s: its messages may be given to '
                    'other workers; run it in ExecuteIn.THREAD or PROCESS',
                    blocked,
                    self._who(),
                )

    def _who(self) -> str:
        """Give the name of the task that runs: a job's task is named after its actor."""
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            task = None
        return 'something that is no task' if task is None else task.get_name()
