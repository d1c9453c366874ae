"""A model of what becomes of messages, beside a real server.

Hypothesis emits messages whose handlers succeed, fail or give up as each message says, starts and
stops workers, loses deliveries, replays and discards dead letters, in any order. After each step:

- each message that was acknowledged is handled, or dead, or still with the actor, which is asked
  of the server;

and once all is settled:

- each message ended as its last attempt says, and was handled once;
- attempts were counted as the documentation of actors says;
- nothing that was delayed ran before it was due, and each request got the answer it should.

`WALNATS_CHAOS=1` plays many more and longer games.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import nats
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import walnats
from walnats import middlewares
from walnats.errors import RequestFailedError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from nats.js.api import ConsumerInfo

    from walnats.types import ConnectedActors, DeadLetter

T = TypeVar('T')

IS_LONG = os.environ.get('WALNATS_CHAOS') == '1'
GAMES = 250 if IS_LONG else 25
STEPS = 40 if IS_LONG else 14
PATIENCE = 30.0

ACK_WAIT = 3.0
MAX_ATTEMPTS = 3
POISON = MAX_ATTEMPTS + 3
"""The most deliveries without an outcome that a message survives."""
MAX_WORKERS = 2

# What the handler does on each attempt; the last word goes for all attempts after it.
OUTCOMES = ('ok', 'slow', 'fail', 'retry', 'give up')
FAILED = ('fail', 'retry')
SCRIPTS = st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=MAX_ATTEMPTS)
DELAYS = st.sampled_from([None, None, 0.05, 0.3])


@dataclass(frozen=True)
class Message:
    """The payload: which message it is, and what is to be done with it."""

    number: int
    script: list[str]

    def outcome(self, attempt: int) -> str:
        """Give what the handler does on this attempt."""
        return self.script[min(attempt, len(self.script)) - 1]


@dataclass
class Run:
    """One job, as the handler saw it."""

    message: Message
    attempt: int
    deliveries: int
    is_delayed: bool
    at: float
    outcome: str = 'begun'


@dataclass
class Game:
    """The real thing: a stream, an actor, workers, and what was seen of them."""

    url: str
    workers: list[Worker] = field(default_factory=list)
    acknowledged: int = 0
    """Messages that are in the stream for sure, replays included."""
    runs: dict[int, list[Run]] = field(default_factory=lambda: defaultdict(list))
    """The jobs of each message, by its place in the stream."""
    buried: dict[int, DeadLetter] = field(default_factory=dict)
    """The dead letters that were ever seen, by the place of their message."""
    due: dict[int, float] = field(default_factory=dict)
    """When a delayed message may run, by its number."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def open(self) -> None:
        """Connect, and register."""
        self.event = walnats.Event(f'g{uuid.uuid4().hex[:10]}', Message).with_response(int)
        self.current = middlewares.CurrentContextMiddleware()
        self.actor = walnats.Actor(
            'actor',
            self.event,
            self._handle,
            ack_wait=ACK_WAIT,
            max_attempts=MAX_ATTEMPTS,
            retry_delay=(0.01, 0.05),
            middlewares=[self.current],
        )
        self.stack = contextlib.AsyncExitStack()
        self.nc = await nats.connect(self.url)
        self.stack.push_async_callback(self.nc.close)
        self.conn = await self.stack.enter_async_context(
            walnats.Events(self.event).connect(self.url)
        )
        self.keeper = await self.stack.enter_async_context(
            walnats.Actors(self.actor).connect(self.conn)
        )
        await self.conn.register()
        await self.keeper.register()

    async def close(self) -> None:
        """Stop what runs, and remove the stream."""
        for worker in list(self.workers):
            await worker.shutdown()
        await self.nc.jetstream().delete_stream(self.event.stream_name)
        await self.stack.aclose()

    # --- What publishers do ---

    async def emit(self, scripts: list[list[str]], delay: float | None, *, in_bulk: bool) -> None:
        """Emit messages, each one acknowledged."""
        messages = [Message(next(self.numbers), script) for script in scripts]
        if delay is not None:
            self.due.update(dict.fromkeys((m.number for m in messages), time.time() + delay))
        if in_bulk:
            summary = await self.conn.emit_many(self.event, messages, delay=delay)
            assert (summary.stored, summary.duplicates) == (len(messages), 0)
        else:
            for message in messages:
                await self.conn.emit(self.event, message, delay=delay, sync=True)
        self.acknowledged += len(messages)

    async def emit_twice(self, script: list[str]) -> None:
        """Emit a message under a uid, and again: it is stored once."""
        message = Message(next(self.numbers), script)
        for _ in range(2):
            await self.conn.emit(self.event, message, uid=f'uid-{message.number}', sync=True)
        self.acknowledged += 1

    async def emit_nonsense(self) -> None:
        """Store what nobody can decode."""
        await self.nc.jetstream().publish(self.event.name, b'?')
        self.acknowledged += 1

    async def request(self, script: list[str]) -> None:
        """Ask, and compare the answer with what becomes of the message."""
        message = Message(next(self.numbers), script)
        self.acknowledged += 1
        try:
            answer = await self.conn.request(self.event, message, timeout=PATIENCE)
        except RequestFailedError:
            answer = None
        [runs] = [runs for runs in self.runs.values() if runs[0].message.number == message.number]
        assert answer == (message.number if runs[-1].outcome == 'ok' else None)

    # --- What workers do ---

    async def start_worker(self) -> None:
        """Start one more."""
        self.workers.append(await Worker.start(self))

    async def cancel_in_the_middle(self) -> None:
        """Cancel a worker while there is a job that takes its time."""
        await self.emit([['slow'], ['slow']], None, in_bulk=True)
        async with asyncio.timeout(PATIENCE):
            while not any(run.outcome == 'begun' for runs in self.runs.values() for run in runs):
                await asyncio.sleep(0.005)
        await self.workers[0].cancel()

    async def burst(self) -> None:
        """Handle what is there."""
        async with asyncio.timeout(PATIENCE):
            await self.keeper.listen(burst=True, poll_delay=0.05)

    async def lose(self, script: list[str], delay: float | None, times: int) -> None:
        """Emit a message that somebody gets who just hands it back, again and again."""
        await self.emit([script], delay, in_bulk=False)
        inbox = self.nc.new_inbox()
        subscription = await self.nc.subscribe(inbox)
        subject = f'$JS.API.CONSUMER.MSG.NEXT.{self.event.stream_name}.actor'
        for _ in range(times):
            await self.nc.publish(subject, b'{"batch":1,"no_wait":true}', reply=inbox)
            msg = await subscription.next_msg(PATIENCE)
            if not msg.reply:
                break  # there is none
            await self.nc.publish(msg.reply, b'-NAK')
        await subscription.unsubscribe()

    async def _handle(self, message: Message) -> int:
        ctx = self.current.context
        assert ctx is not None
        run = Run(
            message,
            ctx.attempts,
            ctx.metadata.num_delivered,
            is_delayed='Walnats-Delay' in (ctx.headers or {}),
            at=time.time(),
        )
        self.runs[ctx.seq_number].append(run)
        outcome = message.outcome(ctx.attempts)
        try:
            await asyncio.sleep(0.2 if outcome == 'slow' else 0)
        except asyncio.CancelledError:
            run.outcome = 'cancelled'
            raise
        run.outcome = 'ok' if outcome == 'slow' else outcome
        if outcome == 'give up':
            raise walnats.GiveUp('as told')
        if outcome == 'retry':
            raise walnats.Retry(0)
        if outcome == 'fail':
            raise ValueError('as told')
        return message.number

    # --- Dead letters ---

    async def read_letters(self) -> list[DeadLetter]:
        """Give those that are there now, and remember them."""
        letters = [letter async for letter in self.keeper.dead_letters()]
        for letter in letters:
            seq = place(letter)
            assert self.buried.setdefault(seq, letter).id == letter.id
        return letters

    async def replay(self) -> None:
        """Deliver the oldest letter again."""
        for letter in (await self.read_letters())[:1]:
            await self.keeper.replay(letter)
            self.acknowledged += 1

    async def discard(self) -> None:
        """Remove the oldest letter."""
        for letter in (await self.read_letters())[:1]:
            await self.keeper.discard(letter)

    # --- What has to be so ---

    async def check_nothing_is_lost(self) -> None:
        """Check that what is neither handled nor dead is with the actor.

        The server may take a moment to count what it has just acknowledged. Without any worker
        it has not one message more, either.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            # In this order: what is open then was open when the server was asked.
            unsettled = await self._count_unsettled()
            await self.read_letters()
            missing = self.acknowledged - len(self._settled())
            if unsettled == missing or (self.workers and unsettled > missing):
                return
            assert time.monotonic() < deadline, f'{unsettled} are with the actor, not {missing}'
            await asyncio.sleep(0.01)

    async def finish(self) -> None:
        """Handle all that is left, and look at how each message has ended."""
        if not self.workers:
            await self.start_worker()
        async with asyncio.timeout(PATIENCE):
            while await self._count_unsettled():
                await asyncio.sleep(0.01)
        await self.read_letters()
        assert len(self._settled()) == self.acknowledged
        for seq in self._settled():
            self._check_history(self.runs.get(seq, []), self.buried.get(seq))

    def _check_history(self, runs: list[Run], letter: DeadLetter | None) -> None:
        """Compare how a message ended with what was done with it."""
        for run, after in itertools.pairwise(runs):
            may_go_on = run.outcome in FAILED and run.attempt < MAX_ATTEMPTS
            assert may_go_on or run.outcome == 'cancelled', runs
            assert run.deliveries < after.deliveries
        for run in runs:
            assert run.attempt == min(run.deliveries - run.is_delayed, MAX_ATTEMPTS)
            assert run.deliveries - run.is_delayed <= POISON
            assert not run.is_delayed or run.at >= self.due[run.message.number] - 0.01
        if letter is None:
            assert runs[-1].outcome == 'ok', runs
        elif 'without any outcome' in letter.reason:
            assert not runs or runs[-1].outcome in ('cancelled', *FAILED)
        elif not runs:
            assert (letter.data, letter.exception) == (b'?', 'DecodeError')
        else:
            self._check_letter(runs[-1], letter)

    def _check_letter(self, last: Run, letter: DeadLetter) -> None:
        assert letter.attempts == last.attempt
        assert letter.message() == last.message
        if last.outcome == 'give up':
            assert (letter.reason, letter.exception) == ('as told', 'GiveUp')
        else:
            assert last.outcome in FAILED
            assert last.attempt == MAX_ATTEMPTS
            assert 'the last one' in letter.reason

    def _settled(self) -> set[int]:
        handled = {seq for seq, runs in self.runs.items() if runs[-1].outcome == 'ok'}
        assert not handled & set(self.buried)
        return handled | set(self.buried)

    async def _count_unsettled(self) -> int:
        info: ConsumerInfo = await self.nc.jetstream(timeout=PATIENCE).consumer_info(
            self.event.stream_name, 'actor'
        )
        return (info.num_pending or 0) + (info.num_ack_pending or 0)


@dataclass
class Worker:
    """A worker with a connection of its own."""

    game: Game
    stack: contextlib.AsyncExitStack
    conn: ConnectedActors
    task: asyncio.Task[None]

    @classmethod
    async def start(cls, game: Game) -> Worker:
        stack = contextlib.AsyncExitStack()
        conn = await stack.enter_async_context(walnats.Actors(game.actor).connect(game.url))
        return cls(game, stack, conn, asyncio.create_task(conn.listen(max_jobs=4)))

    async def shutdown(self) -> None:
        """Stop in order."""
        self.game.workers.remove(self)
        await self.conn.shutdown(timeout=PATIENCE)
        await self.task
        await self.stack.aclose()

    async def cancel(self) -> None:
        """Stop at once."""
        self.game.workers.remove(self)
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=PATIENCE)
        assert self.task.cancelled()
        await self.stack.aclose()


def place(letter: DeadLetter) -> int:
    """Give the place in its stream of the message that is dead."""
    return int(letter.id.rpartition('.')[2].partition('-')[0])


class Loop:
    """An event loop in a thread: workers go on between the steps."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(4 * PATIENCE)

    def close(self) -> None:
        """End the thread. All that it ran has to be over."""
        left = self.run(self._count_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert left == 0

    async def _count_tasks(self) -> int:
        for _ in range(20):  # what was cancelled a moment ago needs its turn to end
            await asyncio.sleep(0)
        return len(asyncio.all_tasks()) - 1


class Protocol(RuleBasedStateMachine):
    """What may happen, in any order."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.game = Game(self.url)
        self.loop.run(self.game.open())

    @rule(scripts=st.lists(SCRIPTS, min_size=1, max_size=5), delay=DELAYS, in_bulk=st.booleans())
    def emit(self, scripts: list[list[str]], delay: float | None, *, in_bulk: bool) -> None:
        self.loop.run(self.game.emit(scripts, delay, in_bulk=in_bulk))

    @rule(script=SCRIPTS)
    def emit_twice(self, script: list[str]) -> None:
        self.loop.run(self.game.emit_twice(script))

    @rule()
    def emit_nonsense(self) -> None:
        self.loop.run(self.game.emit_nonsense())

    @precondition(lambda self: self.game.workers)
    @rule(script=SCRIPTS)
    def request(self, script: list[str]) -> None:
        self.loop.run(self.game.request(script))

    @precondition(lambda self: len(self.game.workers) < MAX_WORKERS)
    @rule()
    def start_worker(self) -> None:
        self.loop.run(self.game.start_worker())

    @precondition(lambda self: self.game.workers)
    @rule(in_order=st.booleans())
    def stop_worker(self, *, in_order: bool) -> None:
        worker = self.game.workers[0]
        self.loop.run(worker.shutdown() if in_order else worker.cancel())

    @precondition(lambda self: self.game.workers)
    @rule()
    def cancel_in_the_middle(self) -> None:
        self.loop.run(self.game.cancel_in_the_middle())

    @precondition(lambda self: not self.game.workers)
    @rule()
    def burst(self) -> None:
        self.loop.run(self.game.burst())

    @precondition(lambda self: not self.game.workers)
    @rule(script=SCRIPTS, delay=DELAYS, times=st.sampled_from([1, 2, POISON, 2 * POISON]))
    def lose(self, script: list[str], delay: float | None, times: int) -> None:
        self.loop.run(self.game.lose(script, delay, times))

    @rule()
    def replay(self) -> None:
        self.loop.run(self.game.replay())

    @rule()
    def discard(self) -> None:
        self.loop.run(self.game.discard())

    @invariant()
    def nothing_is_lost(self) -> None:
        self.loop.run(self.game.check_nothing_is_lost())

    def teardown(self) -> None:
        try:
            self.loop.run(self.game.finish())
        finally:
            self.loop.run(self.game.close())
            self.loop.close()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Handlers fail by the hundred here: their tracebacks tell nothing."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(3600 if IS_LONG else 240)
@pytest.mark.usefixtures('quiet')
def test_the_protocol(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, 'url', server_url, raising=False)
    run_state_machine_as_test(
        Protocol,
        settings=settings(
            max_examples=GAMES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # To play a game again takes long, and it may end otherwise.
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
