"""`ConnectedActors.register`: the consumers of actors, and the streams they need."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

import nats.js.errors
import pytest

import walnats
from walnats import Actor, Actors, DeadLetters, Event, Limits, Medium, Retention, Start, Storage
from walnats.errors import ConsumerConfigError, ConsumerNotFoundError, StreamExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client

    from .conftest import Api, ApiOf

    Log = Callable[[], list[logging.LogRecord]]

pytestmark = pytest.mark.usefixtures('no_leaks')

NS = 10**9


async def handle(message: str) -> None:
    pass


def actor(event: Event[str], name: str = 'actor', **fields: Any) -> Actor[str, Any]:
    return Actor(name, event, handle, **fields)


async def register(url: str, *actors: Actor[Any, Any], **options: Any) -> None:
    options = {'dead_letters': None, **options}
    async with Actors(*actors, **options).connect(url) as conn:
        await conn.register()


def texts(log: Log) -> list[str]:
    return [record.getMessage() for record in log()]


# --- Streams -----------------------------------------------------------------


async def test_missing_stream_is_created(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str, limits=Limits(age=60), storage=Storage(retention=Retention.LIMITS))
    await register(server_url, actor(event), actor(event, 'other'))
    stream = await api.read_stream(unique)
    assert stream['subjects'] == [unique, f'walnats.to.{unique}.*']
    assert (stream['max_age'], stream['retention']) == (60 * NS, 'limits')


async def test_existing_stream_is_never_changed(
    server_url: str, unique: str, api: Api, logged: Log
) -> None:
    before = await api.make_stream(unique, subjects=[unique], retention='interest', max_msgs=7)
    event = Event(unique, str, limits=Limits(age=60), storage=Storage(medium=Medium.MEMORY))
    await register(server_url, actor(event))
    assert await api.read_stream(unique) == before
    assert not logged()


async def test_another_events_stream(server_url: str, unique: str, api: Api) -> None:
    await api.make_stream(f'{unique}-b', subjects=[f'{unique}-b'])
    with pytest.raises(StreamExistsError, match=rf"'{unique}\.b'.*rename the event"):
        await register(server_url, actor(Event(f'{unique}.b', str)))


async def test_stream_that_was_narrowed_by_an_older_service(
    server_url: str, unique: str, api: Api
) -> None:
    """The actor works, and waits for the publisher to widen the stream again."""
    await api.make_stream(unique, subjects=[unique], retention='interest')
    handled: list[str] = []
    event = Event(unique, str)
    listener = Actor('actor', event, handled.append)
    async with Actors(listener, dead_letters=None).connect(server_url) as conn:
        await conn.register()
        await conn.register()
        async with walnats.Events(event).connect(conn) as publisher:
            await publisher.emit(event, 'narrow', sync=True)
            await publisher.register()
            await conn.register()
            await publisher.emit(event, 'wide', sync=True)
        await conn.listen(burst=True)
    assert handled == ['narrow', 'wide']
    consumer = await api.read_consumer(unique, 'actor')
    assert consumer['filter_subjects'] == [unique, f'walnats.to.{unique}.actor']


# --- Dead letters ------------------------------------------------------------


async def test_stream_of_dead_letters(server: walnats.EmbeddedServer, api_of: ApiOf) -> None:
    api = await api_of(server.url)
    await register(server.url, actor(Event('created', str)), dead_letters=DeadLetters())
    stream = await api.read_stream('walnats-dead')
    assert stream['subjects'] == ['walnats.dead.>']
    assert stream['retention'] == 'limits'
    assert stream['max_age'] == 30 * 24 * 3600 * NS
    letters = DeadLetters(
        limits=Limits(age=60), storage=Storage(retention=Retention.LIMITS, compression=True)
    )
    await register(server.url, actor(Event('created', str)), dead_letters=letters)
    stream = await api.read_stream('walnats-dead')
    assert (stream['max_age'], stream['compression']) == (60 * NS, 's2')


async def test_no_stream_of_dead_letters(server: walnats.EmbeddedServer, api_of: ApiOf) -> None:
    await register(server.url, actor(Event('created', str)), dead_letters=None)
    api = await api_of(server.url)
    answer = await api.call('STREAM.INFO.walnats-dead')
    assert answer['error']['err_code'] == 10059


# --- A new consumer ----------------------------------------------------------


async def test_consumer_of_an_actor_with_defaults(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, actor(Event(f'{unique}.b', str)))
    consumer = await api.read_consumer(f'{unique}-b', 'actor')
    expected = {
        'name': 'actor',
        'durable_name': 'actor',
        'ack_policy': 'explicit',
        'ack_wait': 16 * NS,
        'deliver_policy': 'all',
        'filter_subjects': [f'{unique}.b', f'walnats.to.{unique}-b.actor'],
        'max_ack_pending': 1000,
        'max_deliver': -1,
        'replay_policy': 'instant',
    }
    assert {key: consumer[key] for key in expected} == expected
    assert 'deliver_subject' not in consumer
    assert 'backoff' not in consumer
    assert 'description' not in consumer


async def test_consumer_of_an_actor_with_everything(server_url: str, unique: str, api: Api) -> None:
    fields: Any = {'description': 'It acts.', 'ack_wait': 1.5, 'max_ack_pending': 7}
    await register(server_url, actor(Event(unique, str), max_attempts=3, **fields))
    consumer = await api.read_consumer(unique, 'actor')
    expected = {
        'description': 'It acts.',
        'ack_wait': 3 * NS // 2,
        'max_ack_pending': 7,
        'max_deliver': -1,
    }
    assert {key: consumer[key] for key in expected} == expected


MOMENT = dt.datetime(2024, 5, 6, 7, 8, 9, 120_000)  # noqa: DTZ001 -- it is UTC
STARTS = [
    (Start.ALL, 'all', None),
    (Start.NEW, 'new', None),
    (MOMENT, 'by_start_time', '2024-05-06T07:08:09.12Z'),
    (MOMENT.replace(microsecond=0), 'by_start_time', '2024-05-06T07:08:09Z'),
    (MOMENT.replace(microsecond=1), 'by_start_time', '2024-05-06T07:08:09.000001Z'),
    (
        MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))),
        'by_start_time',
        '2024-05-06T05:08:09.12Z',
    ),
]


@pytest.mark.parametrize(('start', 'policy', 'moment'), STARTS)
async def test_start(
    server_url: str, unique: str, api: Api, *, start: Any, policy: str, moment: str | None
) -> None:
    new = actor(Event(unique, str), start=start)
    await api.watch()
    await register(server_url, new)
    await register(server_url, new)
    consumer = await api.read_consumer(unique, 'actor')
    assert consumer['deliver_policy'] == policy
    assert consumer.get('opt_start_time') == moment
    assert len(await api.calls()) == 2


async def test_what_a_start_means(server_url: str, unique: str) -> None:
    event = Event(unique, str, storage=Storage(retention=Retention.LIMITS))
    seen: dict[str, list[str]] = {'all': [], 'new': [], 'since': []}
    async with walnats.Events(event).connect(server_url) as publisher:
        await publisher.register()
        await publisher.emit(event, 'old', sync=True)
        since = dt.datetime.now(dt.UTC)
        await publisher.emit(event, 'later', sync=True)
        starts: dict[str, Any] = {'all': Start.ALL, 'new': Start.NEW, 'since': since}
        actors = [Actor(n, event, seen[n].append, start=start) for n, start in starts.items()]
        async with Actors(*actors, dead_letters=None).connect(publisher) as worker:
            await worker.register()
            await publisher.emit(event, 'last', sync=True)
            await worker.listen(burst=True)
    assert seen == {'all': ['old', 'later', 'last'], 'new': ['last'], 'since': ['later', 'last']}


# --- An existing consumer ----------------------------------------------------


async def test_registering_twice_sends_nothing(
    server_url: str, unique: str, api: Api, logged: Log
) -> None:
    actors = [
        actor(Event(unique, str), 'a'),
        actor(Event(unique, str), 'b', description='x', ack_wait=0.5, max_ack_pending=3),
    ]
    await api.watch()
    await register(server_url, *actors)
    created = await api.calls()
    assert created == [
        f'STREAM.CREATE.{unique}',
        f'CONSUMER.CREATE.{unique}.a',
        f'CONSUMER.CREATE.{unique}.b',
    ]
    await register(server_url, *actors)
    assert await api.calls() == created
    assert not logged()


async def test_changes_are_sent_and_logged(
    server_url: str, unique: str, api: Api, logged: Log
) -> None:
    event = Event(unique, str)
    await register(server_url, actor(event))
    await register(
        server_url, actor(event, description='New', ack_wait=5, max_ack_pending=9, max_attempts=3)
    )
    consumer = await api.read_consumer(unique, 'actor')
    assert (consumer['ack_wait'], consumer['max_ack_pending']) == (5 * NS, 9)
    prefix = f"actor 'actor' of event '{unique}': "
    assert texts(logged) == [
        prefix + "description: '' → 'New'",
        prefix + 'ack_wait (ns): 16000000000 → 5000000000',
        prefix + 'max_ack_pending: 1000 → 9',
    ]
    assert {(r.name, r.levelno) for r in logged()} == {('walnats.register', logging.INFO)}


async def test_foreign_settings_survive(server_url: str, unique: str, api: Api) -> None:
    await api.make_stream(unique, subjects=[unique], retention='interest')
    foreign = {
        'metadata': {'owner': 'ops'},
        'inactive_threshold': 3600 * NS,
        'max_waiting': 99,
        'mem_storage': True,
        'sample_freq': '50%',
        'max_batch': 500,
        'max_expires': 90 * NS,
        'max_bytes': 10**6,
    }
    before = await api.make_consumer(unique, 'actor', **foreign)
    await register(server_url, actor(Event(unique, str), max_ack_pending=9))
    after = await api.read_consumer(unique, 'actor')
    changed = {
        'ack_wait': 16 * NS,
        'filter_subjects': [unique, f'walnats.to.{unique}.actor'],
        'max_ack_pending': 9,
    }
    assert after == {**before, **changed}


FILTERS: list[list[str]] = [[], ['{}'], ['{}', 'walnats.to.{}.another']]


@pytest.mark.parametrize('key', ['filter_subject', 'filter_subjects'])
@pytest.mark.parametrize('filters', FILTERS)
async def test_consumer_gets_our_filter(
    server_url: str, unique: str, api: Api, nc: Client, *, filters: list[str], key: str
) -> None:
    """And what it has not handled yet is kept."""
    filled = [subject.replace('{}', unique) for subject in filters]
    given: Any = {key: filled if key == 'filter_subjects' else ''.join(filled[:1])}
    subjects = [unique, f'walnats.to.{unique}.*']
    await api.make_stream(unique, subjects=subjects, retention='interest')
    await api.make_consumer(unique, 'actor', **given)
    await nc.jetstream().publish(unique, b'"pending"')
    handled: list[str] = []
    listener = Actor('actor', Event(unique, str), handled.append)
    async with Actors(listener, dead_letters=None).connect(server_url) as conn:
        await conn.register()
        await conn.listen(burst=True)
    consumer = await api.read_consumer(unique, 'actor')
    assert consumer['filter_subjects'] == [unique, f'walnats.to.{unique}.actor']
    assert 'filter_subject' not in consumer
    assert handled == ['pending']


async def test_order_of_the_filter_does_not_matter(server_url: str, unique: str, api: Api) -> None:
    subjects = [unique, f'walnats.to.{unique}.*']
    await api.make_stream(unique, subjects=subjects, retention='interest')
    filters = [f'walnats.to.{unique}.actor', unique]
    await api.make_consumer(unique, 'actor', filter_subjects=filters, ack_wait=16 * NS)
    await api.watch()
    await register(server_url, actor(Event(unique, str)))
    assert await api.calls() == []


async def test_what_would_break_the_worker_is_taken_away(
    server_url: str, unique: str, api: Api, logged: Log
) -> None:
    await api.make_stream(unique, subjects=[unique], retention='interest')
    await api.make_consumer(unique, 'actor', backoff=[NS, 2 * NS], max_deliver=5, headers_only=True)
    new = actor(Event(unique, str))
    await register(server_url, new)
    consumer = await api.read_consumer(unique, 'actor')
    assert 'backoff' not in consumer
    assert not consumer.get('headers_only')
    assert (consumer['max_deliver'], consumer['ack_wait']) == (-1, 16 * NS)
    count = len(logged())
    await register(server_url, new)
    assert len(logged()) == count


# --- Refused -----------------------------------------------------------------


async def test_start_can_not_be_changed(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str)
    await register(server_url, actor(event))
    before = await api.read_consumer(unique, 'actor')
    for start, shown in (Start.NEW, "'new'"), (MOMENT, "'by_start_time'"):
        with pytest.raises(ConsumerConfigError, match='deliver policy can not be') as caught:
            await register(server_url, actor(event, start=start, max_ack_pending=9))
        assert f"actor 'actor' of event '{unique}'" in str(caught.value)
        assert f"start: 'all' → {shown}" in str(caught.value)
        assert caught.value.err_code == 10012
        assert isinstance(caught.value, nats.js.errors.BadRequestError)
    assert await api.read_consumer(unique, 'actor') == before


async def test_moment_of_the_start_can_not_be_changed(server_url: str, unique: str) -> None:
    event = Event(unique, str)
    await register(server_url, actor(event, start=MOMENT))
    later = MOMENT + dt.timedelta(hours=1)
    with pytest.raises(ConsumerConfigError, match='can not be updated'):
        await register(server_url, actor(event, start=later))
    with pytest.raises(ConsumerConfigError, match='can not be updated'):
        await register(server_url, actor(event))


async def test_ack_policy_can_not_be_changed(server_url: str, unique: str, api: Api) -> None:
    await api.make_stream(unique, subjects=[unique], retention='limits')
    await api.make_consumer(unique, 'actor', ack_policy='none')
    with pytest.raises(ConsumerConfigError, match='ack policy can not be updated'):
        await register(server_url, actor(Event(unique, str)))


async def test_push_consumer_of_that_name(server_url: str, unique: str, api: Api) -> None:
    await api.make_stream(unique, subjects=[unique], retention='interest')
    before = await api.make_consumer(unique, 'actor', deliver_subject='elsewhere')
    with pytest.raises(ConsumerConfigError, match="pushes messages to 'elsewhere'") as caught:
        await register(server_url, actor(Event(unique, str)))
    assert f"actor 'actor' of event '{unique}'" in str(caught.value)
    assert (await api.read_consumer(unique, 'actor')) == before


async def test_more_actors_than_the_event_allows(server_url: str, unique: str) -> None:
    event = Event(unique, str, limits=Limits(consumers=1))
    await register(server_url, actor(event, 'first'))
    await register(server_url, actor(event, 'first'))
    with pytest.raises(ConsumerConfigError, match=r"'second'.*maximum consumers limit"):
        await register(server_url, actor(event, 'second'))


async def test_limit_that_an_operator_set_on_the_stream(
    server_url: str, unique: str, api: Api
) -> None:
    limits = {'max_ack_pending': 10, 'inactive_threshold': 3600 * NS}
    subjects = [unique, f'walnats.to.{unique}.*']
    await api.make_stream(unique, subjects=subjects, retention='interest', consumer_limits=limits)
    with pytest.raises(ConsumerConfigError, match='max ack pending'):
        await register(server_url, actor(Event(unique, str)))


async def test_work_queue_has_one_actor(server_url: str, unique: str, api: Api) -> None:
    subjects = [unique, f'walnats.to.{unique}.*']
    await api.make_stream(unique, subjects=subjects, retention='workqueue')
    event = Event(unique, str)
    await register(server_url, actor(event, 'first'))
    with pytest.raises(ConsumerConfigError, match='not unique on workqueue'):
        await register(server_url, actor(event, 'second'))


async def test_listen_before_register(server_url: str, unique: str) -> None:
    event = Event(unique, str)
    async with Actors(actor(event), dead_letters=None).connect(server_url) as conn:
        with pytest.raises(ConsumerNotFoundError, match='call `register`'):
            await conn.listen(burst=True)


# --- Races -------------------------------------------------------------------


async def test_many_processes_at_once(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str)
    actors = [actor(event, max_ack_pending=count) for count in range(1, 13)]
    await asyncio.gather(*(register(server_url, each) for each in actors))
    assert (await api.read_consumer(unique, 'actor'))['max_ack_pending'] in range(1, 13)


async def test_consumer_that_comes_and_goes(server_url: str, unique: str, api: Api) -> None:
    """Whatever is removed while it is looked for: `register` ends well or names the actor."""
    event = Event(unique, str)
    await register(server_url, actor(event))
    enough = asyncio.Event()
    removing = asyncio.create_task(remove_until(enough, api, unique))
    done = [await is_registered(server_url, actor(event, ack_wait=count)) for count in range(1, 60)]
    enough.set()
    await removing
    assert any(done)


async def remove_until(enough: asyncio.Event, api: Api, stream: str) -> None:
    while not enough.is_set():
        await api.call(f'CONSUMER.DELETE.{stream}.actor')


async def is_registered(url: str, each: Actor[Any, Any]) -> bool:
    try:
        await register(url, each)
    except ConsumerConfigError as error:
        assert "actor 'actor'" in str(error)
        return False
    return True
