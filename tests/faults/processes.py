"""Worker processes that are killed, stopped and started again, and what they tell."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from asyncio.subprocess import DEVNULL
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Iterator

    from .ledger import Ledger

_PROGRAM = Path(__file__).with_name('worker.py')
_READ_INTERVAL = 0.01


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker process is told."""

    url: str
    event: str
    job_time: float
    """Seconds that a job takes on average: from none to twice as many."""
    ack_wait: float = 2.0
    max_attempts: int = 8
    max_jobs: int = 16
    failures: float = 0.0
    """The share of jobs that fail."""
    deadly: int = 0
    """Each so-manieth message is one that no attempt can handle; 0 for none."""


class Fleet:
    """Workers in processes of their own, that share a journal."""

    def __init__(self, journal: Path, options: WorkerOptions, ledger: Ledger) -> None:
        self.kills = 0
        self.processes: list[Process] = []
        self._arguments = [str(journal), json.dumps(asdict(options))]
        self._journal = journal
        self._ledger = ledger
        self._ready = asyncio.Condition()
        self._pids: set[int] = set()

    @contextlib.asynccontextmanager
    async def run(self, count: int) -> AsyncIterator[Fleet]:
        """Start so many, and tell the ledger what they do."""
        self._journal.touch()
        with self._journal.open() as journal:
            following = asyncio.create_task(self._follow(journal))
            try:
                for _ in range(count):
                    self.processes.append(await self._start())
                yield self
            finally:
                await asyncio.gather(*map(_kill, self.processes))
                following.cancel()
                await asyncio.wait({following})
                self._read(journal)

    async def wait_ready(self) -> None:
        """Wait until all of them listen."""
        pids = {process.pid for process in self.processes}
        async with self._ready:
            await self._ready.wait_for(lambda: pids <= self._pids)

    async def kill_one(self) -> None:
        """Kill one of them, and start another one in its place."""
        index = random.randrange(len(self.processes))
        process = self.processes[index]
        assert process.returncode is None, 'a worker ended by itself'
        await _kill(process)
        self.kills += 1
        self.processes[index] = await self._start()

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_PROGRAM),
            *self._arguments,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        self._ledger.watch_memory(process.pid)
        return process

    async def _follow(self, journal: Iterator[str]) -> None:
        while True:
            self._read(journal)
            async with self._ready:
                self._ready.notify_all()
            await asyncio.sleep(_READ_INTERVAL)

    def _read(self, journal: Iterator[str]) -> None:
        # A line is written in one piece, and so it's read.
        for line in journal:
            word, number, pid = line.split()
            match word:
                case 'ready':
                    self._pids.add(int(pid))
                case 'begin':
                    self._ledger.begin(int(number))
                case 'fail':
                    self._ledger.fail(int(number))
                case 'done':
                    self._ledger.handle(int(number))


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
