"""One of the workers that the supervisor keeps running: a process, and after its end the next."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ._control import Report, WorkerOptions
from ._errors import CommandError
from ._process import WorkerProcess, describe_end
from ._restarts import CRASH_PERIOD, MOST_CRASHES, restart_delay

logger = logging.getLogger('walnats.run')


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """How a worker is, for health checks and metrics."""

    number: int
    pid: int | None
    """None if there is no process now."""
    is_over: bool
    """No process is to be there any more."""
    report: Report | None
    """What it said last, None before its event loop runs."""
    silence: float
    """Seconds since then, 0 if it hasn't said anything yet."""
    restarts: int


class WorkerSlot:
    """Runs a process, and another one after each that ends, until told to stop.

    :param number: which of the workers it is, from 1.
    :param keeps_waiting: after an error wait until `restart` is called, in place of raising it.
    :param on_end: called with the id of a process that has ended.
    """

    def __init__(
        self,
        number: int,
        options: WorkerOptions,
        environment: dict[str, str],
        *,
        keeps_waiting: bool,
        on_end: Callable[[int], None],
    ) -> None:
        self._number = number
        self._options = options
        self._environment = environment
        self._keeps_waiting = keeps_waiting
        self._on_end = on_end
        self._restarts = 0
        self._process: WorkerProcess | None = None
        self._crashes: list[float] = []
        self._was_ready = False
        self._is_over = False
        self._is_stopping = False
        self._grace = 0.0
        # Whatever runs or is waited for now has to end.
        self._interrupted = asyncio.Event()

    async def run(self) -> None:
        """Keep a process running.

        :raises CommandError: it can't go on, or didn't end in order.
        """
        try:
            while not self._is_stopping:
                if self._interrupted.is_set():  # the code is another one now
                    self._interrupted.clear()
                    self._was_ready = False
                    self._crashes.clear()
                await self._run_process()
        finally:
            self._is_over = True

    def stop(self, grace: float) -> None:
        """End the process within so many seconds, and start no other."""
        self._is_stopping = True
        self._interrupt(grace)

    def restart(self, grace: float) -> None:
        """End the process within so many seconds, if there is one, and start the next."""
        if not self._is_stopping:
            self._interrupt(grace)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def view(self) -> WorkerView:
        """Tell how it is."""
        process = self._process
        report = None if process is None else process.report
        return WorkerView(
            number=self._number,
            pid=None if process is None else process.pid,
            is_over=self._is_over,
            report=report,
            silence=time.monotonic() - process.heard_at if process and report else 0.0,
            restarts=self._restarts,
        )

    def _interrupt(self, grace: float) -> None:
        self._grace = grace
        self._interrupted.set()
        if self._process is not None:
            self._process.stop(grace)

    async def _run_process(self) -> None:
        process = await self._start()
        code = await process.wait()
        self._process = None
        self._on_end(process.pid)
        self._was_ready |= process.was_ready
        failure = describe_end(process, code)
        if self._options.burst or self._is_stopping:
            self._is_stopping = True
            if code:
                raise CommandError(failure)
        elif not self._interrupted.is_set():
            await self._recover(process, failure)

    async def _start(self) -> WorkerProcess:
        try:
            self._process = await WorkerProcess.start(self._options, self._environment)
        except OSError as error:
            raise CommandError(f"a worker process can't be started: {error}") from error
        if self._interrupted.is_set():  # while it was being started
            self._process.stop(self._grace)
        return self._process

    async def _recover(self, process: WorkerProcess, failure: str) -> None:
        """Wait until the next process may start."""
        if process.error is not None and not self._was_ready:
            # It never worked: it will not the next time.
            await self._give_up(failure)
            return
        self._crashes.append(time.monotonic())
        delay = restart_delay(self._crashes)
        if delay is None:
            await self._give_up(
                f'{failure}; that was the end number {MOST_CRASHES} of this worker within '
                f'{CRASH_PERIOD:g} s'
            )
            return
        self._restarts += 1
        logger.warning('%s; the next one starts in %g s', failure, delay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._interrupted.wait()

    async def _give_up(self, failure: str) -> None:
        if not self._keeps_waiting:
            raise CommandError(failure)
        logger.error('%s', failure)
        logger.info('waiting for a change')
        await self._interrupted.wait()
