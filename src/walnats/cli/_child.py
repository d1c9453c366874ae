"""A worker process: `python -m walnats.cli._child TARGET FD`.

It gets its options over the socket FD, and listens until it is told there to stop. Signals are for
the supervisor: those of a terminal come to all processes. Only SIGTERM is taken as a word to stop.
If the supervisor is gone, the worker stops too.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from .._checks import show
from .._handlers import takes
from .._registry import Actors
from .._worker.worker import ConnectedActors
from ..errors import WalnatsError
from ._control import (
    CLOSING_TIME,
    REPORT_INTERVAL,
    Report,
    WorkerOptions,
    decode_stop,
    encode,
    receive_options,
)
from ._errors import CommandError
from ._logs import configure_logs
from ._target import describe_error, load, wrong_target

logger = logging.getLogger('walnats.run')

_PARENT_INTERVAL = 1.0
_EARLY_INTERVAL = 0.05
# Seconds for which actors have listened before it is said: by then the server has told which of
# them has no consumer.
_SETTLING_TIME = 0.1
# Characters of an error. The supervisor reads lines of up to 64 KiB, a person reads less.
_MAX_ERROR = 4000


def main() -> None:
    """Be a worker process."""
    _take_signals()
    control = socket.socket(fileno=int(sys.argv[2]))
    control.set_inheritable(False)
    options = receive_options(control)
    configure_logs(options.log_format, options.log_level, options.number)
    threading.Thread(target=_end_after_parent, args=(options,), daemon=True).start()
    try:
        _run(options, control)
    except (WalnatsError, CommandError) as error:
        _give_up(control, str(error))
    except ImportError as error:  # of what an option of the connection needs, for instance
        _give_up(control, f"'{options.target}': {describe_error(error)}")
    except Exception as error:
        logger.exception('the worker ends by an error')
        _give_up(control, f"'{options.target}': {describe_error(error)}")


class Worker:
    """Listens, tells the supervisor about it, and stops when that says so."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._conn: ConnectedActors | None = None
        self._working: asyncio.Task[Any] | None = None
        self._is_stopping = False
        self._listening_from = 0.0
        self._stops: set[asyncio.Task[None]] = set()

    async def run(self, target: Any, control: socket.socket) -> None:
        """Listen until told to stop, or until it can't go on."""
        self._working = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, self._options.grace)
        reader, writer = await asyncio.open_unix_connection(sock=control)
        talking = [loop.create_task(self._obey(reader)), loop.create_task(self._report(writer))]
        try:
            await asyncio.sleep(0)  # for the first words, before the target may block
            await self._listen(target)
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
        finally:
            for task in talking:
                task.cancel()
            await asyncio.wait({*talking, *self._stops})
            writer.close()

    async def _listen(self, target: Any) -> None:
        options = self._options
        async with (
            _opened(options.target, target) as actors,
            actors.connect(options.server.urls, **options.server.options()) as self._conn,
        ):
            if options.register:
                await self._conn.register()
            await self._conn.listen(
                burst=options.burst,
                batch=options.batch,
                max_jobs=options.max_jobs,
                grace=options.grace,
            )

    def _stop(self, grace: float) -> None:
        self._is_stopping = True
        if self._conn is not None:
            stop = asyncio.get_running_loop().create_task(self._conn.shutdown(grace))
            self._stops.add(stop)
        elif self._working is not None:
            self._working.cancel()

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):  # it was killed
            while line := await reader.readline():
                self._stop(decode_stop(line).grace)
        logger.warning('the supervisor is gone: shutting down')
        self._stop(self._options.grace)

    async def _report(self, writer: asyncio.StreamWriter) -> None:
        """Report again and again: that it does shows that the event loop turns."""
        while not writer.is_closing():
            report = self._describe()
            # If the supervisor doesn't read, the next report will do.
            if not writer.transport.get_write_buffer_size():
                writer.write(encode(report))
            await asyncio.sleep(REPORT_INTERVAL if report.listening else _EARLY_INTERVAL)

    def _describe(self) -> Report:
        if self._conn is None:
            return Report()
        status = self._conn.status
        now = time.monotonic()
        if not status.listening:
            self._listening_from = now + _SETTLING_TIME
        return Report(
            connected=status.connected,
            listening=status.listening and now >= self._listening_from,
            jobs=status.jobs,
            held=status.held,
        )


def _run(options: WorkerOptions, control: socket.socket) -> None:
    target = _load(options.target)
    with asyncio.Runner(loop_factory=_loop_factory(options)) as runner:
        # A copy, because the transport closes what it gets.
        runner.run(Worker(options).run(target, control.dup()))
    _ignore(signal.SIGTERM)  # it has ended in order: so let it exit


def _loop_factory(options: WorkerOptions) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not options.uvloop:
        return None
    import uvloop  # noqa: PLC0415 -- it is only there if it's wanted

    return uvloop.new_event_loop


def _load(target: str) -> Any:
    """Give what the target names: an `Actors`, or what gives a context."""
    value = load(target, Actors)
    if not isinstance(value, Actors) and not (callable(value) and takes(value, 0)):
        or_else = ', nor can it be called without arguments to give a context that yields one'
        raise wrong_target(target, value, Actors, or_else)
    return value


@asynccontextmanager
async def _opened(target: str, value: Any) -> AsyncIterator[Actors]:
    """Give the actors, for as long as what they use is open."""
    if isinstance(value, Actors):
        yield value
        return
    context = value()
    if not isinstance(context, AbstractAsyncContextManager):
        if asyncio.iscoroutine(context):
            context.close()
        raise CommandError(
            f"'{target}' gives {show(context)} when it is called, not an async context manager: "
            'decorate it with contextlib.asynccontextmanager'
        )
    async with context as actors:
        if not isinstance(actors, Actors):
            raise CommandError(f"the context of '{target}' yields {show(actors)}, not an Actors")
        yield actors


def _take_signals() -> None:
    """Take no signal but SIGTERM from now on. The supervisor had them blocked until here."""
    _ignore(signal.SIGINT)
    _ignore(signal.SIGHUP)
    # Until the event loop runs, nothing is held or open. No exception: an import may catch it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _ignore(number: signal.Signals) -> None:
    # Not SIG_IGN: a program that a handler starts would inherit it.
    signal.signal(number, lambda *_: None)


def _end_after_parent(options: WorkerOptions) -> None:
    """End the process if the supervisor is gone, even if the event loop is blocked for ever."""
    while os.getppid() == options.parent:
        time.sleep(_PARENT_INTERVAL)
    time.sleep(options.grace + CLOSING_TIME)
    os._exit(1)


def _give_up(control: socket.socket, error: str) -> None:
    text = error[:_MAX_ERROR].encode(errors='backslashreplace').decode()  # it may be anybody's
    control.setblocking(True)
    with contextlib.suppress(OSError):  # the supervisor may be gone
        control.sendall(encode(Report(error=text)))
    sys.exit(1)


if __name__ == '__main__':
    main()
