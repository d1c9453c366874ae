from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiozipkin
import pytest
from aiohttp import web
from aiozipkin.transport import StubTransport

from walnats.errors import DeclarationTypeError
from walnats.middlewares import Middleware, ZipkinMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.middlewares.conftest import Jobs

    from walnats._context import OkContext

TRACE_ID = '463ac35c9f6413ad48485a3953bb6124'
ENDPOINT = aiozipkin.create_endpoint('tests')


class Zipkin:
    """A server that takes spans, and a tracer that sends them there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posted: list[Any] = []
        self.tracer: aiozipkin.Tracer

    async def take(self, request: web.Request) -> web.Response:
        self.posted += await request.json()
        return web.Response(status=202)

    async def close_and_read(self) -> list[Any]:
        """Have the tracer send all that it has."""
        await self.tracer.close()
        return self.posted


@pytest.fixture
async def zipkin() -> AsyncIterator[Zipkin]:
    server = Zipkin('')
    app = web.Application()
    app.router.add_post('/api/v2/spans', server.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, '127.0.0.1', 0)
    await site.start()
    host, port = runner.addresses[0]
    server.url = f'http://{host}:{port}/api/v2/spans'
    server.tracer = await aiozipkin.create(server.url, ENDPOINT, sample_rate=1.0)
    try:
        yield server
    finally:
        await server.tracer.close()
        await runner.cleanup()


async def test_a_job_is_a_span(make_jobs: type[Jobs], zipkin: Zipkin) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    await jobs.run(headers={'Walnats-Trace': TRACE_ID})
    (span,) = await zipkin.close_and_read()
    assert span['traceId'] == TRACE_ID
    assert span['parentId'] is None
    assert len(span['id']) == 16
    assert span['name'] == 'greet'
    assert span['kind'] == 'CONSUMER'
    assert span['shared'] is False
    assert span['tags'] == {'event': 'user.created'}
    assert [note['value'] for note in span['annotations']] == ['processed']
    assert span['annotations'][0]['timestamp'] >= span['timestamp']
    assert span['localEndpoint'] == {'serviceName': 'tests'}


async def test_a_failed_job_has_the_error(make_jobs: type[Jobs], zipkin: Zipkin) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    await jobs.fail(ValueError('text'))
    (span,) = await zipkin.close_and_read()
    assert span['tags'] == {'event': 'user.created', 'error': 'text', 'exception': 'ValueError'}
    assert [note['value'] for note in span['annotations']] == ['failed']


async def test_a_message_that_can_not_be_decoded_is_a_span_too(
    make_jobs: type[Jobs], zipkin: Zipkin
) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    await jobs.fail_to_decode(ValueError('text'), headers={'Walnats-Trace': TRACE_ID})
    (span,) = await zipkin.close_and_read()
    assert (span['traceId'], span['name'], span['tags']['error']) == (TRACE_ID, 'greet', 'text')


async def test_without_a_trace_id_there_is_a_new_trace(
    make_jobs: type[Jobs], zipkin: Zipkin
) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    await jobs.run()
    await jobs.run()
    spans = await zipkin.close_and_read()
    assert len({span['traceId'] for span in spans}) == 2


async def test_the_spans_of_one_trace_id_are_one_trace(
    make_jobs: type[Jobs], zipkin: Zipkin
) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    for actor in ('a', 'b'):
        await jobs.run(actor=actor, headers={'Walnats-Trace': 'abc1'})
    spans = await zipkin.close_and_read()
    assert [(span['name'], span['traceId']) for span in spans] == [('a', 'abc1'), ('b', 'abc1')]
    assert len({span['id'] for span in spans}) == 2


@pytest.mark.parametrize(
    ('trace_id', 'expected'),
    [
        (TRACE_ID.upper(), TRACE_ID),
        ('463ac35c-9f64-13ad-4848-5a3953bb6124', TRACE_ID),
        (f'00-{TRACE_ID}-b7ad6b7169203331-01', TRACE_ID),
        ('a2fb4a1d1a96d312', 'a2fb4a1d1a96d312'),
    ],
)
async def test_common_forms_of_a_trace_id(
    trace_id: str, expected: str, make_jobs: type[Jobs], zipkin: Zipkin
) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    await jobs.run(headers={'Walnats-Trace': trace_id})
    (span,) = await zipkin.close_and_read()
    assert span['traceId'] == expected
    assert 'trace_id' not in span['tags']


@pytest.mark.parametrize(
    'trace_id',
    ['request 7', '0' * 33, '-', 'xyz', '0', '0' * 32, f'00-{"0" * 32}-b7ad6b7169203331-01'],
)
async def test_what_can_be_no_trace_id_becomes_a_tag(
    trace_id: str, make_jobs: type[Jobs], zipkin: Zipkin
) -> None:
    jobs = make_jobs(ZipkinMiddleware(zipkin.tracer))
    await jobs.run(headers={'Walnats-Trace': trace_id})
    (span,) = await zipkin.close_and_read()
    assert set(span['traceId']) <= set('0123456789abcdef')
    assert len(span['traceId']) == 32
    assert span['tags']['trace_id'] == trace_id


async def test_the_span_is_there_in_the_handler(make_jobs: type[Jobs], zipkin: Zipkin) -> None:
    async def handler(_: str) -> None:
        with middleware.span.new_child('inner'):
            await asyncio.sleep(0)
        middleware.span.tag('own', 'tag')

    middleware = ZipkinMiddleware(zipkin.tracer)
    await make_jobs(middleware).run(handler)
    inner, span = await zipkin.close_and_read()
    assert span['tags'] == {'event': 'user.created', 'own': 'tag'}
    assert (inner['name'], inner['parentId'], inner['traceId']) == (
        'inner',
        span['id'],
        span['traceId'],
    )


async def test_outside_of_a_job_there_is_a_span_that_is_not_reported(
    make_jobs: type[Jobs], zipkin: Zipkin
) -> None:
    middleware = ZipkinMiddleware(zipkin.tracer)
    noop: list[bool] = []

    class Looking(Middleware):
        def on_success(self, ctx: OkContext) -> None:
            noop.append(middleware.span.is_noop)

    await make_jobs(Looking(), middleware).run()
    assert noop == [True]
    with middleware.span.tag('a', 'b'):
        assert middleware.span.is_noop
    assert len(await zipkin.close_and_read()) == 1


@pytest.mark.parametrize('headers', [None, {'Walnats-Trace': TRACE_ID}])
@pytest.mark.parametrize(
    ('rate', 'sampled', 'count'),
    [(1.0, None, 1), (0.0, None, 0), (0.0, True, 1), (1.0, False, 0)],
)
async def test_sampling(
    *,
    rate: float,
    sampled: bool | None,
    count: int,
    headers: dict[str, str] | None,
    make_jobs: type[Jobs],
) -> None:
    transport = StubTransport()
    sampler = aiozipkin.Sampler(sample_rate=rate)
    tracer = await aiozipkin.create_custom(ENDPOINT, transport, sampler)
    await make_jobs(ZipkinMiddleware(tracer, sampled)).run(headers=headers)
    await make_jobs(ZipkinMiddleware(tracer, sampled=sampled)).fail(ValueError(), headers=headers)
    assert len(transport.records) == 2 * count
    assert all(record.asdict()['shared'] is False for record in transport.records)


async def test_what_is_no_tracer_is_refused(zipkin: Zipkin) -> None:
    creating = aiozipkin.create(zipkin.url, ENDPOINT)
    not_awaited: Any = creating
    with pytest.raises(DeclarationTypeError, match='ZipkinMiddleware: tracer must be an instance'):
        ZipkinMiddleware(not_awaited)
    await (await creating).close()


@pytest.mark.parametrize('value', ['yes', 1, 0.5])
async def test_what_is_no_decision_is_refused(value: Any, zipkin: Zipkin) -> None:
    with pytest.raises(DeclarationTypeError, match='sampled must be True or False'):
        ZipkinMiddleware(zipkin.tracer, sampled=value)
