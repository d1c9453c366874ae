"""`walnats plan` and `walnats apply`: what `register` would change, no more and no less."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import walnats
from walnats import (
    DeadLetters,
    Discard,
    EmbeddedServer,
    Limits,
    Medium,
    Retention,
    Start,
    Storage,
)
from walnats.errors import ConsumerConfigError, StreamConfigError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from tests.acceptance.cli.commands import Commands

# Each change of one setting of an event: how it's declared, and what the server calls it.
EVENTS: list[tuple[dict[str, Any], set[str]]] = [
    ({'description': 'other'}, {'description'}),
    ({'limits': Limits(age=3600)}, {'max_age'}),
    ({'limits': Limits(age=60)}, {'max_age', 'duplicate_window'}),
    ({'limits': Limits(messages=7)}, {'max_msgs'}),
    ({'limits': Limits(bytes=7000)}, {'max_bytes'}),
    ({'limits': Limits(message_size=700)}, {'max_msg_size'}),
    ({'storage': Storage(retention=Retention.LIMITS)}, {'retention'}),
    ({'storage': Storage(discard=Discard.NEW)}, {'discard'}),
    ({'storage': Storage(compression=True)}, {'compression'}),
    ({'storage': Storage(dedup_window=3)}, {'duplicate_window'}),
    ({'storage': Storage(medium=Medium.MEMORY)}, {'storage'}),
]
ACTORS: list[tuple[dict[str, Any], set[str]]] = [
    ({'description': 'other'}, {'description'}),
    ({'ack_wait': 99}, {'ack_wait'}),
    ({'max_ack_pending': 9}, {'max_ack_pending'}),
    ({'start': Start.NEW}, {'deliver_policy'}),
    ({'start': datetime(2026, 1, 1, tzinfo=UTC)}, {'deliver_policy', 'opt_start_time'}),
    # Attempts and the rest are the worker's business: nothing of it is on the server.
    ({'max_attempts': 3, 'max_jobs': 2, 'job_timeout': 1}, set()),
]


@pytest.mark.parametrize(('change', 'keys'), EVENTS, ids=[str(i) for i in range(len(EVENTS))])
async def test_what_is_planned_for_an_event_is_what_register_does(
    change: dict[str, Any], keys: set[str], server_url: str, unique: str
) -> None:
    before = walnats.Event(unique, str, description='one')
    after = walnats.Event(unique, str, **{'description': 'one', **change})
    async with walnats.Events(before).connect(server_url) as conn:
        (created,) = await conn.plan()
        assert (created.stream, created.consumer, created.is_new) == (unique, None, True)
        await conn.register()
        assert await conn.plan() == []
    async with walnats.Events(after).connect(server_url) as conn:
        (planned,) = await conn.plan()
        assert {each.key for each in planned.differences} == keys
        assert not planned.is_new
        if planned.refused:
            with pytest.raises(StreamConfigError):
                await conn.register()
            return
        await conn.register()
        assert await conn.plan() == []


@pytest.mark.parametrize(('change', 'keys'), ACTORS, ids=[str(i) for i in range(len(ACTORS))])
async def test_what_is_planned_for_an_actor_is_what_register_does(
    change: dict[str, Any], keys: set[str], server_url: str, unique: str
) -> None:
    event = walnats.Event(unique, str)
    before = walnats.Actor('actor', event, print, description='one')
    after = walnats.Actor('actor', event, print, **{'description': 'one', **change})
    async with walnats.Actors(before, dead_letters=None).connect(server_url) as conn:
        stream, consumer = await conn.plan()
        assert (stream.consumer, consumer.consumer) == (None, 'actor')
        assert stream.is_new
        assert consumer.is_new
        await conn.register()
        assert await conn.plan() == []
    async with walnats.Actors(after, dead_letters=None).connect(server_url) as conn:
        planned = await conn.plan()
        assert {each.key for change in planned for each in change.differences} == keys
        if planned and planned[0].refused:
            with pytest.raises(ConsumerConfigError):
                await conn.register()
            return
        await conn.register()
        assert await conn.plan() == []


declarations: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    description=st.sampled_from([None, 'a', 'ü']),
    limits=st.builds(
        Limits,
        age=st.none() | st.floats(0.1, 10**6),
        messages=st.none() | st.integers(1, 10**9),
        bytes=st.none() | st.integers(1, 10**9),
        message_size=st.none() | st.integers(1, 10**6),
    ),
    storage=st.builds(
        Storage,
        retention=st.sampled_from(Retention),
        discard=st.sampled_from(Discard),
        compression=st.booleans(),
        dedup_window=st.floats(0.1, 10**6),
    ),
)


@given(before=declarations, after=declarations)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_once_registered_nothing_is_planned_whatever_it_was(
    before: dict[str, Any], after: dict[str, Any], server_url: str, unique: str
) -> None:
    async def register_both() -> None:
        for declared in (before, after):
            event = walnats.Event(unique, str, **declared)
            async with walnats.Events(event).connect(server_url) as conn:
                await conn.register()
                # A description that is no longer declared stays: it may be somebody else's.
                assert await conn.plan() == []

    asyncio.run(register_both())


async def test_actors_plan_no_change_of_what_is_not_theirs(
    own_server: EmbeddedServer,
) -> None:
    declared = walnats.Event('ours', str)
    other = walnats.Event('ours', str, limits=Limits(age=60))
    letters = DeadLetters(limits=Limits(age=60))
    async with walnats.Events(other).connect(own_server.url) as conn:
        await conn.register()
        async with walnats.Actors(
            walnats.Actor('actor', declared, print), dead_letters=letters
        ).connect(conn) as worker:
            planned = [(each.stream, each.consumer) for each in await worker.plan()]
            assert planned == [('walnats-dead', None), ('ours', 'actor')]
            await worker.register()
            assert await worker.plan() == []
        assert await conn.plan() == []


async def test_what_belongs_to_something_else_is_refused(
    server_url: str, unique: str, nc: Client
) -> None:
    await nc.jetstream().add_stream(name=unique, subjects=[f'{unique}.other'])
    await nc.jetstream().add_stream(name=f'{unique}-pushed', subjects=[f'{unique}-pushed'])
    await nc.jetstream().subscribe(f'{unique}-pushed', durable='actor')
    pushed = walnats.Event(f'{unique}-pushed', str)
    queue = walnats.Event(f'{unique}-queue', str)
    await nc.jetstream().add_stream(
        name=queue.stream_name, subjects=[queue.name], retention='workqueue'
    )
    async with walnats.Events(walnats.Event(unique, str)).connect(server_url) as conn:
        (taken,) = await conn.plan()
        assert 'it belongs to something else' in (taken.refused or '')
        async with walnats.Events(queue).connect(conn) as queued:
            (change,) = await queued.plan()
            assert 'storage.retention' in (change.refused or '')
            with pytest.raises(StreamConfigError):
                await queued.register()
        actors = walnats.Actors(walnats.Actor('actor', pushed, print), dead_letters=None)
        async with actors.connect(conn) as worker:
            (change,) = await worker.plan()
            assert 'pushes messages' in (change.refused or '')


SHOP = """
import walnats

