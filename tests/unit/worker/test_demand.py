"""How many messages an actor asks for: never too many, and never none for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from walnats._worker.demand import Load, messages_to_ask


def load(**changes: float | None) -> Load:
    values = {
        'slots': 16,
        'held': 0,
        'waiting': 0,
        'outstanding': 0,
        'job_time': None,
        'window': 1000,
        **changes,
    }
    return Load(**values)  # type: ignore[arg-type]


def ask(one: Load, limit: int = 16, *others: int) -> int:
    return messages_to_ask(one, process_limit=limit, claims=[one.claimed, *others])


def test_a_new_actor_looks_out_for_one_message() -> None:
    assert ask(load(window=1)) == 1


def test_an_idle_actor_does_not_ask_for_more_while_it_waits() -> None:
    assert ask(load(window=1, outstanding=1)) == 0


def test_an_actor_whose_messages_keep_coming_asks_for_as_many_as_it_has_slots() -> None:
    assert ask(load()) == 16


def test_it_grows_with_what_has_come() -> None:
    assert ask(load(held=1, window=2)) == 2


def test_slow_jobs_are_not_looked_ahead_of() -> None:
    assert ask(load(held=16, job_time=1.0)) == 0


def test_fast_jobs_are_looked_ahead_of_up_to_three_times_the_slots() -> None:
    assert ask(load(held=16, job_time=1e-5)) == 48


def test_look_ahead_is_what_is_free_within_two_milliseconds() -> None:
    assert ask(load(held=16, job_time=0.004)) == 8


def test_it_tops_up_once_a_quarter_is_free() -> None:
    assert ask(load(outstanding=13)) == 0
    assert ask(load(outstanding=12)) == 4


def test_one_whose_process_is_full_looks_out_for_one() -> None:
    assert ask(load(), 16, 16) == 1
    assert ask(load(held=1), 16, 15) == 1


def test_one_that_waits_for_a_slot_does_not_ask() -> None:
    assert ask(load(held=1, waiting=1), 16, 16) == 0


def test_one_that_has_its_share_does_not_look_out_beyond_the_limit() -> None:
    assert ask(load(held=1), 4, 4) == 1
    assert ask(load(held=1), 4, 5) == 0
    assert ask(load(held=3), 4, 3) == 0


counts = st.integers(0, 200)
loads = st.builds(
    Load,
    slots=st.integers(1, 100),
    held=counts,
    waiting=counts,
    outstanding=counts,
    job_time=st.none() | st.floats(0, 1000),
    window=st.integers(1, 1 << 20),
)


@given(loads, st.integers(1, 100), st.lists(counts))
def test_it_is_never_less_than_nothing_nor_more_than_slots_and_look_ahead(
    one: Load, limit: int, others: list[int]
) -> None:
    count = messages_to_ask(one, process_limit=limit, claims=[one.claimed, *others])
    assert 0 <= count <= max(0, 4 * one.slots - one.claimed)
    assert count <= max(0, one.window - one.outstanding)


@given(st.integers(1, 100), st.integers(1, 100), st.lists(counts))
def test_one_that_has_nothing_always_asks(slots: int, limit: int, others: list[int]) -> None:
    assert ask(load(slots=slots, window=1), limit, *others) >= 1


@dataclass
class Actor:
    slots: int
    running: int = 0
    waiting: int = 0
    outstanding: int = 0
    window: int = 1

    @property
    def claimed(self) -> int:
        return self.running + self.waiting + self.outstanding

    def load(self) -> Load:
        held = self.running + self.waiting
        return Load(self.slots, held, self.waiting, self.outstanding, 10.0, self.window)


@dataclass
class Process:
    limit: int
    actors: list[Actor] = field(default_factory=list)

    def start_waiting(self) -> None:
        for actor in self.actors:
            while (
                actor.waiting
                and actor.running < actor.slots
                and sum(each.running for each in self.actors) < self.limit
            ):
                actor.waiting -= 1
                actor.running += 1


class SlowActors(RuleBasedStateMachine):
    """Actors of one process with slow handlers, whatever comes in whatever order."""

    @initialize(
        limit=st.integers(1, 20), slots=st.lists(st.integers(1, 20), min_size=1, max_size=5)
    )
    def begin(self, limit: int, slots: list[int]) -> None:
        actors = [Actor(min(each, limit), window=100) for each in slots]
        self.process = Process(limit, actors)

    @rule(pick=st.integers(0))
    def asks(self, pick: int) -> None:
        actor = self.pick(pick)
        claims = [each.claimed for each in self.process.actors]
        count = messages_to_ask(actor.load(), process_limit=self.process.limit, claims=claims)
        assert count > 0 or actor.claimed > 0, 'it would never hear of anything'
        actor.outstanding += count

    @rule(pick=st.integers(0), count=st.integers(1, 20))
    def gets(self, pick: int, count: int) -> None:
        actor = self.pick(pick)
        count = min(count, actor.outstanding)
        actor.outstanding -= count
        actor.waiting += count
        actor.window += count
        self.process.start_waiting()

    @rule(pick=st.integers(0))
    def hears_that_no_more_is_there(self, pick: int) -> None:
        actor = self.pick(pick)
        actor.outstanding = 0
        actor.window = 1

    @rule(pick=st.integers(0))
    def ends_a_job(self, pick: int) -> None:
        actor = self.pick(pick)
        actor.running = max(0, actor.running - 1)
        self.process.start_waiting()

    def pick(self, number: int) -> Actor:
        return self.process.actors[number % len(self.process.actors)]

    @invariant()
    def they_claim_no_more_than_the_limit_and_one_each(self) -> None:
        if not hasattr(self, 'process'):
            return
        most = self.process.limit + len(self.process.actors)
        assert sum(each.claimed for each in self.process.actors) <= most


SlowActors.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestSlowActors = SlowActors.TestCase


@pytest.mark.parametrize('window', [1, 2, 16])
def test_with_messages_enough_all_slots_get_taken(window: int) -> None:
    process = Process(16, [Actor(16, window=window), Actor(4, window=window)])
    for _ in range(10):
        for actor in process.actors:
            claims = [each.claimed for each in process.actors]
            count = messages_to_ask(actor.load(), process_limit=16, claims=claims)
            actor.waiting += count
            actor.window += count
            process.start_waiting()
    assert sum(each.running for each in process.actors) == 16
