"""`walnats emit`: one event from the shell, typed or as it is."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from walnats import EmbeddedServer

if TYPE_CHECKING:
    from nats.aio.client import Client
    from tests.acceptance.cli.commands import Commands

SHOP = """
from dataclasses import dataclass
import walnats
from walnats.serializers import DataclassSerializer, GZipSerializer, MessagePackSerializer
from google.protobuf.timestamp_pb2 import Timestamp

@dataclass(frozen=True)
class User:
    name: str
    age: int = 1

EVENTS = walnats.Events(
    walnats.Event('{event}', User, MessagePackSerializer(User)),
    walnats.Event('{event}-packed', User, GZipSerializer(User, DataclassSerializer(User))),
    walnats.Event('{event}-time', Timestamp),
)
"""
TYPED = '--events', 'shop:EVENTS'


@pytest.fixture
async def event(commands: Commands, unique: str, nc: Client) -> str:
    """An event whose stream keeps everything."""
    (commands.directory / 'shop.py').write_text(SHOP.replace('{event}', unique))
    await nc.jetstream().add_stream(name=unique, subjects=[unique])
    return unique


async def test_json_is_sent_as_it_was_written(commands: Commands, event: str, nc: Client) -> None:
    (commands.directory / 'message.json').write_bytes(b'{"a": 2}\n')
    before = time.time()
    first, again, piped, read = await asyncio.gather(
        commands.run('emit', event, '{"a": 1.0}', *('-H', 'x=y=z'), *('--trace-id', 'abc')),
        commands.run('emit', event, '3', '--delay', '1h'),
        commands.run('emit', event, '-', stdin=b'[]'),
        commands.run('emit', event, '@message.json'),
    )
    assert {each.code for each in (first, again, piped, read)} == {0}
    assert f"of stream '{event}'" in first.out
    found = [await nc.jetstream().get_msg(event, seq) for seq in (1, 2, 3, 4)]
    by_data = {msg.data: msg.headers or {} for msg in found}
    assert by_data.keys() == {b'{"a": 1.0}', b'3', b'[]', b'{"a": 2}\n'}
    assert by_data[b'{"a": 1.0}'].items() >= {'x': 'y=z', 'Walnats-Trace': 'abc'}.items()
    assert float(by_data[b'3']['Walnats-Delay']) >= before + 3600


async def test_what_is_not_json_needs_a_word(commands: Commands, event: str, nc: Client) -> None:
    refused, raw, duplicate = [
        await commands.run('emit', event, 'no json', *more)
        for more in ((), ('--raw', '--uid', 'one'), ('--raw', '--uid', 'one'))
    ]
    assert (refused.code, 'pass --raw' in refused.err) == (1, True)
    assert (raw.code, raw.err) == (0, '')
    assert (duplicate.code, duplicate.out) == (0, '')
    assert "warning: nothing is stored: a message with the uid 'one' was" in duplicate.err
    msg = await nc.jetstream().get_msg(event, 1)
    assert (msg.data, (await nc.jetstream().stream_info(event)).state.messages) == (b'no json', 1)


async def test_json_becomes_what_the_event_says(commands: Commands, event: str, nc: Client) -> None:
    packed, zipped, proto = f'{event}', f'{event}-packed', f'{event}-time'
    for name in (zipped, proto):
        await nc.jetstream().add_stream(name=name, subjects=[name])
    results = await asyncio.gather(
        commands.run('emit', packed, '{"age": 3, "name": "Ada"}', *TYPED),
        commands.run('emit', zipped, '{"name": "Ada"}', *TYPED),
        commands.run('emit', proto, '"1970-01-01T00:00:01Z"', *TYPED),
    )
    assert [(each.code, each.err) for each in results] == [(0, '')] * 3
    msg = await nc.jetstream().get_msg(packed, 1)
    assert msg.data == b'\x82\xa4name\xa3Ada\xa3age\x03'
    assert ((await nc.jetstream().get_msg(zipped, 1)).data or b'').startswith(b'\x1f\x8b')
    assert (await nc.jetstream().get_msg(proto, 1)).data == b'\x08\x01'


async def test_mistakes_are_told(commands: Commands, event: str, nc: Client) -> None:
    calls = {
        ('{"age": 1}', *TYPED): 'missing required field `name`',
        ('{}', '--events', 'shop:User'): 'not Events; of that kind there is EVENTS',
        ('{}', '--raw', *TYPED): 'choose one',
        ('{}', '-H', 'a=1', '-H', 'a=2'): 'twice',
        ('@nowhere.json',): 'No such file',
    }
    results = await asyncio.gather(*(commands.run('emit', event, *call) for call in calls))
    for (call, hint), result in zip(calls.items(), results, strict=True):
        assert (result.code, result.out, result.err.count('\n')) == (1, '', 1), call
        assert hint in result.err
    unknown = await commands.run('emit', 'other', '{}', *TYPED)
    assert f"'shop:EVENTS' has no event 'other'; there is {event}" in unknown.err
    assert (await nc.jetstream().stream_info(event)).state.messages == 0


USERS = """
authorization: {
  users: [
    { user: deployer, password: x }
    { user: publisher, password: x, permissions: { publish: [lonely], subscribe: ["_INBOX.>"] } }
  ]
}
"""


async def test_it_is_said_when_nobody_keeps_it(commands: Commands) -> None:
    (commands.directory / 'shop.py').write_text(
        "import walnats\nEVENTS = walnats.Events(walnats.Event('lonely', dict))\n"
    )
    async with EmbeddedServer(config=USERS) as server:
        deployer, publisher = (
            ('--server', server.url.replace('//', f'//{user}:x@'))
            for user in ('deployer', 'publisher')
        )
        without_stream = await commands.run('emit', 'lonely', '{}', *deployer)
        await commands.run('apply', 'shop:EVENTS', '--yes', *deployer)
        without_actor = await commands.run('emit', 'lonely', '{}', *deployer)
        may_not_ask = await commands.run('emit', 'lonely', '{}', *publisher)
        may_not_look = await commands.run('status', *publisher)
    assert (without_stream.code, 'there is no stream' in without_stream.err) == (1, True)
    assert (without_actor.code, without_actor.err) == (
        0,
        "warning: nobody keeps it: event 'lonely' has no actors; register them before\n",
    )
    assert (may_not_ask.code, may_not_ask.err) == (0, '')
    assert (may_not_look.code, may_not_look.err.count('\n')) == (1, 1)
    assert "error: '$JS.API.STREAM.LIST' " in may_not_look.err
