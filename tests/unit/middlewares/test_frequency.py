from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from walnats.errors import DeclarationError, DeclarationTypeError
from walnats.middlewares import FrequencyMiddleware, Middleware

if TYPE_CHECKING:
    from tests.unit.middlewares.conftest import Jobs, Recorder


async def test_start_and_success_once_per_actor(make_jobs: type[Jobs], recorder: Recorder) -> None:
    jobs = make_jobs(FrequencyMiddleware(recorder))
    for _ in range(3):
        await jobs.run()
    assert recorder.take() == ['start greet', 'success greet']
    for _ in range(3):
        await jobs.run(actor='other')
    assert recorder.take() == ['start other', 'success other']
    # Names are unique per event.
    await jobs.run(event='other')
    assert recorder.take() == ['start greet', 'success greet']


async def test_failure_once_per_type_and_actor(make_jobs: type[Jobs], recorder: Recorder) -> None:
    jobs = make_jobs(FrequencyMiddleware(recorder))
    for text in 'abc':
        await jobs.fail(ValueError(text))
    assert recorder.take() == ['start greet', 'failure greet']
    await jobs.fail(KeyError('a'))
    assert recorder.take() == ['failure greet']
    await jobs.fail(UnicodeError('a subclass is another type'))
    assert recorder.take() == ['failure greet']
    await jobs.fail(ValueError('a'), actor='other')
    assert recorder.take() == ['start other', 'failure other']


async def test_a_success_changes_nothing(make_jobs: type[Jobs], recorder: Recorder) -> None:
    jobs = make_jobs(FrequencyMiddleware(recorder))
    await jobs.fail(ValueError())
    await jobs.run()
    await jobs.fail(ValueError())
    assert recorder.take() == ['start greet', 'failure greet', 'success greet']


async def test_again_in_the_next_time_frame(make_jobs: type[Jobs], recorder: Recorder) -> None:
    jobs = make_jobs(FrequencyMiddleware(recorder, timeframe=0.05))
    await jobs.run()
    await asyncio.sleep(0.06)
    await jobs.run()
    assert recorder.take() == ['start greet', 'success greet'] * 2


async def test_what_is_held_back_does_not_put_off_the_next_one(
    make_jobs: type[Jobs], recorder: Recorder
) -> None:
    jobs = make_jobs(FrequencyMiddleware(recorder, timeframe=0.2))
    async with asyncio.timeout(10):
        while recorder.notes.count('start greet') < 2:
            await jobs.run()
            await asyncio.sleep(0.005)


@pytest.mark.parametrize('value', [0, -1, float('nan'), float('inf')])
def test_a_time_frame_that_is_none_is_refused(value: float, recorder: Recorder) -> None:
    with pytest.raises(DeclarationError, match='FrequencyMiddleware: timeframe must be'):
        FrequencyMiddleware(recorder, value)


@pytest.mark.parametrize('value', [None, '1', True])
def test_a_time_frame_of_another_type_is_refused(value: Any, recorder: Recorder) -> None:
    with pytest.raises(DeclarationTypeError, match='timeframe must be a number of seconds'):
        FrequencyMiddleware(recorder, value)


@pytest.mark.parametrize('value', [None, Middleware, print])
def test_what_is_no_middleware_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='middleware must be an instance with'):
        FrequencyMiddleware(value)
