"""Runs worker processes and watches over them, until a signal, the end of a burst or an error.

There is always a process beside the workers, also if there is only one of them. So health is
answered while a handler blocks the event loop, a worker that was killed is replaced, and code is
reloaded, all in one way.
"""

import asyncio
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._jetstream.urls import check_urls
from ..errors import ServerStartError
from ..server import EmbeddedServer
from ._control import WorkerOptions
from ._slot import WorkerSlot, WorkerView

logger = logging.getLogger('walnats.run')

# Seconds that jobs have to end when the code has changed; then their messages are handed back.
_RELOAD_GRACE = 0.3
# Seconds within which two signals are one: a program that runs this one, such as `timeout`, may
# pass on what came to both.
_ONE_SIGNAL = 0.1
# The port on which clients look for NATS by default.
_DEV_PORT = 4222


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `walnats run` was asked for."""

    worker: WorkerOptions
    processes: int
    reload: bool
    embedded_server: bool
    health_host: str
    health_port: int | None


async def supervise(options: RunOptions) -> int:
    """Run the workers, and give the exit code.

    :raises CommandError: a worker can't go on, or didn't end in order; or the port of health
        can't be listened on.
    :raises ServerStartError: the embedded server doesn't start.
    :raises ConnectError: a URL can't be one, or there is none.
    """
    async with AsyncExitStack() as context:
        if options.embedded_server:
            options = await _with_server(options, context)
        supervisor = await _prepare(options, context)
        context.enter_context(supervisor.signals())
        return await supervisor.run()


class Supervisor:
    """The workers, and what is done with all of them.

    :param environment: that of the processes.
    :param on_end: called with the id of a process that has ended.
    """

    def __init__(
        self, options: RunOptions, environment: dict[str, str], on_end: Callable[[int], None]
    ) -> None:
        self.is_stopping = False
        self._options = options
        self._signals: list[int] = []
        self._last_signal_at = -math.inf
        several = options.processes > 1
        self._slots = [
            WorkerSlot(
                number,
                replace(options.worker, number=number if several else None),
                environment,
                keeps_waiting=options.reload,
                on_end=on_end,
            )
            for number in range(1, options.processes + 1)
        ]

    def view(self) -> Sequence[WorkerView]:
        """Tell how the workers are."""
        return [slot.view() for slot in self._slots]

    async def run(self) -> int:
        """Run the workers until all are over, and give the exit code."""
        running = [asyncio.create_task(slot.run()) for slot in self._slots]
        working: asyncio.Future[list[None]] = asyncio.gather(*running)
        watching = asyncio.create_task(self._watch_code())
        try:
            ending: set[asyncio.Future[Any]] = {working, watching}
            done, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
            if not self.is_stopping:
                self._give_up(done.pop().exception())
            await asyncio.wait(running)
        finally:
            watching.cancel()
            self._kill()
        await asyncio.wait({watching})
        if not watching.cancelled():
            watching.result()
        await working
        return 128 + self._signals[1] if len(self._signals) > 1 else 0

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Stop in order on the first signal, at once on the second."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self._take_signal, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _take_signal(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if now - self._last_signal_at < _ONE_SIGNAL:
            return
        self._last_signal_at = now
        self._signals.append(number)
        match len(self._signals):
            case 1:
                grace = self._options.worker.grace
                logger.info('%s: shutting down, jobs have %g s to end', number.name, grace)
                self._stop(grace)
            case 2:
                logger.warning('%s again: handing back what is not done', number.name)
                self._stop(0)
            case _:
                logger.warning('%s again: killing the workers', number.name)
                self._kill()

    def _give_up(self, why: BaseException | None) -> None:
        """If one can't go on, the others needn't."""
        if any(each.report and each.report.listening for each in self.view()):
            logger.error('shutting down: %s', why)
        self._stop(self._options.worker.grace)

    def _stop(self, grace: float) -> None:
        self.is_stopping = True
        for slot in self._slots:
            slot.stop(grace)

    def _kill(self) -> None:
        for slot in self._slots:
            slot.kill()

    async def _watch_code(self) -> None:
        if not self._options.reload:
            await asyncio.get_running_loop().create_future()
        from ._reload import watch_code  # noqa: PLC0415 -- it is only used here

        await watch_code(Path.cwd(), self._reload)

    def _reload(self, changed: list[str]) -> None:
        logger.info('changed: %s; reloading', ', '.join(changed))
        for slot in self._slots:
            slot.restart(_RELOAD_GRACE)


async def _prepare(options: RunOptions, context: AsyncExitStack) -> Supervisor:
    """Give the supervisor, and serve its health if that is wanted."""
    environment = _environment(options.worker.server.urls)
    if options.health_port is None:
        return Supervisor(options, environment, lambda _: None)
    # They take a while to import, and are only used here.
    from ._health import serve_health  # noqa: PLC0415 -- as said above
    from ._metrics import temporary_metrics  # noqa: PLC0415 -- as said above

    metrics = context.enter_context(temporary_metrics())
    supervisor = Supervisor(options, environment | metrics.environment, metrics.forget)
    health = serve_health(options.health_host, options.health_port, supervisor, metrics)
    await context.enter_async_context(health)
    return supervisor


def _environment(urls: list[str]) -> dict[str, str]:
    """Have what the workers connect to besides, by default, be the same NATS."""
    return {**os.environ, 'NATS_SERVER': check_urls(urls)[0]}


async def _with_server(options: RunOptions, context: AsyncExitStack) -> RunOptions:
    """Start a nats-server for development."""
    try:
        server = await context.enter_async_context(EmbeddedServer(port=_DEV_PORT))
        logger.info('nats-server for development: %s', server.url)
    except ServerStartError:  # another server has the port, perhaps
        server = await context.enter_async_context(EmbeddedServer())
        logger.info('nats-server for development: %s', server.url)
        logger.info('to use it elsewhere, too: export NATS_SERVER=%s', server.url)
    at_server = replace(options.worker.server, urls=[server.url])
    return replace(options, worker=replace(options.worker, server=at_server))
