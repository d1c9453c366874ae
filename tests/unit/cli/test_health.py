"""What is said of the health of workers."""

from __future__ import annotations

from typing import Any

import pytest

from walnats.cli._control import Report
from walnats.cli._health import live_problems, ready_problems
from walnats.cli._slot import WorkerView

READY = Report(connected=True, listening=True)


def view(number: int = 1, **changes: Any) -> WorkerView:
    values = {'pid': 7, 'is_over': False, 'report': READY, 'silence': 0.1, 'restarts': 0}
    return WorkerView(number=number, **{**values, **changes})


@pytest.mark.parametrize(
    ('worker', 'problems'),
    [
        (view(), []),
        (view(report=None, silence=0), []),
        (view(report=Report()), []),
        (view(silence=4.9), []),
        (view(silence=5.1), ['worker 1 (pid 7): its event loop has not turned for 5 s']),
        (view(pid=None), ['worker 1: its process has ended']),
        (view(pid=None, is_over=True), []),
    ],
)
def test_live(worker: WorkerView, problems: list[str]) -> None:
    assert live_problems([worker]) == problems
    assert live_problems([view(2), worker]) == problems


@pytest.mark.parametrize(
    ('worker', 'problems'),
    [
        (view(), []),
        (view(pid=None, report=None), ['worker 1 has no process']),
        (view(report=None), ['worker 1 is starting']),
        (view(report=Report(listening=True)), ['worker 1 is not connected to NATS']),
        (view(report=Report(connected=True)), ['worker 1 is not listening']),
    ],
)
def test_ready(worker: WorkerView, problems: list[str]) -> None:
    assert ready_problems([worker], is_stopping=False) == problems
    assert ready_problems([view(2), worker], is_stopping=False) == problems
    assert ready_problems([worker], is_stopping=True) == ['shutting down']
