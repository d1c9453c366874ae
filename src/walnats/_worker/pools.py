"""Pools for handlers that don't run in the event loop: threads and processes.

A process runs one job at a time in an executor of its own. So one that dies fails its own
job and no other, and a new one takes its place.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
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
        self,
        execute_in: ExecuteIn,
        handler: Callable[[Any], Any],
        message: Any,
        *,
        wants_result: bool,
    ) -> asyncio.Future[Any]:
        """Start a job once there is a thread or a process for it. It can't be cancelled.

        :param wants_result: what the handler returns is needed, so it has to come back.
        """
        is_thread = execute_in is ExecuteIn.THREAD
        free = self._free_threads if is_thread else self._free_processes
        await free.acquire()
        try:
            if is_thread:
                future = self._start_in_thread(handler, message)
            else:
                future = await self._start_in_process(handler, message, wants_result=wants_result)
        except BaseException:
            free.release()
            raise
        future.add_done_callback(lambda _: free.release())
        return future

    def close(self) -> None:
        """Let go of the threads, and end the processes, busy or not."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for executor in tuple(self._pids):
            self._drop(executor)

    def _start_in_thread(self, handler: Callable[[Any], Any], message: Any) -> asyncio.Future[Any]:
        context = contextvars.copy_context()
        return asyncio.wrap_future(
            self._threads.submit(context.run, _run_in_thread, handler, message)
        )

    async def _start_in_process(
        self, handler: Callable[[Any], Any], message: Any, *, wants_result: bool
    ) -> asyncio.Future[Any]:
        executor, future = await self._submit(_run_in_process, handler, message, wants_result)
        future.add_done_callback(lambda done: self._take_back(executor, done))
        return future

    async def _submit(self, *call: Any) -> tuple[ProcessPoolExecutor, asyncio.Future[Any]]:
        """Give the job to a process: to one that is idle, and still there, or to a new one."""
        while self._idle:
            executor = self._idle.pop()
            try:
                return executor, asyncio.wrap_future(executor.submit(*call))
            except BrokenExecutor:
                # It was killed while it had no job: that is no failure of this one.
                self._drop(executor)
        executor = await self._add_process()
        return executor, asyncio.wrap_future(executor.submit(*call))

    async def _add_process(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context('spawn')
        executor = ProcessPoolExecutor(1, context, initializer=_prepare_process)
        try:
            self._pids[executor] = await asyncio.wrap_future(executor.submit(os.getpid))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        return executor

    def _take_back(self, executor: ProcessPoolExecutor, done: asyncio.Future[Any]) -> None:
        if executor not in self._pids:
            return
        if not done.cancelled() and isinstance(done.exception(), BrokenExecutor):
            self._drop(executor)
        else:
            self._idle.append(executor)

    def _drop(self, executor: ProcessPoolExecutor) -> None:
        pid = self._pids.pop(executor)
        executor.shutdown(wait=False, cancel_futures=True)
        # Not by its id alone: if it is gone, that may be the id of a stranger by now.
        for process in multiprocessing.active_children():
            if process.pid == pid:
                process.kill()


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
    """Leave signals to the parent, and end with it even if it's killed.

    Who stops a worker often signals the whole group: that is no reason to lose the job.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not SIG_IGN: a program that the handler starts would inherit it.
        signal.signal(number, _ignore)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing."""


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _run_in_thread(handler: Callable[[Any], Any], message: Any) -> Any:
    try:
        return _run(handler, message)
    except StopIteration as exc:
        # No future takes it.
        raise RuntimeError('the handler raised StopIteration') from exc


def _run_in_process(handler: Callable[[Any], Any], message: Any, wants_result: bool) -> Any:  # noqa: FBT001 -- an executor passes arguments by position
    """Run the job. What it returns or raises has to get through a pipe."""
    try:
        result = _run_in_thread(handler, message)
    except BaseException as exc:
        if _survives_pickling(exc, type(exc)):
            raise
        bare = _BareError(type(exc), str(exc))
        if _survives_pickling(bare, type(exc)):
            raise bare from exc
        raise RuntimeError(f'{type(exc).__name__}: {exc}') from exc
    return result if wants_result else None


def _run(handler: Callable[[Any], Any], message: Any) -> Any:
    result = handler(message)
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError('a handler in a pool must not give an awaitable: use ExecuteIn.MAIN')


class _BareError(Exception):
    """Becomes an exception of the given type on the other side, with a text and nothing else.

    Many exceptions can't be pickled, because their class is called with other arguments than
    they are. But `give_up_on` and the log want to know the type.
    """

    def __init__(self, kind: type[BaseException], text: str) -> None:
        super().__init__(kind, text)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _make_bare, self.args


def _make_bare(kind: type[BaseException], text: str) -> BaseException:
    # Its `__init__` may want who knows what.
    return kind.__new__(kind, text)


def _survives_pickling(exc: BaseException, kind: type[BaseException]) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(exc))) is kind  # noqa: S301 -- it's our own
    except Exception:  # noqa: BLE001 -- pickling runs foreign code
        return False
