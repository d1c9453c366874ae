"""The processes of the demo: the publisher and the workers. They end with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class DemoError(Exception):
    """What the demo was to show can't be shown."""


class Processes:
    """Runs modules of the demo, each as a process that has the name of its ledger."""

    def __init__(self, server_url: str) -> None:
        self._env = {**os.environ, 'NATS_SERVER': server_url}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._ended: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def start(self, module: str, ledger: Path) -> None:
        self._processes[ledger.stem] = await asyncio.create_subprocess_exec(
            sys.executable,
            '-m',
            f'{__package__}.{module}',
            str(ledger),
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
        )

    async def wait_ready(self, name: str) -> None:
        """Wait until the process has printed its one line, `ready`."""
        stdout = self._processes[name].stdout
        if stdout is None or await stdout.readline() != b'ready\n':
            raise DemoError(f'{name} has not become ready')

    def is_running(self, name: str) -> bool:
        return self._processes[name].returncode is None

    def check(self) -> None:
        """Raise DemoError if a process has failed."""
        for name, process in self._processes.items():
            if process.returncode and name not in self._ended:
                raise DemoError(f'{name} has failed with exit status {process.returncode}')

    async def kill(self, name: str) -> None:
        """End the process by SIGKILL: it can't do anything about it."""
        await self._end(name, signal.SIGKILL, status=-signal.SIGKILL)

    async def stop(self, name: str) -> None:
        """Have the process end in order, by SIGTERM."""
        await self._end(name, signal.SIGTERM, status=0)

    async def _end(self, name: str, number: signal.Signals, *, status: int) -> None:
        process = self._processes[name]
        self._ended.add(name)
        process.send_signal(number)
        if await process.wait() != status:
            raise DemoError(f'{name} has ended with {process.returncode} in place of {status}')
