"""The worker: runs actors until it is cancelled or shut down.

The life of a message, and where it is told:

1. An actor has free slots and asks for messages, perhaps in turns with others (`demand.py`,
   `turns.py`, `listener.py`, and `pull.py` in `_jetstream`).
2. A message comes. It is held from now on, and kept alive (`pulse.py`).
3. It waits for a slot of its actor and of the process (`slots.py`).
4. A job takes it: held back until it is due, decoded, announced to the middlewares
   (`hooks.py`), handled in the loop or in a pool (`pools.py`) until its time-out
   (`deadlines.py`). It ends in an outcome (`job.py`, `outcome.py`); after a failure it is
   decided what comes next (`retry.py`).
5. It is settled: acknowledged, handed back with a delay, or made a dead letter (`settle.py`).
   Then whoever waits for an answer gets it (`answer.py`), and the middlewares are told.
6. Its slot goes to the message that waits most urgently, and the actor may ask for more.

`run.py` starts and ends all of that for one call of `listen`. `stall.py` and `loop_watch.py` warn
of actors that get nothing and of handlers that let nobody else run.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .. import _dead_letters
from .._checks import Fields
from .._jetstream import settings, topology
from .._names import check_actor_name
from ..errors import ConsumerNotFoundError, DeclarationError, NotRegisteredError
from .options import ListenOptions
from .pools import check_picklable
from .run import Run
from .status import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from .._actor import Actor, DeadLetters
    from .._dead_letters import DeadLetter
    from .._event import BaseEvent
    from .._jetstream.connection import Connection
    from .._jetstream.settings import Change


class ConnectedActors:
    """Actors connected to NATS. `Actors.connect` gives one.

    async with actors.connect() as conn:
        await conn.register()
        await conn.listen()
    """

    def __init__(
        self,
        connection: Connection,
        actors: Sequence[Actor[Any, Any]],
        dead_letters: DeadLetters | None,
    ) -> None:
        self.connection = connection
        self._actors = actors
        self._dead_letters = dead_letters
        self._runs: set[Run] = set()
        self._is_stop_requested = False

    @property
    def status(self) -> WorkerStatus:
        """What this worker does at the moment."""
        return WorkerStatus(
            connected=self.connection.nc.is_connected,
            listening=any(run.is_listening for run in self._runs),
            jobs=sum(run.slots.taken for run in self._runs),
            held=sum(run.slots.taken + run.slots.waiting for run in self._runs),
        )

    async def register(self) -> None:
        """Create or update the consumer of each actor, and create missing streams.

        A stream that exists is left as it is: it belongs to the service that emits the event.

        :raises ConsumerConfigError: the server refuses the settings of an actor, or refuses
            to change them on a consumer that exists.
        :raises StreamExistsError: the stream of an event takes something else.
        :raises StreamConfigError: the server refuses the settings of a new stream.
        :raises JetStreamDisabledError: the server has no JetStream.
        """
        for event in self._events():
            await topology.ensure_stream(self.connection, settings.event_stream(event))
        if self._dead_letters is not None:
            wanted = settings.dead_stream(self._dead_letters)
            await topology.register_stream(self.connection, wanted)
        for actor in self._actors:
            await topology.register_consumer(self.connection, actor)

    async def plan(self) -> list[Change]:
        """Give what `register` would change now, and change nothing."""
        planned = [
            await topology.plan_stream(self.connection, settings.event_stream(event), update=False)
            for event in self._events()
        ]
        if self._dead_letters is not None:
            wanted = settings.dead_stream(self._dead_letters)
            planned.append(await topology.plan_stream(self.connection, wanted))
        planned += [await topology.plan_consumer(self.connection, each) for each in self._actors]
        return [change for change in planned if change is not None]

    async def listen(
        self,
        *,
        burst: bool = False,
        max_polls: int | None = None,
        poll_delay: float = 2,
        batch: int | None = None,
        max_jobs: int = 16,
        max_processes: int | None = None,
        max_threads: int | None = None,
        signals: Sequence[int] = (),
        grace: float = 30,
    ) -> None:
        """Run the actors until cancelled or shut down.

        :param burst: handle everything that is there now, wait for those jobs (but not for
            their retries) and return.
        :param max_polls: how many actors may ask for messages at once; they take turns. For workers
            of very many actors. By default all of them may.
        :param poll_delay: seconds to wait for a first message in a burst, and for any message
            in a turn of `max_polls`.
        :param batch: the most messages in one request. By default as many as there are free
            slots, and what running jobs will free within about 2 ms.
        :param max_jobs: how many jobs run at once, over all actors.
        :param max_processes: processes for actors in ExecuteIn.PROCESS, as many as there are cores
            by default.
        :param max_threads: threads for actors in ExecuteIn.THREAD, `max_jobs` by default.
        :param signals: on the first of them shut down in order, on the second cancel.
        :param grace: seconds that jobs have to end after a signal or `request_shutdown`.

        Cancelling it cancels the jobs and hands their messages back for immediate redelivery;
        those of jobs in a pool once they end. That takes at most 5 seconds.

        :raises ConsumerNotFoundError: an actor has no consumer, `register` was never called.
        :raises PermissionDeniedError: the NATS user may not ask for messages.
        :raises ConnectionClosedError: the connection is closed for good.
        :raises DeclarationError: a value that can't be; or the handler of an actor in
            ExecuteIn.PROCESS can't be sent to a process.
        """
        options = ListenOptions(
            burst=burst,
            max_polls=max_polls,
            poll_delay=poll_delay,
            batch=batch,
            max_jobs=max_jobs,
            max_processes=max_processes,
            max_threads=max_threads,
            signals=signals,
            grace=grace,
        )
        check_picklable(self._actors)
        run = Run(
            self.connection,
            self._actors,
            options,
            keeps_letters=self._dead_letters is not None,
        )
        if self._is_stop_requested:
            self._is_stop_requested = False
            run.stop()
        self._runs.add(run)
        try:
            with _on_signals(options.signals, run):
                await run.run()
        finally:
            self._runs.discard(run)

    def request_shutdown(self) -> None:
        """Have `listen` stop asking, handle what has come, and return.

        It may be called from a signal handler of the event loop. If `listen` doesn't run yet,
        the next call of it returns at once.
        """
        self._is_stop_requested = not self._runs
        for run in self._runs:
            run.stop()

    async def shutdown(self, timeout: float = 30) -> None:
        """Like `request_shutdown`, and wait until `listen` is over.

        :param timeout: seconds that jobs have to end, before they are cancelled and their
            messages are handed back.
        """
        Fields('shutdown', SimpleNamespace(timeout=timeout)).seconds('timeout', least=0)
        runs = tuple(self._runs)
        self._is_stop_requested = not runs
        for run in runs:
            run.stop(timeout)
        for run in runs:
            await run.ended.wait()

    def dead_letters(self, actor: Actor[Any, Any] | str | None = None) -> AsyncIterator[DeadLetter]:
        """Give the messages that actors gave up on, the oldest first.

            async for letter in conn.dead_letters('send-email'):
                print(letter.reason, letter.message())

        :param actor: an actor or its name; by default all those that are connected.
        :raises NotRegisteredError: it isn't one of them.
        """
        actors = [each for each in self._actors if actor is None or actor in (each, each.name)]
        if not actors:
            raise NotRegisteredError(
                f'{actor!r:.80} is not one of the actors connected: pass it to `Actors(...)`'
            )
        return _dead_letters.browse(self.connection, actors)

    async def replay(self, letter: DeadLetter) -> None:
        """Deliver a dead letter again: to its own actor only, with fresh attempts.

        The letter is removed once the message is stored.

        :raises ReplayError: the actor wouldn't get it, `register` has to be called first. The
            letter stays.
        :raises DeadLetterNotFoundError: the letter isn't there any more.
        :raises WalnatsError: the message isn't stored, as in `emit` with `sync`. The letter
            stays.
        """
        await _dead_letters.replay(self.connection, letter)

    async def discard(self, letter: DeadLetter) -> None:
        """Remove a dead letter.

        :raises DeadLetterNotFoundError: it isn't there any more.
        """
        await _dead_letters.discard(self.connection, letter)

    async def unregister(self, actor_name: str) -> None:
        """Remove the consumer of an actor, and so the messages that only it kept.

        It looks on the streams of all events that are connected; the actor itself needn't be
        one of those connected: it may be one that is no longer in the code.

        :raises ConsumerNotFoundError: there is no such consumer.
        """
        check_actor_name(actor_name)
        streams = sorted(event.stream_name for event in self._events())
        found = [
            await topology.remove_consumer(self.connection, stream, actor_name)
            for stream in streams
        ]
        if not any(found):
            raise ConsumerNotFoundError(
                f"actor '{actor_name}' has no consumer on {', '.join(streams)}"
            )

    def _events(self) -> list[BaseEvent[Any, Any]]:
        return list({actor.event.stream_name: actor.event for actor in self._actors}.values())


@contextlib.contextmanager
def _on_signals(signals: Sequence[int], run: Run) -> Iterator[None]:
    """Shut down on the first signal, cancel on the second."""
    if signals and threading.current_thread() is not threading.main_thread():
        raise DeclarationError('listen: signals can be handled in the main thread only')
    loop = asyncio.get_running_loop()
    listening = asyncio.current_task()
    is_second = False

    def handle() -> None:
        nonlocal is_second
        if is_second and listening is not None:
            listening.cancel()
        is_second = True
        run.stop()

    previous = {number: signal.getsignal(number) for number in signals}
    try:
        for number in signals:
            loop.add_signal_handler(number, handle)
        yield
    finally:
        for number, handler in previous.items():
            loop.remove_signal_handler(number)
            # None: it was not set by Python, so Python can't set it again.
            if handler is not None:
                signal.signal(number, handler)
