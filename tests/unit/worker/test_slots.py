"""Slots: never more jobs than allowed, never a free slot beside a message that could run."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from walnats import Priority
from walnats._worker.slots import ActorSlots, Slots


class Message:
    """What slots know of a delivery: when it came."""

    def __init__(self, name: str = '', age: float = 0) -> None:
        self.name = name
        self.received_at = time.monotonic() - age


class Runner:
    """An actor's side: notes what was started."""

    def __init__(self, slots: Slots, limit: int, priority: Priority = Priority.NORMAL) -> None:
        self.started: list[Any] = []
        self.running = 0
        self.limit = limit
        self.slots: ActorSlots = slots.for_actor(limit, priority, self._start)

    def _start(self, message: Any) -> None:
        self.started.append(message)
        self.running += 1

    def submit(self, message: Any) -> None:
        self.slots.submit(message)

    def end_one(self) -> None:
        self.running -= 1
        self.slots.release()


def test_a_message_runs_at_once_while_there_are_slots() -> None:
    runner = Runner(Slots(2), 2)
    messages = [Message() for _ in range(3)]
    for message in messages:
        runner.submit(message)
    assert runner.started == messages[:2]
    runner.end_one()
    assert runner.started == messages


def test_an_actor_has_no_more_slots_than_the_process() -> None:
    assert Runner(Slots(4), 100).slots.limit == 4


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        (Priority.HIGH, Priority.NORMAL),
        (Priority.NORMAL, Priority.LOW),
        (Priority.HIGH, Priority.LOW),
    ],
)
def test_the_higher_priority_goes_first(one: Priority, other: Priority) -> None:
    slots = Slots(1)
    low, high = Runner(slots, 1, other), Runner(slots, 1, one)
    high.submit(Message())
    low.submit(Message('low', age=0.5))
    high.submit(Message('high'))
    high.end_one()
    assert [message.name for message in high.started] == ['', 'high']
    assert not low.started


def test_waiting_raises_the_priority() -> None:
    slots = Slots(1)
    low, high = Runner(slots, 1, Priority.LOW), Runner(slots, 1, Priority.HIGH)
    high.submit(Message())
    low.submit(Message('low', age=10))
    high.submit(Message('high'))
    high.end_one()
    assert [message.name for message in low.started] == ['low']


def test_of_equals_the_one_that_has_waited_longest_goes_first() -> None:
    slots = Slots(1)
    one, other = Runner(slots, 1), Runner(slots, 1)
    one.submit(Message())
    one.submit(Message('young', age=1))
    other.submit(Message('old', age=2))
    one.end_one()
    assert [message.name for message in other.started] == ['old']


def test_a_stopped_actor_starts_nothing_and_leaves_its_slots_to_others() -> None:
    slots = Slots(1)
    one, other = Runner(slots, 1), Runner(slots, 1)
    one.submit(Message())
    one.submit(Message('left', age=5))
    other.submit(Message('other'))
    one.slots.stop()
    one.end_one()
    assert len(one.started) == 1
    assert len(one.slots.waiting) == 1
    assert [message.name for message in other.started] == ['other']


class AnyOrder(RuleBasedStateMachine):
    """Messages come and jobs end in any order."""

    @initialize(
        limit=st.integers(1, 8),
        limits=st.lists(
            st.tuples(st.integers(1, 8), st.sampled_from(Priority)), min_size=1, max_size=4
        ),
    )
    def begin(self, limit: int, limits: list[tuple[int, Priority]]) -> None:
        self.slots = Slots(limit)
        self.runners = [Runner(self.slots, each, priority) for each, priority in limits]

    @rule(pick=st.integers(0), age=st.floats(0, 10))
    def comes(self, pick: int, age: float) -> None:
        self.runners[pick % len(self.runners)].submit(Message(age=age))

    @rule(pick=st.integers(0))
    def ends(self, pick: int) -> None:
        runner = self.runners[pick % len(self.runners)]
        if runner.running:
            runner.end_one()

    @invariant()
    def no_limit_is_broken(self) -> None:
        for runner in getattr(self, 'runners', ()):
            assert 0 <= runner.running <= min(runner.limit, self.slots.limit)
            assert runner.slots.free == runner.slots.limit - runner.running

    @invariant()
    def no_slot_is_free_beside_a_message_that_could_run(self) -> None:
        runners = getattr(self, 'runners', [])
        running = sum(runner.running for runner in runners)
        if not runners or running == self.slots.limit:
            return
        assert running < self.slots.limit
        assert not any(runner.slots.can_start for runner in runners)


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestAnyOrder = AnyOrder.TestCase
