"""`ConnectedEvents.register`: what is created, changed, left alone and refused."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import nats
import nats.js.errors
import pytest

import walnats
from walnats import Discard, Event, Limits, Medium, Retention, Storage
from walnats.errors import (
    ConnectionClosedError,
    JetStreamError,
    JetStreamTimeoutError,
    StreamConfigError,
    StreamExistsError,
    StreamNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client

    from .conftest import Api, ApiOf

    Log = Callable[[], list[logging.LogRecord]]

pytestmark = pytest.mark.usefixtures('no_leaks')

NS = 10**9


async def register(url: str, *events: Event[Any], **arguments: bool) -> None:
    async with walnats.Events(*events).connect(url) as conn:
        await conn.register(**arguments)


def texts(log: Log) -> list[str]:
    return [record.getMessage() for record in log()]


# --- Created -----------------------------------------------------------------


async def test_stream_of_an_event_with_defaults(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, Event(f'{unique}.created', str))
    stream = await api.read_stream(f'{unique}-created')
    assert stream['subjects'] == [f'{unique}.created', f'walnats.to.{unique}-created.*']
    expected = {
        'retention': 'interest',
        'storage': 'file',
        'discard': 'old',
        'num_replicas': 1,
        'max_age': 0,
        'max_bytes': -1,
        'max_consumers': -1,
        'max_msg_size': -1,
        'max_msgs': -1,
        'duplicate_window': 120 * NS,
    }
    assert {key: stream[key] for key in expected} == expected
    assert stream.get('compression', 'none') == 'none'
    assert 'description' not in stream


async def test_stream_of_an_event_with_everything(server_url: str, unique: str, api: Api) -> None:
    everything = Event(
        unique,
        str,
        description='Something happened.',
        limits=Limits(age=60, consumers=3, messages=100, bytes=10_000, message_size=1000),
        storage=Storage(
            retention=Retention.LIMITS,
            medium=Medium.MEMORY,
            discard=Discard.NEW,
            compression=True,
            dedup_window=5,
        ),
    )
    await register(server_url, everything)
    stream = await api.read_stream(unique)
    expected = {
        'description': 'Something happened.',
        'retention': 'limits',
        'storage': 'memory',
        'discard': 'new',
        'compression': 's2',
        'max_age': 60 * NS,
        'max_bytes': 10_000,
        'max_consumers': 3,
        'max_msg_size': 1000,
        'max_msgs': 100,
        'duplicate_window': 5 * NS,
    }
    assert {key: stream[key] for key in expected} == expected


async def test_age_caps_the_dedup_window(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, Event(unique, str, limits=Limits(age=0.25)))
    stream = await api.read_stream(unique)
    assert stream['duplicate_window'] == stream['max_age'] == NS // 4


async def test_odd_names(server_url: str, unique: str, api: Api) -> None:
    names = [f'{unique}"quoted"', f'{unique}.{{}}$()[]', f'{unique}-' + 'x' * (255 - 12)]
    events = [Event(name, str) for name in names]
    await register(server_url, *events)
    await register(server_url, *events)
    for event in events:
        assert event.name in (await api.read_stream(event.stream_name))['subjects']


async def test_all_events_of_the_registry(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, Event(f'{unique}a', str), Event(f'{unique}b', str))
    await api.read_stream(f'{unique}a')
    await api.read_stream(f'{unique}b')


# --- Left alone --------------------------------------------------------------


EVERY_LIMIT = Limits(age=60, consumers=3, messages=100, bytes=10_000, message_size=1000)
DECLARED = [
    {},
    {'description': 'Ein Ereignis — 事件'},
    {'limits': EVERY_LIMIT},
    {'limits': Limits(age=0.1)},
    {'limits': Limits(age=100.123456789)},
    {'storage': Storage(compression=True, discard=Discard.NEW, dedup_window=0.1)},
    {'storage': Storage(retention=Retention.LIMITS, medium=Medium.MEMORY, dedup_window=1000)},
]


@pytest.mark.parametrize('fields', DECLARED)
async def test_registering_twice_sends_nothing(
    server_url: str, unique: str, api: Api, logged: Log, fields: Any
) -> None:
    event: Event[str] = Event(unique, str, **fields)
    await api.watch()
    await register(server_url, event)
    assert await api.calls() == [f'STREAM.CREATE.{unique}']
    await register(server_url, event)
    await register(server_url, event, create=False, update=False)
    assert await api.calls() == [f'STREAM.CREATE.{unique}']
    assert not logged()


async def test_foreign_settings_survive(server_url: str, unique: str, api: Api) -> None:
    foreign = {
        'metadata': {'owner': 'ops'},
        'allow_direct': True,
        'allow_rollup_hdrs': True,
        'deny_delete': True,
        'max_msgs_per_subject': 77,
        'consumer_limits': {'max_ack_pending': 5000, 'inactive_threshold': 3600 * NS},
        'subject_transform': {'src': f'{unique}.old.>', 'dest': f'{unique}.new.>'},
        'republish': {'src': unique, 'dest': f'republished.{unique}'},
    }
    subjects = [unique, f'{unique}.old.>', f'walnats.to.{unique}.*']
    before = await api.make_stream(unique, subjects=subjects, retention='interest', **foreign)
    await register(server_url, Event(unique, str, limits=Limits(messages=5)))
    after = await api.read_stream(unique)
    assert after.pop('max_msgs') == 5
    assert before.pop('max_msgs') == -1
    assert after == before


async def test_order_of_subjects_and_more_of_them(server_url: str, unique: str, api: Api) -> None:
    subjects = [f'walnats.to.{unique}.*', f'{unique}.more', unique]
    await api.make_stream(unique, subjects=subjects, retention='interest')
    await api.watch()
    await register(server_url, Event(unique, str))
    assert await api.calls() == []


async def test_description_that_is_not_declared_is_kept(
    server_url: str, unique: str, api: Api
) -> None:
    await register(server_url, Event(unique, str, description='from elsewhere'))
    await register(server_url, Event(unique, str, limits=Limits(messages=5)))
    stream = await api.read_stream(unique)
    assert (stream['description'], stream['max_msgs']) == ('from elsewhere', 5)


# --- Changed -----------------------------------------------------------------


async def test_changes_are_sent_once_and_logged(
    server_url: str, unique: str, api: Api, logged: Log
) -> None:
    await register(server_url, Event(unique, str))
    await api.watch()
    changed = Event(
        unique,
        str,
        description='New words',
        limits=Limits(age=60, messages=100, bytes=10_000, message_size=1000),
        storage=Storage(retention=Retention.LIMITS, discard=Discard.NEW, compression=True),
    )
    await register(server_url, changed)
    assert await api.calls() == [f'STREAM.UPDATE.{unique}']
    prefix = f"stream '{unique}': "
    assert texts(logged) == [
        prefix + "description: '' → 'New words'",
        prefix + 'limits.age (ns): 0 → 60000000000',
        prefix + 'limits.messages: -1 → 100',
        prefix + 'limits.bytes: -1 → 10000',
        prefix + 'limits.message_size: -1 → 1000',
        prefix + "storage.retention: 'interest' → 'limits'",
        prefix + "storage.discard: 'old' → 'new'",
        prefix + "storage.compression: 'none' → 's2'",
        prefix + 'storage.dedup_window (ns): 120000000000 → 60000000000',
    ]
    assert {(r.name, r.levelno) for r in logged()} == {('walnats.register', logging.INFO)}
    await register(server_url, changed)
    assert await api.calls() == [f'STREAM.UPDATE.{unique}']


async def test_limits_that_are_lifted(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, Event(unique, str, limits=Limits(age=60, messages=5)))
    await register(server_url, Event(unique, str))
    stream = await api.read_stream(unique)
    assert (stream['max_age'], stream['max_msgs']) == (0, -1)
    assert stream['duplicate_window'] == 120 * NS


async def test_messages_survive_a_change(server_url: str, unique: str, nc: Client) -> None:
    kept = Event(unique, str, storage=Storage(retention=Retention.LIMITS))
    async with walnats.Events(kept).connect(server_url) as conn:
        await conn.register()
        await conn.emit(kept, 'hello', sync=True)
    changed = Event(unique, str, storage=kept.storage, limits=Limits(age=3600))
    await register(server_url, changed)
    assert (await nc.jetstream().stream_info(unique)).state.messages == 1


async def test_stream_that_was_narrowed_by_an_older_service(
    server_url: str, unique: str, api: Api, logged: Log
) -> None:
    await api.make_stream(unique, subjects=[unique], retention='interest')
    await register(server_url, Event(unique, str))
    stream = await api.read_stream(unique)
    assert stream['subjects'] == [unique, f'walnats.to.{unique}.*']
    assert 'subjects: ' in texts(logged)[0]


@pytest.mark.parametrize('pattern', ['{}.*', '{}.>'])
async def test_stream_whose_wildcard_takes_the_event(
    server: walnats.EmbeddedServer, api_of: ApiOf, pattern: str
) -> None:
    api = await api_of(server.url)
    subject = pattern.format('user')
    await api.make_stream('user-created', subjects=[subject], retention='interest')
    await register(server.url, Event('user.created', str))
    stream = await api.read_stream('user-created')
    assert stream['subjects'] == [subject, 'walnats.to.user-created.*']


# --- create and update -------------------------------------------------------


async def test_create_without_update(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str, limits=Limits(age=60))
    await register(server_url, event, update=False)
    await register(server_url, event, update=False)
    other = Event(
        unique, str, limits=Limits(messages=5), storage=Storage(retention=Retention.LIMITS)
    )
    with pytest.raises(StreamExistsError) as caught:
        await register(server_url, other, update=False)
    text = str(caught.value)
    assert f"stream '{unique}'" in text
    assert 'limits.age (ns): 60000000000 → 0' in text
    assert 'limits.messages: -1 → 5' in text
    assert "storage.retention: 'interest' → 'limits'" in text
    assert 'update=True' in text
    assert isinstance(caught.value, nats.js.errors.BadRequestError)
    assert (await api.read_stream(unique))['max_msgs'] == -1


async def test_update_without_create(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str)
    with pytest.raises(StreamNotFoundError, match=f"stream '{unique}'.*create=True") as caught:
        await register(server_url, event, create=False)
    assert isinstance(caught.value, nats.js.errors.NotFoundError)
    await register(server_url, event)
    await register(server_url, Event(unique, str, limits=Limits(messages=5)), create=False)
    assert (await api.read_stream(unique))['max_msgs'] == 5


async def test_neither_create_nor_update(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str)
    with pytest.raises(StreamNotFoundError):
        await register(server_url, event, create=False, update=False)
    await register(server_url, event)
    await register(server_url, event, create=False, update=False)
    other = Event(unique, str, limits=Limits(messages=5))
    with pytest.raises(StreamExistsError, match=r'limits\.messages'):
        await register(server_url, other, create=False, update=False)
    assert (await api.read_stream(unique))['max_msgs'] == -1


# --- Refused -----------------------------------------------------------------


async def test_another_events_stream(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, Event(f'{unique}-b', str))
    before = await api.read_stream(f'{unique}-b')
    for arguments in {}, {'update': False}, {'create': False}:
        with pytest.raises(StreamExistsError, match='rename the event') as caught:
            await register(server_url, Event(f'{unique}.b', str), **arguments)
        assert f"'{unique}.b'" in str(caught.value)
        assert f"'{unique}-b'" in str(caught.value)
    assert await api.read_stream(f'{unique}-b') == before


async def test_mirror_of_that_name(server_url: str, unique: str, api: Api) -> None:
    await api.make_stream(f'{unique}source', subjects=[f'{unique}source'])
    await api.make_stream(unique, mirror={'name': f'{unique}source'})
    with pytest.raises(StreamExistsError, match="doesn't take"):
        await register(server_url, Event(unique, str))


async def test_foreign_stream_that_takes_the_subject(
    server_url: str, unique: str, api: Api
) -> None:
    await api.make_stream(f'{unique}FOREIGN', subjects=[f'{unique}.>'])
    with pytest.raises(StreamConfigError, match='subjects overlap') as caught:
        await register(server_url, Event(f'{unique}.created', str))
    assert f"stream '{unique}-created'" in str(caught.value)
    assert (caught.value.code, caught.value.err_code) == (400, 10065)
    assert caught.value.description == 'subjects overlap with an existing stream'


async def test_medium_can_not_be_changed(server_url: str, unique: str, api: Api) -> None:
    await register(server_url, Event(unique, str))
    changed = Event(unique, str, limits=Limits(messages=5), storage=Storage(medium=Medium.MEMORY))
    with pytest.raises(StreamConfigError, match='can not change storage type') as caught:
        await register(server_url, changed)
    assert "storage.medium: 'file' → 'memory'" in str(caught.value)
    assert caught.value.err_code == 10052
    assert isinstance(caught.value, nats.js.errors.ServerError)
    assert (await api.read_stream(unique))['max_msgs'] == -1


async def test_replicas_on_a_single_server(server_url: str, unique: str) -> None:
    with pytest.raises(StreamConfigError, match='replicas > 1 not supported'):
        await register(server_url, Event(unique, str, storage=Storage(replicas=3)))


async def test_one_event_that_fails_names_itself(server_url: str, unique: str, api: Api) -> None:
    await api.make_stream(f'{unique}b', subjects=[f'{unique}x'])
    events = [Event(f'{unique}{letter}', str) for letter in 'abc']
    async with walnats.Events(*events).connect(server_url) as conn:
        with pytest.raises(StreamExistsError, match=f"'{unique}b'"):
            await conn.register()
        # The connection lives on.
        await conn.emit(events[0], 'hello', sync=True)


# --- Races, faults -----------------------------------------------------------


async def test_two_processes_at_once(server_url: str, unique: str, api: Api) -> None:
    event = Event(unique, str)
    await asyncio.gather(*(register(server_url, event) for _ in range(8)))
    assert unique in (await api.read_stream(unique))['subjects']


async def test_two_processes_at_once_with_other_settings(
    server_url: str, unique: str, api: Api
) -> None:
    events = [Event(unique, str, limits=Limits(messages=count)) for count in range(1, 9)]
    await asyncio.gather(*(register(server_url, event) for event in events))
    assert (await api.read_stream(unique))['max_msgs'] in range(1, 9)


async def test_during_an_outage(server: walnats.EmbeddedServer) -> None:
    """A restart in the meantime doesn't matter."""
    async with walnats.Events(Event('created', str)).connect(server.url) as conn:
        await server.kill()
        registering = asyncio.create_task(conn.register())
        await asyncio.sleep(0)
        await server.start()
        await registering


