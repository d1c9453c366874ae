from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from walnats import Actor, Event
from walnats._context import ErrorContext, Metadata, OkContext
from walnats.errors import DeclarationError, DeclarationTypeError
from walnats.middlewares import ErrorThresholdMiddleware, Middleware

if TYPE_CHECKING:
    from tests.unit.middlewares.conftest import Jobs, Recorder

MANY = 1000
NOW = datetime.now(UTC)


async def count_until_passed(
    jobs: Jobs, recorder: Recorder, *, first: int = 1, **options: Any
) -> int:
    """Fail until that is passed on, and tell which failure was the first."""
    for number in range(first, first + 50):
        await jobs.fail(ValueError(), **options)
        if any(note.startswith('failure') for note in recorder.take()):
            return number
    raise AssertionError('never passed on')


@pytest.mark.parametrize('threshold', [0, 1, 3])
async def test_all_failures_in_a_row_count(
    threshold: int, make_jobs: type[Jobs], recorder: Recorder
) -> None:
    middleware = ErrorThresholdMiddleware(
        recorder, total_failures=threshold, actor_failures=MANY, message_failures=MANY
    )
    jobs = make_jobs(middleware)
    # More than the threshold came before it, and it itself.
    assert await count_until_passed(jobs, recorder) == threshold + 2
    await jobs.fail(ValueError(), actor='other')
    assert recorder.take() == ['start other', 'failure other']


async def test_a_success_of_any_actor_ends_the_row_of_all(
    make_jobs: type[Jobs], recorder: Recorder
) -> None:
    middleware = ErrorThresholdMiddleware(
        recorder, total_failures=2, actor_failures=MANY, message_failures=MANY
    )
    jobs = make_jobs(middleware)
    assert await count_until_passed(jobs, recorder) == 4
    await jobs.run(actor='other')
    assert await count_until_passed(jobs, recorder) == 4


async def test_failures_of_each_actor_count(make_jobs: type[Jobs], recorder: Recorder) -> None:
    middleware = ErrorThresholdMiddleware(
        recorder, total_failures=MANY, actor_failures=2, message_failures=MANY
    )
    jobs = make_jobs(middleware)
    assert await count_until_passed(jobs, recorder) == 4
    assert await count_until_passed(jobs, recorder, actor='other') == 4
    # Names are unique per event.
    assert await count_until_passed(jobs, recorder, event='other') == 4


async def test_only_a_success_of_its_own_ends_the_row_of_an_actor(
    make_jobs: type[Jobs], recorder: Recorder
) -> None:
    middleware = ErrorThresholdMiddleware(
        recorder, total_failures=MANY, actor_failures=2, message_failures=MANY
    )
    jobs = make_jobs(middleware)
    assert await count_until_passed(jobs, recorder) == 4
    await jobs.run(actor='other')
    await jobs.fail(ValueError())
    assert recorder.take()[-1] == 'failure greet'
    await jobs.run()
    assert await count_until_passed(jobs, recorder) == 4


async def test_the_attempts_of_a_message_count(make_jobs: type[Jobs], recorder: Recorder) -> None:
    middleware = ErrorThresholdMiddleware(
        recorder, total_failures=MANY, actor_failures=MANY, message_failures=2
    )
    jobs = make_jobs(middleware)
    for attempts in (1, 2, 3):
        await jobs.fail(ValueError(), attempts=attempts)
    assert recorder.take() == ['start greet'] * 3 + ['failure greet']


async def test_by_default_twenty_of_each(make_jobs: type[Jobs], recorder: Recorder) -> None:
    jobs = make_jobs(ErrorThresholdMiddleware(recorder))
    assert await count_until_passed(jobs, recorder) == 22
    await jobs.run()
    recorder.take()
    await jobs.fail(ValueError(), attempts=20)
    assert recorder.take() == ['start greet']
    await jobs.fail(ValueError(), attempts=21)
    assert recorder.take() == ['start greet', 'failure greet']


async def test_starts_and_successes_are_passed_on(
    make_jobs: type[Jobs], recorder: Recorder
) -> None:
    await make_jobs(ErrorThresholdMiddleware(recorder)).run()
    assert recorder.take() == ['start greet', 'success greet']


@given(outcomes=st.lists(st.booleans()), threshold=st.integers(0, 5))
def test_a_failure_is_passed_on_after_more_failures_than_the_threshold(
    outcomes: list[bool], threshold: int
) -> None:
    passed: list[ErrorContext] = []

    class Passed(Middleware):
        def on_failure(self, ctx: ErrorContext) -> None:
            passed.append(ctx)

    middleware = ErrorThresholdMiddleware(Passed(), threshold, MANY, MANY)
    ok, failed = make_ends()
    expected = row = 0
    for is_success in outcomes:
        if is_success:
            middleware.on_success(ok)
            row = 0
        else:
            middleware.on_failure(failed)
            expected += row > threshold
            row += 1
    assert len(passed) == expected


def make_ends() -> tuple[OkContext, ErrorContext]:
    actor: Actor[Any, Any] = Actor('greet', Event('user.created', str), print)
    common: Any = {'actor': actor, 'message': 'Ada', 'headers': None, 'attempts': 1}
    common['metadata'] = Metadata(
        stream='user-created', consumer='greet', seq_number=1, num_delivered=1, timestamp=NOW
    )
    return OkContext(**common, duration=1), ErrorContext(**common, exception=ValueError())


@pytest.mark.parametrize('value', [-1, 10**19])
@pytest.mark.parametrize('name', ['total_failures', 'actor_failures', 'message_failures'])
def test_a_threshold_that_is_none_is_refused(name: str, value: int, recorder: Recorder) -> None:
    options: Any = {name: value}
    with pytest.raises(DeclarationError, match=f'ErrorThresholdMiddleware: {name} must be'):
        ErrorThresholdMiddleware(recorder, **options)


@pytest.mark.parametrize('value', [None, '1', 1.5, True])
def test_a_threshold_of_another_type_is_refused(value: Any, recorder: Recorder) -> None:
    with pytest.raises(DeclarationTypeError, match='total_failures must be an integer'):
        ErrorThresholdMiddleware(recorder, value)


@pytest.mark.parametrize('value', [None, Middleware, print])
def test_what_is_no_middleware_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='middleware must be an instance with'):
        ErrorThresholdMiddleware(value)
