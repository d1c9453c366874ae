"""`walnats monitor`: what is emitted, as it is emitted."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import walnats
from walnats import EmbeddedServer

if TYPE_CHECKING:
    from nats.aio.client import Client
    from tests.acceptance.cli.commands import Commands

SHOP = """
from dataclasses import dataclass
import walnats

@dataclass(frozen=True)
class User:
    name: str

EVENTS = walnats.Events(walnats.Event('{event}', User), walnats.Event('{event}.quiet', User))
"""


async def watching(process: asyncio.subprocess.Process) -> str:
    """Wait until it watches, and give what it says that it does."""
    assert process.stderr is not None
    async with asyncio.timeout(20):
        return (await process.stderr.readline()).decode().strip()


async def next_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        line: dict[str, Any] = json.loads(await process.stdout.readline())
        return line


async def test_piped_it_gives_each_message_as_a_line_of_json(
    commands: Commands, unique: str, nc: Client
) -> None:
    # What both take is shown once.
    patterns = f'{unique}.*', '*.created', f'{unique}.created'
    async with commands.start('monitor', *patterns, '--count', '3') as process:
        assert await watching(process) == f'watching {", ".join(patterns)}'
        await nc.publish(f'{unique}.created', b'{\n"name": "Ada"}', headers={'X': 'y'})
        await nc.publish(f'{unique}.other', b'\xff\x00')
        await nc.publish(f'{unique}', b'not this')
        await nc.publish(f'{unique}.last', b'"\xc3\xa9\xc2\x9b"')
        out, err = await process.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    times = [line.pop('time') for line in lines]
    assert times == sorted(times)
    assert lines == [
        {'event': f'{unique}.created', 'headers': {'X': 'y'}, 'payload': {'name': 'Ada'}},
        {'event': f'{unique}.other', 'headers': {}, 'payload_hex': 'ff00'},
        {'event': f'{unique}.last', 'headers': {}, 'payload': 'é\x9b'},
    ]
    assert (process.returncode, err) == (0, b'')


async def test_messages_of_known_events_are_decoded(
    commands: Commands, unique: str, nc: Client
) -> None:
    (commands.directory / 'shop.py').write_text(SHOP.replace('{event}', unique))
    async with commands.start('monitor', '--events', 'shop:EVENTS') as process:
        assert await watching(process) == f'watching {unique}, {unique}.quiet'
        await nc.publish(unique, b'{"name": "Ada"}')
        assert (await next_line(process))['message'] == "User(name='Ada')"
        await nc.publish(unique, b'{}')
        line = await next_line(process)
        assert 'missing required field `name`' in line['error']
        assert line['payload'] == {}
        process.send_signal(signal.SIGINT)
        assert (await process.communicate(), process.returncode) == ((b'', b''), 0)


async def test_all_registered_events_are_watched_those_too_that_come_later(
    own_commands: Commands, own_server: EmbeddedServer
) -> None:
    early, late = walnats.Event('early.one', str), walnats.Event('late', str)
    async with walnats.Events(early, late).connect(own_server.url) as conn:
        async with walnats.Events(early).connect(conn) as only_early:
            await only_early.register()
        async with own_commands.start('monitor') as process:
            assert await watching(process) == 'watching early.one'
            await conn.emit(early, 'a')
            assert (await next_line(process))['event'] == 'early.one'
            await conn.register()
            seen = asyncio.create_task(next_line(process))
            while not seen.done():  # the monitor learns of it a moment later
                await conn.emit(late, 'b')
                await asyncio.wait({seen}, timeout=0.05)
            assert (await seen)['payload'] == 'b'


async def test_in_a_terminal_it_is_made_for_people(
    commands: Commands, unique: str, nc: Client
) -> None:
    (commands.directory / 'shop.py').write_text(SHOP.replace('{event}', unique))
    arguments = 'monitor', f'{unique}', f'{unique}.raw', '--events', 'shop:EVENTS'
    async with commands.terminal(*arguments) as terminal:
        await terminal.expect('watching')
        await nc.publish(unique, b'{"name": "[red]Ada"}', headers={'X': 'y'})
        await terminal.expect("  User(name='[red]Ada')")
        await nc.publish(f'{unique}.raw', b'{"a":[1]}')
        await terminal.expect('  {\r\n    "a": [\r\n      1\r\n    ]\r\n  }\r\n')
        await nc.publish(f'{unique}.raw', b'\x1b[2J')
        await terminal.expect('  00000000  1b 5b 32 4a')
        terminal.type('\x03')
        assert await terminal.wait() == 0
    assert '  X: y\r\n' in terminal.text
    assert f'\x1b[1;36m{unique}\x1b[0m' in terminal.raw
    assert '\x1b[2J' not in terminal.raw


async def test_what_can_be_no_subject_is_an_error(commands: Commands) -> None:
    wrong = 'a..b', 'a b', '\udcff'  # the last one is a byte that is no UTF-8
    for result in await asyncio.gather(*(commands.run('monitor', each) for each in wrong)):
        assert (result.code, result.out, result.err.count('\n')) == (1, '', 1)
        assert 'is no event, nor events with wildcards' in result.err


USERS = """
authorization: {
  users: [{ user: me, password: x, permissions: { subscribe: { deny: [secret] } } }]
}
"""


async def test_what_may_not_be_watched_is_an_error(commands: Commands) -> None:
    async with EmbeddedServer(config=USERS) as server:
        url = server.url.replace('//', '//me:x@')
        result = await commands.run('monitor', 'secret', '--server', url)
    assert (result.code, result.out) == (1, '')
    assert "error: can't watch: permissions violation" in result.err.lower()
