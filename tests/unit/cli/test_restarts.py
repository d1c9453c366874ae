"""When a worker process that has died is started again."""

from __future__ import annotations

from walnats.cli._restarts import CRASH_PERIOD, MOST_CRASHES, restart_delay


def test_the_delay_doubles() -> None:
    crashes = [1000.0 + number for number in range(MOST_CRASHES - 1)]
    delays = [restart_delay(crashes[:count]) for count in range(1, MOST_CRASHES)]
    assert delays == [0.25, 0.5, 1.0, 2.0]


def test_too_many_within_the_period_are_a_loop() -> None:
    assert restart_delay([1000.0] * MOST_CRASHES) is None
    assert restart_delay([1000.0] * (MOST_CRASHES - 1) + [1000.0 + CRASH_PERIOD - 1]) is None


def test_what_was_long_ago_does_not_count() -> None:
    assert restart_delay([1000.0] * MOST_CRASHES + [1000.0 + CRASH_PERIOD]) == 0.25
    # A message that kills whoever takes it comes back after `ack_wait`, 16 s.
    assert restart_delay([1000.0 + 16 * number for number in range(20)]) == 2.0
