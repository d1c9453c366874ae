from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from walnats.middlewares import ExtraLogMiddleware, TextLogMiddleware

if TYPE_CHECKING:
    from tests.unit.middlewares.conftest import Jobs

Records = list[tuple[str, int, str]]

KEYS = ('event', 'actor', 'attempts', 'seq_number', 'trace_id', 'duration', 'exception_type')


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def extras(log: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [{k: v for k, v in vars(r).items() if k in KEYS} for r in log.records]


async def test_texts_of_a_job_that_goes_well(
    make_jobs: type[Jobs], log: pytest.LogCaptureFixture
) -> None:
    await make_jobs(TextLogMiddleware()).run()
    assert log.record_tuples == [
        ('walnats.middlewares', logging.DEBUG, 'event user.created: received by greet'),
        ('walnats.middlewares', logging.DEBUG, 'event user.created: processed by greet'),
    ]


async def test_texts_of_a_job_that_fails(
    make_jobs: type[Jobs], log: pytest.LogCaptureFixture
) -> None:
    await make_jobs(TextLogMiddleware()).fail(ValueError('secret'))
    assert log.record_tuples == [
        ('walnats.middlewares', logging.DEBUG, 'event user.created: received by greet'),
        ('walnats.middlewares', logging.ERROR, 'event user.created: actor greet failed'),
    ]
    assert 'Traceback' not in log.text


async def test_attributes_of_a_job_that_goes_well(
    make_jobs: type[Jobs], log: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(ExtraLogMiddleware())
    await jobs.run(attempts=2, headers={'Walnats-Trace': 'abc'})
    assert log.record_tuples == [
        ('walnats.middlewares', logging.DEBUG, 'event received'),
        ('walnats.middlewares', logging.DEBUG, 'event processed'),
    ]
    common = {
        'event': 'user.created',
        'actor': 'greet',
        'attempts': 2,
        'seq_number': 42,
        'trace_id': 'abc',
    }
    assert extras(log) == [common, {**common, 'duration': 0.25}]


async def test_attributes_of_a_job_that_fails(
    make_jobs: type[Jobs], log: pytest.LogCaptureFixture
) -> None:
    await make_jobs(ExtraLogMiddleware()).fail(ValueError('secret'))
    assert log.record_tuples[1:] == [('walnats.middlewares', logging.ERROR, 'actor failed')]
    assert extras(log)[1] == {
        'event': 'user.created',
        'actor': 'greet',
        'attempts': 1,
        'seq_number': 42,
        'trace_id': None,
        'exception_type': 'ValueError',
    }
    assert 'Traceback' not in log.text


@pytest.mark.parametrize('cls', [TextLogMiddleware, ExtraLogMiddleware])
async def test_a_message_that_can_not_be_decoded_is_a_failure(
    cls: type[TextLogMiddleware | ExtraLogMiddleware],
    make_jobs: type[Jobs],
    log: pytest.LogCaptureFixture,
) -> None:
    await make_jobs(cls()).fail_to_decode(ValueError('x'))
    assert [record.levelno for record in log.records] == [logging.ERROR]


@pytest.mark.parametrize('cls', [TextLogMiddleware, ExtraLogMiddleware])
async def test_the_logger_can_be_chosen(
    cls: type[TextLogMiddleware | ExtraLogMiddleware],
    make_jobs: type[Jobs],
    log: pytest.LogCaptureFixture,
) -> None:
    jobs = make_jobs(cls(logger=logging.getLogger('mine')))
    await jobs.run()
    await jobs.fail(ValueError('x'))
    assert {name for name, _, _ in log.record_tuples} == {'mine'}
    assert len(log.records) == 4


@pytest.mark.parametrize('cls', [TextLogMiddleware, ExtraLogMiddleware])
async def test_at_a_higher_level_only_failures_are_logged(
    cls: type[TextLogMiddleware | ExtraLogMiddleware],
    make_jobs: type[Jobs],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    jobs = make_jobs(cls())
    await jobs.run()
    await jobs.fail(ValueError('x'))
    assert len(caplog.records) == 1
