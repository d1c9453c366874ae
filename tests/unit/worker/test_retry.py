"""Whether a failed job is tried again, and when."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

import walnats
from walnats._worker.outcome import Dead, Retry
from walnats._worker.retry import after_failure, is_poison, number_attempt

EVENT = walnats.Event('thing-done', int)
ERROR = ValueError('no luck')
LOGGER = 'walnats.worker'


def make(**options: Any) -> walnats.Actor[int, Any]:
    return walnats.Actor('actor', EVENT, lambda _: None, **options)


def delay_of(actor: walnats.Actor[int, Any], attempt: int, error: BaseException = ERROR) -> float:
    outcome = after_failure(actor, attempt, error)
    assert isinstance(outcome, Retry)
    assert outcome.exception is error
    return outcome.delay


def test_the_default_delays() -> None:
    assert [delay_of(make(), attempt) for attempt in range(1, 7)] == [0.5, 1, 2, 4, 4, 4]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 10_000))
def test_the_last_delay_repeats(delays: list[float], attempt: int) -> None:
    expected = delays[attempt - 1] if attempt <= len(delays) else delays[-1]
    assert delay_of(make(retry_delay=delays), attempt) == expected


def test_a_function_gets_attempt_and_exception() -> None:
    calls: list[Any] = []

    def delay(attempt: int, exception: Exception) -> float:
        calls.append((attempt, exception))
        return attempt * 10

    assert delay_of(make(retry_delay=delay), 3) == 30
    assert calls == [(3, ERROR)]


@pytest.mark.parametrize('given_delay', [math.nan, math.inf, -1, 'soon', None, 10**400, object()])
def test_what_is_no_delay_is_logged_and_replaced(
    given_delay: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert delay_of(make(retry_delay=lambda _n, _e: given_delay), 1) == 4.0
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "retry_delay of actor 'actor'" in caplog.text


@pytest.mark.parametrize('error', [RuntimeError('broken'), SystemExit(1), KeyboardInterrupt()])
def test_a_function_that_raises_is_logged_and_replaced(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def delay(attempt: int, exception: Exception) -> float:
        raise error

    assert delay_of(make(retry_delay=delay), 1) == 4.0
    assert "retry_delay of actor 'actor' raised" in caplog.text
    assert caplog.records[0].exc_info is not None


def test_retry_says_its_own_delay() -> None:
    assert delay_of(make(), 1, walnats.Retry(7.5)) == 7.5
    assert delay_of(make(), 1, walnats.Retry(0)) == 0


def test_retry_without_a_delay_takes_that_of_the_actor() -> None:
    assert delay_of(make(), 2, walnats.Retry()) == 1


@pytest.mark.parametrize('given_delay', [math.nan, math.inf, -0.5, 'soon'])
def test_retry_with_what_is_no_delay(given_delay: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert delay_of(make(), 1, walnats.Retry(given_delay)) == 4.0
    assert 'not a delay' in caplog.text


def test_the_last_attempt_is_the_end() -> None:
    actor = make(max_attempts=3)
    assert isinstance(after_failure(actor, 2, ERROR), Retry)
    assert after_failure(actor, 3, ERROR) == Dead('ValueError on attempt 3, the last one', ERROR)


def test_retry_does_not_go_beyond_the_last_attempt() -> None:
    assert isinstance(after_failure(make(max_attempts=1), 1, walnats.Retry(0)), Dead)


def test_give_up_ends_it_at_once_for_its_reason() -> None:
    outcome = after_failure(make(), 1, walnats.GiveUp('no such user'))
    assert isinstance(outcome, Dead)
    assert outcome.reason == 'no such user'


def test_give_up_for_a_reason_that_is_no_text() -> None:
    reason: Any = 404
    outcome = after_failure(make(), 1, walnats.GiveUp(reason))
    assert isinstance(outcome, Dead)
    assert outcome.reason == '404'


def test_give_up_on_takes_subclasses() -> None:
    actor = make(give_up_on=[LookupError])
    outcome = after_failure(actor, 1, KeyError('x'))
    assert outcome == Dead('KeyError is not worth a retry', outcome.exception)
    assert isinstance(after_failure(actor, 1, ERROR), Retry)


@given(st.integers(1, 50), st.integers(1, 200))
def test_an_attempt_is_never_numbered_above_the_last(most: int, deliveries: int) -> None:
    actor = make(max_attempts=most)
    assert 1 <= number_attempt(actor, deliveries) <= most
    assert number_attempt(make(), deliveries) == deliveries


@given(st.integers(1, 50), st.integers(1, 200))
def test_poison_is_what_came_three_times_more_than_may_be(most: int, deliveries: int) -> None:
    assert is_poison(make(max_attempts=most), deliveries) == (deliveries >= most + 4)
    assert not is_poison(make(), deliveries)
