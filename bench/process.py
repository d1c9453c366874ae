"""The processes of the contenders, seen from here."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environments import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LONGEST_LINE = 2**20
_IMPORT = """
import importlib, sys, time
started_at = time.perf_counter()
importlib.import_module(sys.argv[1])
print(time.perf_counter() - started_at, time.process_time())
"""


class ContenderError(Exception):
    """A contender failed, or did not do its work."""


class Child:
    """One process of a contender; `child.py` is what runs in it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    def say(self, value: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(value).encode() + b'\n')

    async def hear(self) -> dict[str, Any]:
        """Wait for its next line. ContenderError if it ends without one."""
        line = await self._process.stdout.readline() if self._process.stdout else b''
        if not line:
            status = await self._process.wait()
            raise ContenderError(f'exit status {status}:\n{self._log.read_text()[-3000:]}')
        said: dict[str, Any] = json.loads(line)
        return said

    async def end(self) -> None:
        """Wait until the process has ended."""
        status = await self._process.wait()
        if status:
            raise ContenderError(f'exit status {status}:\n{self._log.read_text()[-3000:]}')


@asynccontextmanager
async def start_child(python: Path, function: str, job: dict[str, Any]) -> AsyncIterator[Child]:
    """Start a process, give it its job, and see that it is over at the end."""
    module, _, name = function.partition('.')
    with tempfile.NamedTemporaryFile(prefix='bench-', suffix='.log') as log:
        process = await asyncio.create_subprocess_exec(
            *(str(python), '-m', 'bench.child', f'bench.contenders.{module}', name),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LONGEST_LINE,
        )
        try:
            child = Child(process, Path(log.name))
            child.say(job)
            yield child
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def time_import(python: Path, module: str) -> tuple[float, float]:
    """Give the seconds, and those of CPU, that an import takes in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(str(python), '-c', _IMPORT, module),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise ContenderError(f'import {module}: {errors.decode()[-3000:]}')
    seconds, cpu = output.split()
    return float(seconds), float(cpu)
