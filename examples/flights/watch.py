"""Follows the ledgers while they grow, and shows how far things have got."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .audit import trace_rescue
from .processes import DemoError
from .publisher import PUBLISHER

if TYPE_CHECKING:
    from rich.progress import Progress

    from .audit import Lines
    from .ledger import Entry, Job, Ledgers

PATIENCE = 20.0  # seconds without any news


class Watch:
    """Reads what is new with each `look`.

    :param expected: what there is to do, for the progress bars.
    """

    def __init__(self, ledgers: Ledgers, progress: Progress, expected: Lines) -> None:
        self.entries: list[Entry] = []
        self.published: set[Job] = set()
        self.handled: set[Job] = set()
        self._ledgers = ledgers
        self._progress = progress
        self._last_news = time.monotonic()
        flights = sum(job.actor == PUBLISHER for job in expected)
        self._published_bar = progress.add_task('published', total=flights)
        self._handled_bar = progress.add_task('handled', total=len(expected) - flights)

    async def look(self) -> None:
        """Wait a moment, then read. Raise DemoError if there is no news for too long."""
        await asyncio.sleep(0.05)
        entries = self._ledgers.read()
        if entries:
            self._last_news = time.monotonic()
        elif time.monotonic() - self._last_news > PATIENCE:
            raise DemoError(f'nothing has happened for {PATIENCE:g} seconds')
        self._take(entries)

    def is_busy(self, process: str) -> bool:
        """Tell whether a worker is in the middle of a job, as far as it has been read."""
        return bool(trace_rescue(process, self.entries).cut_off)

    def say(self, text: str) -> None:
        """Print above the progress bars."""
        self._progress.console.print(text)

    def _take(self, entries: list[Entry]) -> None:
        self.entries += entries
        for entry in entries:
            if entry.is_last:
                place = self.published if entry.job.actor == PUBLISHER else self.handled
                place.add(entry.job)
        self._progress.update(self._published_bar, completed=len(self.published))
        self._progress.update(self._handled_bar, completed=len(self.handled))
