"""Runs `walnats run` as a process, on a service of the test's own, and reads what it prints."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client

COMMAND = str(Path(sys.executable).with_name('walnats'))

BETWEEN_SIGNALS = 0.15

SERVICE = """
import asyncio, os, time
import walnats
from walnats.middlewares import PrometheusMiddleware

EVENT = walnats.Event({event!r}, int)

def say(*words: object) -> None:
    # In one piece: several processes write to one pipe.
    os.write(1, f'{" ".join(map(str, words))}\\n'.encode())

async def handle(number: int) -> None:
    say('started', number)
    await asyncio.sleep(number / 10)
    say('handled', number)

ACTORS = walnats.Actors(
    walnats.Actor('actor', EVENT, handle, ack_wait=30, middlewares=[PrometheusMiddleware()]),
    dead_letters=None,
)
"""


class Running:
    """A command as it runs."""

    def __init__(self, process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> None:
        self.process = process
        self.lines: list[str] = []
        self._output = output

    async def expect(self, pattern: str, seconds: float = 15) -> re.Match[str]:
        """Read until a line has the pattern."""
        try:
            async with asyncio.timeout(seconds):
                while line := await self.read_line():
                    if found := re.search(pattern, line):
                        return found
        except TimeoutError:
            raise AssertionError(f'{pattern!r} does not come: {self.lines}') from None
        raise AssertionError(f'it ended without {pattern!r}: {self.lines}')

    async def read_line(self) -> str:
        try:
            line = (await self._output.readline()).decode()
        except OSError:  # the terminal is closed
            return ''
        if line:
            self.lines.append(line.rstrip())
        return line

    def send(self, what: signal.Signals) -> None:
        self.process.send_signal(what)

    async def wait(self) -> int:
        """Read all the rest and give the exit code."""
        async with asyncio.timeout(30):
            while await self.read_line():
                pass
            return await self.process.wait()

    def children(self) -> list[int]:
        """Give the ids of the worker processes."""
        path = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        return [pid for pid in map(int, path.read_text().split()) if b'_child' in cmdline(pid)]


class Service:
    """A module with actors, in a directory of its own."""

    def __init__(self, directory: Path, url: str, event: str, nc: Client) -> None:
        self.path = directory / 'service.py'
        self.event = walnats.Event(event, int)
        self.environment = {**os.environ, 'NATS_SERVER': url}
        for name in ('NO_COLOR', 'PYTHONDONTWRITEBYTECODE'):
            self.environment.pop(name, None)
        self._nc = nc
        self.write(SERVICE)

    def write(self, source: str) -> None:
        self.path.write_text(source.replace('{event!r}', repr(self.event.name)))

    def change(self, old: str, new: str) -> None:
        source = self.path.read_text()
        assert old in source
        self.path.write_text(source.replace(old, new))

    @contextlib.asynccontextmanager
    async def run(self, *arguments: str, command: str = 'run') -> AsyncIterator[Running]:
        """Start the command with its output piped."""
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, command, *arguments),
            cwd=self.path.parent,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        running = Running(process, process.stdout)
        async with _ended(running):
            yield running

    @contextlib.asynccontextmanager
    async def run_in_terminal(
        self, *arguments: str, command: str = 'run'
    ) -> AsyncIterator[tuple[Running, int]]:
        """Start the command in a terminal of its own; give the end on which one types, too."""
        ours, theirs = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, command, *arguments),
            cwd=self.path.parent,
            env=self.environment | {'TERM': 'xterm-256color'},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, 'rb', buffering=0)
        )
        running = Running(process, reader)
        try:
            async with _ended(running):
                yield running, ours
        finally:
            transport.close()

    async def register(self) -> None:
        """Create what a worker creates, so that what is emitted is kept."""
        actors = walnats.Actors(self.actor(), dead_letters=None)
        async with actors.connect(self.environment['NATS_SERVER']) as conn:
            await conn.register()

    async def emit(self, *numbers: int) -> None:
        for number in numbers:
            await self._nc.jetstream().publish(self.event.name, json.dumps(number).encode())

    async def take(self, count: int) -> list[int]:
        """Be another worker, for two seconds at most."""
        consumer = await self._nc.jetstream().pull_subscribe_bind('actor', self.event.stream_name)
        messages = await consumer.fetch(count, timeout=2)
        for msg in messages:
            await msg.ack()
        return [json.loads(msg.data) for msg in messages]

    async def remove_consumer(self) -> None:
        await self._nc.jetstream().delete_consumer(self.event.stream_name, 'actor')

    async def unsettled(self) -> int:
        info = await self._nc.jetstream().consumer_info(self.event.stream_name, 'actor')
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def wait_settled(self, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while await self.unsettled():
                await asyncio.sleep(0.05)

    def actor(self, ack_wait: float = 30) -> walnats.Actor[int, None]:
        return walnats.Actor('actor', self.event, print, ack_wait=ack_wait)


@contextlib.asynccontextmanager
async def _ended(running: Running) -> AsyncIterator[None]:
    """Leave nothing behind: workers end by themselves when their supervisor is killed."""
    try:
        yield
    finally:
        if running.process.returncode is None:
            children = running.children()
            running.process.kill()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        await running.process.wait()


def cmdline(pid: int) -> bytes:
    try:
        return Path(f'/proc/{pid}/cmdline').read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b''


def is_alive(pid: int) -> bool:
    return bool(cmdline(pid))


async def wait_dead(*pids: int, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, alive
        await asyncio.sleep(0.05)
