"""A worker process, as its supervisor sees it."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Self

from ._control import (
    CLOSING_TIME,
    Report,
    Stop,
    WorkerOptions,
    decode_report,
    encode,
    send_options,
)

logger = logging.getLogger('walnats.run')

# Seconds for its last words to be read, after its end.
_LAST_WORDS = 1.0

# One at a time: which signals are blocked is a state of the whole process.
_STARTING = asyncio.Lock()


class WorkerProcess:
    """One process from its start to its end."""

    def __init__(
        self,
        options: WorkerOptions,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.report: Report | None = None
        """What it said last, None until its event loop runs."""
        self.heard_at = time.monotonic()
        """When it was."""
        self.was_ready = False
        self.error: str | None = None
        """Why it can't go on, if it said so."""
        self.is_overdue = False
        """It didn't end when it had to, and so it was killed."""
        self._name = 'worker' if options.number is None else f'worker {options.number}'
        self._process = process
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader))
        self._deadline: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, options: WorkerOptions, environment: dict[str, str]) -> Self:
        """Start a process and send it its options."""
        ours, theirs = socket.socketpair()
        try:
            send_options(ours, options)
            process = await _spawn(options.target, theirs, environment)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(options, process, *await asyncio.open_unix_connection(sock=ours))

    def __str__(self) -> str:
        return f'{self._name} (pid {self.pid})'

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def stop(self, grace: float) -> None:
        """Have it end within so many seconds, and kill it if it doesn't soon after them.

        It may be called again, with fewer of them.
        """
        if self._process.returncode is not None:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(grace + CLOSING_TIME, self._kill_overdue)
        self._writer.write(encode(Stop(grace)))
        if self.report is None:
            # It may not listen to us yet, and has nothing to hand back.
            self._process.terminate()

    def kill(self) -> None:
        """End it at once: what it holds is another worker's after `ack_wait`."""
        if self._process.returncode is None:
            self._process.kill()

    async def wait(self) -> int:
        """Wait for its end, and give its exit code: negative for a signal."""
        code = await self._process.wait()
        if self._deadline is not None:
            self._deadline.cancel()
        # A program that a handler has started may still hold the other end of the socket.
        await asyncio.wait({self._reading}, timeout=_LAST_WORDS)
        self._reading.cancel()
        self._writer.close()
        return code

    def _kill_overdue(self) -> None:
        self.is_overdue = True
        self.kill()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):  # it was killed
            while line := await reader.readline():
                self._note(decode_report(line))

    def _note(self, report: Report) -> None:
        if report.error is not None:
            self.error = report.error
            return
        self.report = report
        self.heard_at = time.monotonic()
        if report.listening and not self.was_ready:
            self.was_ready = True
            logger.info('%s is listening', self)


def describe_end(process: WorkerProcess, code: int) -> str:
    """Say how a process ended, or why."""
    if process.is_overdue:
        return (
            f'{process} did not end in time, so it was killed: a handler blocks it; what it held '
            'is delivered again after `ack_wait`'
        )
    return process.error or f'{process} {_describe_code(code)}'


def _describe_code(code: int) -> str:
    if code >= 0:
        return f'ended with code {code}'
    try:
        return f'was ended by {signal.Signals(-code).name}'
    except ValueError:  # a real-time signal has no name
        return f'was ended by signal {-code}'


async def _spawn(
    target: str, control: socket.socket, environment: dict[str, str]
) -> asyncio.subprocess.Process:
    """Start the process. It gets our standard input, so that a handler can call a debugger."""
    descriptor = control.fileno()
    async with _STARTING:
        with _signals_blocked():
            return await asyncio.create_subprocess_exec(
                # -P: a module of the service must not be taken for one of Python's own.
                *(sys.executable, '-P', '-m', f'{__package__}._child', target, str(descriptor)),
                pass_fds=[descriptor],
                env=environment,
            )


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Have the child start with signals blocked: it isn't to die before it can handle them."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
