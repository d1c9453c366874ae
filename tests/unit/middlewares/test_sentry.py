from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from walnats.middlewares import (
    ErrorThresholdMiddleware,
    FrequencyMiddleware,
    Middleware,
    SentryMiddleware,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentry_sdk.envelope import Envelope
    from tests.unit.middlewares.conftest import Jobs

    from walnats._context import OkContext


class LocalTransport(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.append(envelope.get_event())


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """What Sentry was told."""
    transport = LocalTransport()
    sentry_sdk.init(
        dsn='http://key@127.0.0.1/1',
        transport=transport,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration(), DedupeIntegration()],
    )
    with sentry_sdk.isolation_scope():
        yield transport.events
    sentry_sdk.init()


def exception_of(event: Any) -> tuple[str, str]:
    last = event['exception']['values'][-1]
    return last['type'], last['value']


async def test_a_failure_is_reported(make_jobs: type[Jobs], events: list[Any]) -> None:
    jobs = make_jobs(SentryMiddleware())
    await jobs.fail(ValueError('text'), attempts=3, headers={'Walnats-Trace': 'abc'})
    (event,) = events
    assert exception_of(event) == ('ValueError', 'text')
    assert event['level'] == 'error'
    assert event['transaction'] == 'greet'
    assert event['tags'] == {'event': 'user.created', 'actor': 'greet'}
    assert event['contexts']['walnats'] == {
        'stream': 'user-created',
        'seq_number': 42,
        'attempts': 3,
        'trace_id': 'abc',
        'stored_at': '2013-01-31T12:30:00+00:00',
    }


async def test_its_traceback_leads_to_the_handler(make_jobs: type[Jobs], events: list[Any]) -> None:
    async def broken_handler(_: str) -> None:
        raise ValueError('text')

    await make_jobs(SentryMiddleware()).run(broken_handler)
    frames = events[0]['exception']['values'][-1]['stacktrace']['frames']
    assert frames[-1]['function'] == 'broken_handler'


async def test_a_success_is_not_reported(make_jobs: type[Jobs], events: list[Any]) -> None:
    await make_jobs(SentryMiddleware()).run()
    assert events == []


async def test_a_message_that_can_not_be_decoded_is_reported(
    make_jobs: type[Jobs], events: list[Any]
) -> None:
    await make_jobs(SentryMiddleware()).fail_to_decode(ValueError('text'))
    (event,) = events
    assert exception_of(event) == ('ValueError', 'text')
    assert event['tags'] == {'event': 'user.created', 'actor': 'greet'}


async def test_what_is_handed_back_is_not_reported(
    make_jobs: type[Jobs], events: list[Any]
) -> None:
    jobs = make_jobs(SentryMiddleware())
    await jobs.hand_back()
    assert events == []
    sentry_sdk.capture_message('after it')
    assert not events[0].get('tags')


async def test_a_handler_that_cancels_itself_is_reported(
    make_jobs: type[Jobs], events: list[Any]
) -> None:
    await make_jobs(SentryMiddleware()).fail(asyncio.CancelledError())
    (event,) = events
    assert exception_of(event) == ('CancelledError', '')


async def test_what_a_handler_reports_carries_the_tags_too(
    make_jobs: type[Jobs], events: list[Any]
) -> None:
    async def handler(_: str) -> None:
        sentry_sdk.set_tag('own', 'tag')
        await asyncio.sleep(0)
        sentry_sdk.capture_message('hello')

    await make_jobs(SentryMiddleware()).run(handler)
    (event,) = events
    assert event['message'] == 'hello'
    assert event['tags'] == {'event': 'user.created', 'actor': 'greet', 'own': 'tag'}


async def test_jobs_do_not_see_each_others_scope(make_jobs: type[Jobs], events: list[Any]) -> None:
    barrier = asyncio.Barrier(2)

    async def handler(message: str) -> None:
        sentry_sdk.set_tag('message', message)
        sentry_sdk.add_breadcrumb(message=message)
        await barrier.wait()
        raise ValueError(message)

    sentry_sdk.add_breadcrumb(message='of the worker')
    jobs = make_jobs(SentryMiddleware())
    await asyncio.gather(
        jobs.run(handler, message='a', actor='one'), jobs.run(handler, message='b', actor='two')
    )
    seen = {
        (e['tags']['actor'], e['tags']['message'], e['breadcrumbs']['values'][0]['message'])
        for e in events
    }
    assert seen == {('one', 'a', 'a'), ('two', 'b', 'b')}
    sentry_sdk.capture_message('after them')
    assert not events[-1].get('tags')


async def test_the_scope_ends_with_the_job(make_jobs: type[Jobs], events: list[Any]) -> None:
    class Reporting(Middleware):
        def on_success(self, ctx: OkContext) -> None:
            sentry_sdk.capture_message('after it')

    await make_jobs(Reporting(), SentryMiddleware()).run()
    (event,) = events
    assert not event.get('tags')


async def test_the_log_record_of_the_worker_is_not_a_second_report(
    make_jobs: type[Jobs], events: list[Any]
) -> None:
    def handler(_: str) -> None:
        try:
            raise ValueError('text')
        except ValueError:
            logging.getLogger('walnats.actor').exception('Unhandled ValueError in "greet" actor')
            raise

    await make_jobs(SentryMiddleware()).run(handler)
    (event,) = events
    assert 'logentry' not in event


@pytest.mark.parametrize(
    ('wrapper', 'reports'), [(FrequencyMiddleware, 1), (ErrorThresholdMiddleware, 0)]
)
async def test_reports_can_be_held_back(
    wrapper: type[FrequencyMiddleware | ErrorThresholdMiddleware],
    reports: int,
    make_jobs: type[Jobs],
    events: list[Any],
) -> None:
    jobs = make_jobs(wrapper(SentryMiddleware()))
    for _ in range(5):
        await jobs.fail(ValueError('text'))
    assert len(events) == reports
    assert all(event['tags']['actor'] == 'greet' for event in events)


async def test_without_a_client_nothing_happens(
    make_jobs: type[Jobs], caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(SentryMiddleware())
    await jobs.run()
    await jobs.fail(ValueError('text'))
    assert caplog.records == []