ORDER = walnats.Event('order.placed', str)
EVENTS = walnats.Events(ORDER)
ACTORS = walnats.Actors(walnats.Actor('ship', ORDER, print), walnats.Actor('bill', ORDER, print))
"""
LATER = """
import walnats

ORDER = walnats.Event('order.placed', str, limits=walnats.Limits(age=3600))
EVENTS = walnats.Events(ORDER)
ACTORS = walnats.Actors(walnats.Actor('ship', ORDER, print, max_ack_pending=7))
FIXED = walnats.Actors(walnats.Actor('bill', ORDER, print, start=walnats.Start.NEW))
OTHER = walnats.Events(walnats.Event('order.placed', str))
"""
TARGETS = 'shop:ACTORS', 'shop:EVENTS'


async def test_a_deployment_is_planned_and_applied(own_commands: Commands) -> None:
    shop = own_commands.directory / 'shop.py'
    shop.write_text(SHOP)
    first = await own_commands.run('plan', *TARGETS)
    assert (first.code, first.err) == (2, '')
    assert first.out.splitlines() == [
        "+ stream 'order-placed'",
        "+ stream 'walnats-dead'",
        "+ consumer 'ship' of stream 'order-placed'",
        "+ consumer 'bill' of stream 'order-placed'",
    ]
    unasked = await own_commands.run('apply', *TARGETS)
    assert (unasked.code, unasked.out) == (1, first.out)
    async with own_commands.terminal('apply', *TARGETS) as terminal:
        await terminal.expect('Apply 4 changes? [y/N]: ')
        terminal.type('y\n')
        assert await terminal.wait() == 0
    assert '\x1b[32m+ stream' in terminal.raw
    same = await own_commands.run('plan', *TARGETS)
    assert (same.code, same.out, same.err) == (0, 'nothing would change\n', '')

    shop.write_text(LATER)
    later, as_json, fixed, refused, torn, wrong = await asyncio.gather(
        own_commands.run('plan', *TARGETS),
        own_commands.run('plan', *TARGETS, '--json'),
        own_commands.run('plan', 'shop:FIXED'),
        own_commands.run('apply', 'shop:FIXED', 'shop:EVENTS', '--yes'),
        own_commands.run('plan', 'shop:EVENTS', 'shop:OTHER'),
        own_commands.run('plan', 'shop:ORDER'),
    )
    assert (later.code, later.err) == (2, '')
    assert later.out.splitlines() == [
        "~ stream 'order-placed'",
        '    limits.age: no limit → 3600 s',
        "~ consumer 'ship' of stream 'order-placed'",
        '    max_ack_pending: 1000 → 7',
        "  consumer 'bill' of stream 'order-placed' is not declared by these",
    ]
    assert as_json.code == 2
    assert as_json.json['undeclared'] == [{'stream': 'order-placed', 'consumer': 'bill'}]
    assert [each['differences'] for each in as_json.json['changes']] == [
        [{'setting': 'max_age', 'old': 0, 'new': 3600 * 10**9}],
        [{'setting': 'max_ack_pending', 'old': 1000, 'new': 7}],
    ]
    assert fixed.code == 2
    assert fixed.out.startswith(
        "! consumer 'bill' of stream 'order-placed'\n    start: 'all' → 'new'"
    )
    assert (refused.code, 'nothing is changed' in refused.err) == (1, True)
    assert (torn.code, "declare stream 'order-placed' in two ways" in torn.err) == (1, True)
    assert (wrong.code, 'not Actors, nor Events' in wrong.err) == (1, True)
    assert (await own_commands.run('plan', *TARGETS)).out == later.out
    applied = await own_commands.run('apply', *TARGETS, '--yes')
    assert (applied.code, applied.out) == (0, f'{later.out}applied\n')
    assert (await own_commands.run('plan', *TARGETS)).code == 0
