"""One run of `listen`: all its actors, from the first request to the last settled message."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from .listener import Listener
from .loop_watch import LoopWatch
from .pools import Pools
from .slots import Slots
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from .._actor import Actor
    from .._jetstream.connection import Connection
    from .options import ListenOptions

logger = logging.getLogger('walnats.worker')

# Seconds that a cancelled run takes at most to hand its messages back.
_HAND_BACK_TIMEOUT = 5.0
_CANCEL_INTERVAL = 0.1


class Run:
    """Starts the actors, and ends them: in order, or by handing everything back."""

    def __init__(
        self,
        connection: Connection,
        actors: Iterable[Actor[Any, Any]],
        options: ListenOptions,
        *,
        keeps_letters: bool,
    ) -> None:
        self.ended = asyncio.Event()
        self.is_listening = False
        """The actors are subscribed and ask for messages."""
        self._connection = connection
        self._options = options
        self._stopping = asyncio.Event()
        self._overdue = asyncio.Event()
        self._graces: list[asyncio.TimerHandle] = []
        self.slots = Slots(options.max_jobs)
        self._pools = Pools(
            options.max_jobs,
            max_threads=options.max_threads,
            max_processes=options.max_processes,
        )
        turns = None
        if options.max_polls is not None:
            turns = Turns(options.max_polls, options.poll_delay)
        self._listeners = [
            Listener(
                connection,
                actor,
                self.slots,
                self._pools,
                claims=self._claims,
                turns=turns,
                batch=options.batch,
                keeps_letters=keeps_letters,
            )
            for actor in actors
        ]

    def stop(self, grace: float | None = None) -> None:
        """Ask for no more messages; what has come is handled within `grace` seconds.

        It may be called again: the earliest end of a grace is the one that counts.
        """
        self._stopping.set()
        self.is_listening = False
        seconds = self._options.grace if grace is None else grace
        loop = asyncio.get_running_loop()
        self._graces.append(loop.call_later(seconds, self._overdue.set))

    async def run(self) -> None:
        """Run until stopped, done with the burst, cancelled, or until an actor can't go on."""
        watch = LoopWatch()
        try:
            await self._serve_and_finish()
        finally:
            watch.close()
            for grace in self._graces:
                grace.cancel()
            for listener in self._listeners:
                listener.close()
            self._pools.close()
            self.ended.set()

    def _claims(self) -> list[int]:
        return [listener.claimed for listener in self._listeners]

    async def _serve_and_finish(self) -> None:
        try:
            await self._serve()
            is_finished = await _run_until(self._overdue, map(_finish, self._listeners))
            if is_finished:
                await self._connection.flush()
        except BaseException:
            await self._hand_back()
            raise
        if not is_finished:
            logger.warning('the time to end is over: what is not done yet is handed back')
            await self._hand_back()

    async def _serve(self) -> None:
        for listener in self._listeners:
            await listener.open()
        try:
            if not self._stopping.is_set():
                self.is_listening = True
                await _run_until(self._stopping, map(self._serve_one, self._listeners))
        finally:
            self.is_listening = False
            for listener in self._listeners:
                listener.stop()

    def _serve_one(self, listener: Listener) -> Coroutine[Any, Any, None]:
        if self._options.burst:
            return listener.serve_burst(self._options.poll_delay)
        return listener.serve()

    async def _hand_back(self) -> None:
        """Hand all messages back within a bounded time, however often this is cancelled."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HAND_BACK_TIMEOUT
        task = asyncio.create_task(self._hand_all_back())
        is_cancelled = False
        while not task.done() and loop.time() < deadline:
            try:
                await asyncio.wait({task}, timeout=deadline - loop.time())
            except asyncio.CancelledError:
                # Whoever cancelled gets their answer at the end.
                is_cancelled = True
        await _cancel({task})
        if is_cancelled:
            raise asyncio.CancelledError

    async def _hand_all_back(self) -> None:
        handing = (listener.hand_back() for listener in self._listeners)
        for problem in await asyncio.gather(*handing, return_exceptions=True):
            if isinstance(problem, BaseException):
                logger.error('not all messages were handed back', exc_info=problem)
        await self._connection.flush()


async def _finish(listener: Listener) -> None:
    await listener.close_pull()
    await listener.finish()


async def _run_until(event: asyncio.Event, coroutines: Iterable[Coroutine[Any, Any, None]]) -> bool:
    """Run them all until they're over, one has failed, or the event comes. True if over."""
    pending = {asyncio.create_task(each) for each in coroutines}
    coming = asyncio.create_task(event.wait())
    try:
        while pending and not coming.done():
            done, _ = await asyncio.wait({*pending, coming}, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            for task in done:
                task.result()
        return not pending
    finally:
        await _cancel({*pending, coming})


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """End the tasks. An error in one of them is dropped: one was raised before or is logged."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        # Once may not be enough: nats-py swallows a cancellation while it flushes.
        await asyncio.wait(pending, timeout=_CANCEL_INTERVAL)
    for task in tasks:
        if not task.cancelled():
            task.exception()
