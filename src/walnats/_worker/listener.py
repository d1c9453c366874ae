"""Listens for one actor: asks for messages, runs a job for each, settles it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from typing import TYPE_CHECKING, Any

from .._jetstream import topology
from .._jetstream.pull import Pull
from ..errors import PermissionDeniedError, WalnatsError
from .answer import answer
from .demand import Load, messages_to_ask
from .job import Job, Jobs
from .outcome import HAND_BACK, Postpone, Retry
from .pulse import keep_alive
from .settle import Settler
from .stall import StallWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._actor import Actor
    from .._jetstream.connection import Connection
    from .._jetstream.delivery import Delivery
    from .pools import Pools
    from .slots import Slots
    from .turns import Turn, Turns

logger = logging.getLogger('walnats.worker')

# Seconds. An idle actor keeps one long request for one message. A busy one asks for what is
# there now, in short requests, so that what it can't use is free for other actors soon.
_IDLE_EXPIRES = 30.0
_BUSY_EXPIRES = 0.1
# The weight of the newest job in the average.
_SMOOTHING = 1 / 16
# Seconds for which the server may say that it knows no consumer, where the user may not ask
# it whether that is so: a consumer without a leader looks the same.
_PATIENCE = 3.0


class Listener:
    """What one actor does in one run of `listen`.

    :param claims: gives the number of messages that each actor holds or has asked for.
    :param turns: gives turns at asking, None if all actors may ask at once.
    :param batch: the most messages in one request, None for no such limit.
    :param keeps_letters: store the messages that the actor gives up on.
    """

    def __init__(
        self,
        connection: Connection,
        actor: Actor[Any, Any],
        slots: Slots,
        pools: Pools,
        *,
        claims: Callable[[], list[int]],
        turns: Turns | None,
        batch: int | None,
        keeps_letters: bool,
    ) -> None:
        self.actor = actor
        self._connection = connection
        self._process_limit = slots.limit
        self._slots = slots.for_actor(actor.max_jobs, actor.priority, self._start)
        self._claims = claims
        self._turns = turns
        self._turn: Turn | None = None
        self._batch = batch
        self._jobs = Jobs(actor, pools)
        self._settler = Settler(connection, actor, keeps_letters=keeps_letters)
        self._stall_watch = StallWatch(connection, actor)
        self._changed = asyncio.Event()
        self._wake = self._changed.set
        self._task_name = f"actor '{actor.name}'"
        self._pull = Pull(
            connection,
            actor.event.stream_name,
            actor.consumer_name,
            on_delivery=self._take,
            on_change=self._wake,
        )
        # Each message that isn't settled, with the task that runs its job, if one does.
        self._held: dict[Delivery, asyncio.Task[None] | None] = {}
        # How many of them failed in a burst, and are handed back when it is over.
        self._put_off_count = 0
        # What one job sets in its context is not for the next one.
        self._context = contextvars.copy_context()
        self._job_time: float | None = None
        # The tasks of jobs that were given up but go on in their pool.
        self._lingering: set[asyncio.Task[Any]] = set()
        self._failure: Exception | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._burst: _Burst | None = None
        self._is_stopping = False

    @property
    def claimed(self) -> int:
        """Messages that are held or were asked for, and slots that are kept for no message."""
        return self._working + self._slots.kept + self._pull.outstanding

    @property
    def _working(self) -> int:
        return len(self._held) - self._put_off_count

    async def open(self) -> None:
        """Get ready: nothing is asked for yet."""
        await self._pull.open()
        if self.actor.pulse:
            self._pulse = asyncio.create_task(keep_alive(self._connection, self.actor, self._held))

    async def serve(self) -> None:
        """Ask for messages until :meth:`stop`, or until an error says that none will come."""
        while not self._is_stopping:
            if self._slots.is_stuck:
                await self._hand_back_waiting()
            await self._take_turn()
            await self._ask()
            await self._wait_for_change()
            await self._stall_watch.check()

    async def serve_burst(self, poll_delay: float) -> None:
        """Handle what is there now, and wait for those jobs but not for their retries.

        :param poll_delay: seconds to wait for a first message.
        """
        self._burst = _Burst()
        expires = poll_delay
        while await self._ask_once(self._burst, expires):
            # Not 0: what was put back a moment ago, and is due, may not be there yet.
            expires = _BUSY_EXPIRES
        await self.finish()

    def stop(self) -> None:
        """Ask no more: `serve` and `serve_burst` return soon."""
        self._is_stopping = True
        self._wake()

    async def close_pull(self) -> None:
        """Take what the server has sent by now, and nothing after that."""
        await self._pull.close()

    async def finish(self) -> None:
        """Wait until all that is held was handled and settled."""
        while self._working:
            await self._wait_for_change()
        if self._burst is not None:
            self._burst.over.set()
        while self._held:
            await self._wait_for_change()

    async def hand_back(self) -> None:
        """Cancel the jobs, and hand everything back for immediate redelivery."""
        self._slots.stop()
        self._jobs.cancelled = True
        if self._burst is not None:
            self._burst.over.set()
        for delivery, task in self._held.items():
            if task is not None and not delivery.is_decided:
                task.cancel()
        await self._pull.close()
        for delivery in tuple(self._held):
            # A task that is cancelled before its first step never runs: no job will settle it.
            if delivery.started_at is None:
                await self._settler.settle(delivery, HAND_BACK)
                del self._held[delivery]
        # An error that says that nothing more will come is no reason not to wait for the jobs.
        while self._held:
            await self._changed.wait()
            self._changed.clear()

    def close(self) -> None:
        """Stop what is still running."""
        if self._held:
            logger.warning(
                'actor %r: %s jobs do not end; their messages will be delivered again',
                self.actor.name,
                len(self._held),
            )
        self._jobs.deadlines.close()
        for task in self._lingering:
            task.cancel()
        if self._pulse is not None:
            self._pulse.cancel()

    async def _wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        failure = self._failure or self._pull.failure
        if failure is not None:
            raise failure
        if self._pull.is_missing:
            self._pull.is_missing = False
            await self._check_consumer()

    async def _check_consumer(self) -> None:
        try:
            exists = await topology.consumer_exists(self._connection, self.actor)
        except PermissionDeniedError:
            since = self._pull.missing_since
            exists = since is None or time.monotonic() - since < _PATIENCE
        except WalnatsError as exc:
            logger.warning('actor %r gets no messages: %s', self.actor.name, exc)
            return
        if not exists:
            raise topology.consumer_not_found(self.actor)

    async def _take_turn(self) -> None:
        """Wait for a turn at asking, where only some of the actors may ask at once."""
        if self._turns is None:
            return
        self._end_turn()
        if self._turn is None and self._pull.can_ask and self._count_to_ask():
            self._turn = await self._turns.take()

    def _end_turn(self) -> None:
        """Pass the turn on, unless something is still to come by it."""
        if self._turn is not None and not self._pull.outstanding:
            self._turn.end()
            self._turn = None

    async def _ask(self) -> None:
        if self._turns is None:
            await self._ask_for_all(_IDLE_EXPIRES)
        elif self._turn is not None:
            if not self._turn.is_over:
                await self._ask_for_all(self._turns.length)
            # While it waited for its turn, its slots may have been taken.
            self._end_turn()

    async def _ask_for_all(self, idle_expires: float) -> None:
        while self._pull.can_ask and (count := self._count_to_ask()):
            if self._pull.window == 1:
                await self._pull.ask(count, expires=idle_expires)
            else:
                await self._pull.ask(count, expires=_BUSY_EXPIRES, no_wait=True)

    async def _ask_once(self, burst: _Burst, expires: float) -> bool:
        """Make one request and wait for its end. False if nothing new is there."""
        burst.has_news = False
        resets = self._pull.resets
        await self._ask_in_turn(expires)
        while self._pull.outstanding and not self._is_stopping:
            await self._wait_for_change()
        self._end_turn()
        return not self._is_stopping and (burst.has_news or self._pull.resets != resets)

    async def _ask_in_turn(self, expires: float) -> None:
        """Make one request as soon as that is possible."""
        while not self._is_stopping:
            await self._take_turn()
            if self._pull.can_ask and (count := self._count_to_ask()):
                await self._pull.ask(count, expires=expires, no_wait=True)
                return
            self._end_turn()
            await self._wait_for_change()

    async def _hand_back_waiting(self) -> None:
        """Leave the messages that wait for a slot to other workers: no slot may ever be free."""
        while self._slots.waiting:
            delivery = self._slots.waiting.popleft()
            await self._settler.settle(delivery, HAND_BACK)
            del self._held[delivery]

    def _count_to_ask(self) -> int:
        if self._slots.is_stuck:
            return 0
        load = Load(
            slots=self._slots.limit,
            held=self._working + self._slots.kept,
            waiting=len(self._slots.waiting),
            outstanding=self._pull.outstanding,
            job_time=self._job_time,
            window=self._pull.window,
        )
        count = messages_to_ask(load, process_limit=self._process_limit, claims=self._claims())
        return count if self._batch is None else min(count, self._batch)

    def _take(self, delivery: Delivery) -> None:
        self._stall_watch.note_delivery(delivery)
        self._held[delivery] = None
        if self._burst is not None:
            self._burst.notice(delivery)
        self._slots.submit(delivery)

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(
            self._work(delivery), name=self._task_name, context=self._context.copy()
        )
        self._held[delivery] = task
        # Nothing waits for a slot now, perhaps, and there may be more of them.
        self._wake()

    async def _work(self, delivery: Delivery) -> None:
        """Run the job of a message and settle it: the life of a message from here on."""
        started_at = delivery.started_at = time.monotonic()
        job = Job(self._jobs, delivery)
        try:
            outcome = self._settler.recall(delivery, job) or await job.run()
            delivery.is_decided = True
            # It's kept alive while it is settled, also if it ran into its timeout.
            delivery.runs_until = None
            if isinstance(outcome, (Retry, Postpone)):
                self._stall_watch.note_delay()
                if self._burst is not None and isinstance(outcome, Retry):
                    await self._put_off(self._burst, delivery)
            await self._settler.settle(delivery, outcome, job.attempt)
            if job.reply is not None:
                await answer(self._connection, job.reply, outcome)
            if job.is_observed:
                await job.report(outcome)
        except asyncio.CancelledError:
            if self._jobs.cancelled:
                raise
            # By a handler that cancels its own task, and then waits for nothing: it comes out here.
            logger.warning(
                'actor %r: the task of message %s was cancelled, but not by the worker; if the '
                'message is not settled it will be delivered again',
                self.actor.name,
                delivery.seq,
            )
        except Exception as exc:  # noqa: BLE001 -- `listen` raises it
            self._failure = exc
        finally:
            del self._held[delivery]
            self._wake()
        if not job.has_ended:
            await self._outlive(job)
        self._note_job_time(time.monotonic() - started_at)
        self._slots.release()
        self._wake()

    async def _put_off(self, burst: _Burst, delivery: Delivery) -> None:
        """Hold a message that failed until the burst is over: else its retries would be in it."""
        burst.failed.add(delivery.seq)
        self._put_off_count += 1
        self._slots.release()
        self._wake()
        try:
            await burst.over.wait()
        finally:
            self._slots.retake()
            self._put_off_count -= 1

    async def _outlive(self, job: Job) -> None:
        """Keep the slot of a job that was given up, but goes on in its pool."""
        self._slots.keep()
        if self._slots.is_stuck:
            logger.warning(
                'actor %r: the jobs in all its slots ran into their job_timeout and still go on '
                'in their pool; it gets no messages until one of them ends',
                self.actor.name,
            )
        self._wake()
        ending = asyncio.create_task(job.end())
        self._lingering.add(ending)
        await asyncio.wait({ending})
        self._lingering.discard(ending)
        self._slots.unkeep()

    def _note_job_time(self, seconds: float) -> None:
        if self._job_time is None:
            self._job_time = seconds
        else:
            self._job_time += (seconds - self._job_time) * _SMOOTHING


class _Burst:
    """Tells, in a burst, new messages from retries of those that failed in it."""

    def __init__(self) -> None:
        self.has_news = False
        self.failed: set[int] = set()
        self.over = asyncio.Event()

    def notice(self, delivery: Delivery) -> None:
        if delivery.seq not in self.failed:
            self.has_news = True
