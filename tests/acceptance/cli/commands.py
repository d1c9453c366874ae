"""Runs the commands as processes, to their end, and in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import struct
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMMAND = Path(sys.executable).with_name('walnats')
PATIENCE = 30

# They would speak of another terminal than that of the test.
_OF_TERMINALS = {'COLUMNS', 'LINES', 'NO_COLOR', 'FORCE_COLOR'}
_ESCAPE = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Commands:
    """The commands, in a directory and with a server of the test's own."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in _OF_TERMINALS},
            'NATS_SERVER': url,
        }

    async def run(self, *arguments: str, stdin: bytes = b'', **environment: str) -> Result:
        """Run a command with its input and output piped, to its end."""
        async with self.start(*arguments, **environment) as process, asyncio.timeout(PATIENCE):
            out, err = await process.communicate(stdin)
            return Result(await process.wait(), out.decode(), err.decode())

    @contextlib.asynccontextmanager
    async def start(
        self, *arguments: str, **environment: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start a command that runs until it is stopped."""
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=self.directory,
            env=self._environment | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    @contextlib.asynccontextmanager
    async def terminal(self, *arguments: str, **environment: str) -> AsyncIterator[Terminal]:
        """Start a command in a terminal of its own."""
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 140, 0, 0))
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=self.directory,
            env=self._environment | {'TERM': 'xterm-256color'} | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        os.set_blocking(ours, False)
        terminal = Terminal(process, ours)
        try:
            yield terminal
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            os.close(ours)


class Terminal:
    """A command in a terminal: what it shows, and what one types."""

    def __init__(self, process: asyncio.subprocess.Process, ours: int) -> None:
        self._process = process
        self._ours = ours
        self.raw = ''

    @property
    def text(self) -> str:
        """What was shown, without colours and moves of the cursor."""
        return _ESCAPE.sub('', self.raw)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    async def expect(self, text: str) -> None:
        """Wait until that was shown."""
        try:
            async with asyncio.timeout(PATIENCE):
                while text not in self.text:
                    assert await self._read(), f'it ended without {text!r}: {self.text[-2000:]}'
        except TimeoutError:
            raise AssertionError(f'{text!r} does not come: {self.text[-2000:]}') from None

    async def wait(self) -> int:
        """Read the rest and give the exit code."""
        async with asyncio.timeout(PATIENCE):
            while await self._read():
                pass
            return await self._process.wait()

    async def _read(self) -> bool:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._ours, readable.set)
        try:
            await readable.wait()
            data = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        finally:
            loop.remove_reader(self._ours)
        self.raw += data.decode(errors='replace')
        return bool(data)
