"""The invariant: what was acknowledged is handled, or is a dead letter, and nothing is a leak.

A scenario tells its ledger what happens, message by message, and has it checked at the end.
Messages are numbers from 0 on, so that a million of them cost a few megabytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_SAMPLE_INTERVAL = 0.05
_PAGE = os.sysconf('SC_PAGE_SIZE')
_MEGABYTE = 1 << 20
_MAX_SHOWN = 10


class Row(NamedTuple):
    """What a ledger comes to, as a line of the table."""

    scenario: str
    acknowledged: int
    handled: int
    dead: int
    duplicates: int
    longest_stall: float
    peak_memory: float
    has_held: bool


class Ledger:
    """What became of each message of a scenario."""

    def __init__(self, scenario: str) -> None:
        self.scenario = scenario
        self.acknowledged = Tally()
        self.unconfirmed = Tally()
        """Emitted with an error: they may be handled or not, the publisher knows to ask again."""
        self.begun = Tally()
        self.handled = Tally()
        self.failed = Tally()
        self.dead = Tally()
        self.longest_stall = 0.0
        """Seconds for which an emit was not answered, or no message was settled though one had
        to be."""
        self.is_checked = False
        self.has_held = False
        self._due = 0
        self._settled_at = time.monotonic()
        self._memory: dict[int, _Memory] = {}

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Ledger]:
        """Measure memory while the context lasts."""
        self.watch_memory(os.getpid())
        sampling = asyncio.create_task(self._sample())
        try:
            yield self
        finally:
            sampling.cancel()
            await asyncio.wait({sampling})

    def watch_memory(self, pid: int) -> None:
        """Measure the memory of a process, this one or a worker."""
        self._memory[pid] = _Memory(pid)

    @contextlib.contextmanager
    def emitting(self) -> Iterator[Callable[[], None]]:
        """Take time that passes for a stall: a publisher waits.

        It gives a function that notes that some of many were answered.
        """
        answered_at = time.monotonic()

        def note_answer() -> None:
            nonlocal answered_at
            answered_at = self._note_stall(since=answered_at)

        try:
            yield note_answer
        finally:
            note_answer()

    def acknowledge(self, number: int) -> None:
        """Note that `emit` said that the message is stored."""
        if not self._due:
            self._settled_at = time.monotonic()
        self.acknowledged.add(number)
        self._due += not self._is_settled(number)

    def doubt(self, number: int) -> None:
        """Note that `emit` raised an error."""
        self.unconfirmed.add(number)

    def begin(self, number: int) -> None:
        """Note that a job begins."""
        self.begun.add(number)

    def handle(self, number: int) -> None:
        """Note that a handler came to its end. It may be an actor's handler itself."""
        self._note_settled(number)
        self.handled.add(number)

    def fail(self, number: int) -> None:
        """Note that a handler failed."""
        self.failed.add(number)

    def bury(self, number: int) -> None:
        """Note that there is a dead letter of the message."""
        self._note_settled(number)
        self.dead.add(number)

    @property
    def lost(self) -> list[int]:
        """Messages that were acknowledged, and were neither handled nor became a dead letter."""
        return [number for number in self.acknowledged if not self._is_settled(number)]

    @property
    def duplicates(self) -> int:
        """How often a message was handled that had been handled before, or is dead too."""
        both = sum(1 for number in self.dead if self.handled[number])
        return self.handled.repeats + self.dead.repeats + both

    @property
    def memory_growth(self) -> float:
        """The megabytes by which the process that grew most has grown at its peak."""
        return max((each.peak - each.first for each in self._memory.values()), default=0.0)

    def check(
        self, *, duplicates: int, stall: float, memory: float = 50, unconfirmed: int = 0
    ) -> None:
        """Fail where the invariant doesn't hold.

        :param duplicates: how many there may be at most.
        :param stall: seconds within which all has to go on, whatever happens.
        :param memory: megabytes by which a process may grow.
        :param unconfirmed: how many emits may have ended in an error.
        """
        self._note_settling()
        self.is_checked = True
        lost = self.lost
        assert self.acknowledged.count, 'nothing was acknowledged: the scenario shows nothing'
        assert not lost, f'{len(lost)} messages are lost: {lost[:_MAX_SHOWN]} …'
        failed = self.unconfirmed.count
        assert failed <= unconfirmed, f'{failed} emits ended in an error: over {unconfirmed}'
        assert self.duplicates <= duplicates, f'{self.duplicates} duplicates: over {duplicates}'
        assert self.longest_stall <= stall, f'stalled for {self.longest_stall:.1f} s: over {stall}'
        assert self.memory_growth <= memory, f'grew by {self.memory_growth:.0f} MB: over {memory}'
        self.has_held = True

    def row(self) -> Row:
        """Give the line of the table."""
        return Row(
            self.scenario,
            self.acknowledged.count,
            self.handled.count,
            self.dead.count,
            self.duplicates,
            self.longest_stall,
            max((each.peak for each in self._memory.values()), default=0.0),
            self.has_held,
        )

    def _is_settled(self, number: int) -> bool:
        return bool(self.handled[number] or self.dead[number])

    def _note_settled(self, number: int) -> None:
        self._note_settling()
        self._due -= bool(self.acknowledged[number]) and not self._is_settled(number)

    def _note_settling(self) -> None:
        if self._due:
            self._settled_at = self._note_stall(since=self._settled_at)

    def _note_stall(self, *, since: float) -> float:
        now = time.monotonic()
        self.longest_stall = max(self.longest_stall, now - since)
        return now

    async def _sample(self) -> None:
        while True:
            for memory in self._memory.values():
                memory.sample()
            await asyncio.sleep(_SAMPLE_INTERVAL)


class Tally:
    """How often each number came: a byte each, so at most 255 times."""

    def __init__(self) -> None:
        self.count = 0
        """Different numbers that came."""
        self.repeats = 0
        self._times = bytearray()

    def __getitem__(self, number: int) -> int:
        return self._times[number] if number < len(self._times) else 0

    def __iter__(self) -> Iterator[int]:
        return (number for number, times in enumerate(self._times) if times)

    @property
    def total(self) -> int:
        return self.count + self.repeats

    def add(self, number: int) -> None:
        if number >= len(self._times):
            self._times.extend(bytes(number + 1 - len(self._times)))
        if self._times[number]:
            self.repeats += 1
        else:
            self.count += 1
        self._times[number] = min(255, self._times[number] + 1)


class _Memory:
    """The memory of a process, at first and at its peak."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.first = self.peak = resident_memory(pid)

    def sample(self) -> None:
        self.peak = max(self.peak, resident_memory(self._pid))


def resident_memory(pid: int | str = 'self') -> float:
    """Give the megabytes of a process; 0 if it has ended, or where the system doesn't tell."""
    try:
        pages = Path(f'/proc/{pid}/statm').read_bytes().split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * _PAGE / _MEGABYTE
