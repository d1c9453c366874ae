"""Pools for handlers that don't run in the event loop: threads and processes.

A process runs one job at a time in an executor of its own. So one that dies fails its own
job and no other, and a new one takes its place.
"""

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .._actor import ExecuteIn
from ..errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._actor import Actor


class Pools:
    """The threads and processes of one run of `listen`; they are started when needed.

    :param max_threads: None for as many as there are slots.
    :param max_processes: None for as many as there are cores.
    """

    def __init__(self, slots: int, *, max_threads: int | None, max_processes: int | None) -> None:
        self._threads = ThreadPoolExecutor(max_threads or slots, 'walnats')
        self._free_threads = asyncio.Semaphore(max_threads or slots)
        self._free_processes = asyncio.Semaphore(max_processes or os.cpu_count() or 1)
        self._idle: list[ProcessPoolExecutor] = []
        self._pids: dict[ProcessPoolExecutor, int] = {}

    async def start(
        self, execute_in: ExecuteIn, handler: Callable[[Any], Any], message: Any
    ) -> asyncio.Future[Any]:
        """Start a job once there is a thread or a process for it. It can't be cancelled."""
        if execute_in is ExecuteIn.THREAD:
            return await self._start_in_thread(handler, message)
        return await self._start_in_process(handler, message)

    def close(self) -> None:
        """Let go of the threads, and end the processes, busy or not."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for executor in tuple(self._pids):
            self._drop(executor)

    async def _start_in_thread(
        self, handler: Callable[[Any], Any], message: Any
    ) -> asyncio.Future[Any]:
        await self._free_threads.acquire()
        context = contextvars.copy_context()
        future = asyncio.wrap_future(self._threads.submit(context.run, _run, handler, message))
        future.add_done_callback(lambda _: self._free_threads.release())
        return future

    async def _start_in_process(
        self, handler: Callable[[Any], Any], message: Any
    ) -> asyncio.Future[Any]:
        await self._free_processes.acquire()
        try:
            executor = self._idle.pop() if self._idle else await self._add_process()
            future = asyncio.wrap_future(executor.submit(_run, handler, message))
        except BaseException:
            self._free_processes.release()
            raise
        future.add_done_callback(lambda done: self._take_back(executor, done))
        return future

    async def _add_process(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context('spawn')
        executor = ProcessPoolExecutor(1, context, initializer=_prepare_process)
        self._pids[executor] = await asyncio.wrap_future(executor.submit(os.getpid))
        return executor

    def _take_back(self, executor: ProcessPoolExecutor, done: asyncio.Future[Any]) -> None:
        self._free_processes.release()
        if executor not in self._pids:
            return
        if not done.cancelled() and isinstance(done.exception(), BrokenExecutor):
            self._drop(executor)
        else:
            self._idle.append(executor)

    def _drop(self, executor: ProcessPoolExecutor) -> None:
        pid = self._pids.pop(executor)
        executor.shutdown(wait=False, cancel_futures=True)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def check_picklable(actors: Iterable[Actor[Any, Any]]) -> None:
    """Raise DeclarationError for a handler that can't be sent to a process."""
    for actor in actors:
        if actor.execute_in is not ExecuteIn.PROCESS:
            continue
        try:
            pickle.dumps(actor.handler)
        except Exception as exc:  # noqa: BLE001 -- pickling runs foreign code
            raise DeclarationError(
                f'actor {actor.name!r}: the handler of an actor in ExecuteIn.PROCESS must be '
                f'importable, a function at the top of a module for instance: {exc}'
            ) from None


def _prepare_process() -> None:
    """Leave signals to the parent, and end with it even if it's killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _run(handler: Callable[[Any], Any], message: Any) -> Any:
    """Run the job. What it raises has to get into a future, and through a pipe perhaps."""
    try:
        return handler(message)
    except StopIteration as exc:
        raise RuntimeError('the handler raised StopIteration') from exc
    except BaseException as exc:
        if _survives_pickling(exc):
            raise
        raise RuntimeError(f'{type(exc).__name__}: {exc}') from None


def _survives_pickling(exc: BaseException) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(exc))) is type(exc)  # noqa: S301 -- it's our own
    except Exception:  # noqa: BLE001 -- pickling runs foreign code
        return False
