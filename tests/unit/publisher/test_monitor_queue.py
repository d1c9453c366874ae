"""The queue of a monitor: when it's full, the oldest message goes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings, strategies as st

from walnats._publisher.monitor import MonitorQueue

if TYPE_CHECKING:
    import pytest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 20), st.integers(0, 50))
def test_it_keeps_the_newest(caplog: pytest.LogCaptureFixture, maxsize: int, count: int) -> None:
    caplog.clear()
    queue = MonitorQueue(maxsize)
    for number in range(count):
        queue.push(number)
    dropped = max(0, count - maxsize)
    assert queue.dropped == dropped
    assert [queue.get_nowait() for _ in range(queue.qsize())] == list(range(dropped, count))
    assert len(caplog.records) == (dropped > 0)
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
