"""The process of one contender: `python -m bench.child MODULE FUNCTION`.

It talks to the one that started it in lines of JSON: it reads the job, says when all is set up,
reads when to start, and says what it took. It is run in every environment: no dependencies.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_STATUS = Path('/proc/self/status')


@dataclass
class Job:
    """What a contender is to do, and its clocks."""

    url: str
    count: int
    size: int
    options: dict[str, Any]
    out: IO[str]
    latencies: list[float] = field(default_factory=list)
    """In seconds, where they are what is measured."""
    _start: tuple[float, float] = (0, 0)
    _end: tuple[float, float] = (0, 0)
    _memory_before: int = 0

    def remember_memory(self) -> None:
        """Take what is in memory now for what there is without any work."""
        self._memory_before = _peak_memory()

    async def begin(
        self, payload: bytes | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Say that all is set up, wait for the word, and start the clocks.

        :param payload: the messages to handle, if they are not to be plain flights.
        """
        self.say({'payload': payload and payload.decode(), 'headers': headers})
        await self.hear()
        self._start = _clocks()
        self.end()

    def end(self) -> None:
        """Stop the clocks. The last call counts."""
        self._end = _clocks()

    async def hear(self) -> Any:
        """Wait for a line of the one that started this process."""
        return json.loads(await asyncio.to_thread(sys.stdin.readline))

    def say(self, value: object) -> None:
        print(json.dumps(value), file=self.out, flush=True)

    def result(self) -> dict[str, Any]:
        (start, cpu_before), (end, cpu_after) = self._start, self._end
        memory = _peak_memory()
        percentiles = statistics.quantiles(self.latencies, n=100) if self.latencies else None
        return {
            'started_at': start,
            'ended_at': end,
            'cpu': cpu_after - cpu_before,
            'memory': memory,
            'growth': memory - self._memory_before,
            'p50': percentiles and percentiles[49],
            'p99': percentiles and percentiles[98],
        }


def _clocks() -> tuple[float, float]:
    # perf_counter is one clock for all processes of the machine.
    return time.perf_counter(), time.process_time()


def _peak_memory() -> int:
    """Give the most bytes that this process had in memory."""
    if _STATUS.exists():
        # Not from getrusage, which on Linux begins with the peak of the parent.
        lines = dict(line.split(':', 1) for line in _STATUS.read_text('ascii').splitlines())
        return int(lines['VmHWM'].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def _run(module: str, function: str, job: Job) -> None:
    contender = getattr(importlib.import_module(module), function)
    job.remember_memory()
    await contender(job)
    job.say(job.result())


def main(module: str, function: str) -> None:
    # What a library prints must not come between the lines.
    out = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    job = Job(**json.loads(sys.stdin.readline()), out=out)
    uses_uvloop = job.options.pop('uvloop', False)
    run = importlib.import_module('uvloop').run if uses_uvloop else asyncio.run
    run(_run(module, function, job))


if __name__ == '__main__':
    main(*sys.argv[1:])
