"""`walnats status`: what is in the streams, and who works on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from typing import TYPE_CHECKING, Any

import nats
import pytest

import walnats
from walnats import EmbeddedServer, GiveUp, Medium, Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.acceptance.cli.commands import Commands

MEMORY = Storage(medium=Medium.MEMORY)
ORDER = walnats.Event('order.placed', int, storage=MEMORY)
LONELY = walnats.Event('lonely', int, storage=MEMORY)


async def handle(number: int) -> None:
    if number == 1:
        raise GiveUp('no such order')
    await asyncio.Event().wait()


ACTORS = walnats.Actors(
    walnats.Actor('ship', ORDER, handle), walnats.Actor('idle', ORDER, print, ack_wait=20)
)


@pytest.fixture
async def busy(own_server: EmbeddedServer) -> AsyncIterator[None]:
    """One dead letter, one message in flight, one more that is for nobody yet."""
    async with (
        ACTORS.connect(own_server.url) as conn,
        walnats.Events(ORDER, LONELY).connect(conn) as events,
    ):
        await conn.register()
        await events.register()
        await conn.connection.nc.jetstream().add_stream(name='foreign', subjects=['foreign'])
        await events.emit_many(ORDER, [1, 2])
        ship = walnats.Actors(walnats.Actor('ship', ORDER, handle))
        async with ship.connect(conn) as worker:
            listening = asyncio.create_task(worker.listen())
            letters = [letter async for letter in conn.dead_letters()]
            while not letters:
                await asyncio.sleep(0.01)
                letters = [letter async for letter in conn.dead_letters()]
            try:
                yield
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening


async def test_it_tells_what_is_kept_and_who_works_on_it(
    own_commands: Commands, busy: None
) -> None:
    plain, found, everything = await asyncio.gather(
        own_commands.run('status'),
        own_commands.run('status', '--json', '--orphan-after', '0s'),
        own_commands.run('status', '--json', '--all'),
    )
    assert (plain.code, plain.err) == (0, '')
    rows = [line.split() for line in plain.out.splitlines()]
    assert rows[:2] == [
        ['EVENT', 'STREAM', 'MESSAGES', 'SIZE', 'OLDEST', 'ACTORS', 'NOTE'],
        ['lonely', 'lonely', '0', '0', 'B', '0', 'no', 'actors:', 'nothing', 'is', 'kept'],
    ]
    assert rows[2][:3] == ['order.placed', 'order-placed', '2']
    assert [stream['stream'] for stream in found.json['streams']] == [
        'lonely',
        'order-placed',
        'walnats-dead',
    ]
    assert 'foreign' in {stream['stream'] for stream in everything.json['streams']}
    idle, ship = found.json['consumers']
    assert 0 < idle.pop('idle_seconds') < 60
    assert idle == {
        'stream': 'order-placed',
        'event': 'order.placed',
        'actor': 'idle',
        'pending': 2,
        'in_flight': 0,
        'redelivered': 0,
        'waiting_pulls': 0,
        'dead_letters': 0,
        'is_orphan': True,
    }
    assert (ship['in_flight'], ship['pending'], ship['dead_letters']) == (1, 0, 1)
    assert ship['waiting_pulls'] >= 1
    assert not ship['is_orphan']
    assert not any(each['is_orphan'] for each in everything.json['consumers'])


async def test_lists_of_more_than_one_page_are_read_to_the_end(
    own_commands: Commands, own_server: EmbeddedServer
) -> None:
    count = 300  # a page has 256
    async with await nats.connect(own_server.url) as nc:

        async def call(method: str, **body: Any) -> None:
            answer = await nc.request(f'$JS.API.{method}', json.dumps(body).encode(), 10)
            assert b'error' not in answer.data

        def stream(name: str) -> dict[str, Any]:
            subjects = [name, f'walnats.to.{name}.*']
            return {'name': name, 'subjects': subjects, 'storage': 'memory'}

        names = [f's{number:03}' for number in range(count)]
        for name in names:
            await call(f'STREAM.CREATE.{name}', **stream(name))
        for name in names:
            config = {'name': name, 'durable_name': name, 'ack_policy': 'explicit'}
            await call(f'CONSUMER.CREATE.s000.{name}', stream_name='s000', config=config)
    found = (await own_commands.run('status', '--json')).json
    assert [each['stream'] for each in found['streams']] == names
    assert [each['actor'] for each in found['consumers']] == names


async def test_nothing_there_is_said(own_commands: Commands) -> None:
    result = await own_commands.run('status')
    assert (result.code, result.out) == (0, '')
    assert result.err == 'There are no events here: nobody has called `register`.\n'


async def test_it_can_be_watched(own_commands: Commands, own_server: EmbeddedServer) -> None:
    arguments = 'status', '--watch', '--interval', '100ms'
    url = own_server.url.replace('//', '//somebody:hush@')
    async with (
        own_commands.terminal(*arguments, '--server', url) as terminal,
        own_commands.start(*arguments, '--json') as piped,
        walnats.Events(LONELY).connect(own_server.url) as conn,
    ):
        assert piped.stdout is not None
        assert json.loads(await piped.stdout.readline())['streams'] == []
        await conn.register()
        await terminal.expect('no actors: nothing is kept')
        while not json.loads(await piped.stdout.readline())['streams']:
            pass
        terminal.type('\x03')
        assert await terminal.wait() == 0
        piped.send_signal(signal.SIGTERM)
        _, err = await piped.communicate()
        assert (piped.returncode, err) == (0, b'')
    assert own_server.url in terminal.text
    assert 'hush' not in terminal.text


async def test_watching_goes_on_after_an_outage(
    own_commands: Commands, own_server: EmbeddedServer
) -> None:
    async with own_commands.start('status', '--watch', '--interval', '100ms', '--json') as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        await watch.stdout.readline()
        await own_server.kill()
        while not (await watch.stderr.readline()).startswith(b'warning: no answer'):
            pass
        await own_server.start()
        async with walnats.Events(LONELY).connect(own_server.url) as conn:
            await conn.register()
        while not json.loads(await watch.stdout.readline())['streams']:
            pass
        watch.send_signal(signal.SIGTERM)
        await watch.communicate()
        assert watch.returncode == 0