async def test_no_answer_in_time(
    server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('walnats._jetstream.api.TIMEOUT', 0.2)
    async with walnats.Events(Event('created', str)).connect(server.url) as conn:
        await server.kill()
        with pytest.raises(JetStreamTimeoutError, match='connection to NATS is lost') as caught:
            await conn.register()
        assert isinstance(caught.value, TimeoutError)
        assert 'STREAM.INFO.created' in str(caught.value)


async def test_cancelled(server: walnats.EmbeddedServer) -> None:
    async with walnats.Events(Event('created', str)).connect(server.url) as conn:
        await server.kill()
        registering = asyncio.create_task(conn.register())
        await asyncio.sleep(0)
        registering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await registering
        await server.start()
        await conn.register()


@pytest.mark.parametrize('answer', [b'', b'nonsense', b'{"config": 1}', b'\xff', b'[]'])
async def test_answer_that_can_not_be_read(answer: bytes) -> None:
    async def respond(message: Any) -> None:
        await message.respond(answer)

    async with (
        walnats.EmbeddedServer(config=FAKED) as server,
        walnats.Events(Event('created', str)).connect(server.url) as conn,
    ):
        await conn.connection.nc.subscribe('fake', cb=respond)
        with pytest.raises(JetStreamError, match="can't be read") as caught:
            await conn.register()
        assert 'STREAM.INFO.created' in str(caught.value)


FAKED = 'mappings: { "$JS.API.STREAM.INFO.created": fake }'


async def test_after_the_context(server_url: str) -> None:
    async with walnats.Events(Event('created', str)).connect(server_url) as conn:
        pass
    with pytest.raises(ConnectionClosedError):
        await conn.register()
