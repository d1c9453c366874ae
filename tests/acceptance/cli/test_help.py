"""What all commands have in common: help, completion, errors in one line."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from walnats.cli._reference import reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.acceptance.cli.commands import Commands, Result

SECRET = 'hush-4b1d'
UNREACHABLE = f'nats://me:{SECRET}@127.0.0.1:1'
SHOP = """
import walnats

CREATED = walnats.Event('user-created', dict)
EVENTS = walnats.Events(CREATED)
ACTORS = walnats.Actors(walnats.Actor('send-email', CREATED, print))
SERVICES = walnats.Services().add('users', emits=EVENTS)
"""
# Each command that needs no server, and a call of each one that does.
LOCAL = {'describe', 'lint', 'server'}
CALLS = {
    'actors remove': ('user-created', 'send-email', '--yes'),
    'apply': ('shop:EVENTS', '--yes'),
    'dead discard': ('--all', '--yes'),
    'dead list': (),
    'dead replay': ('17-3fa', '--yes'),
    'dead show': ('17-3fa',),
    'emit': ('user-created', '{}'),
    'monitor': (),
    'plan': ('shop:ACTORS',),
    'run': ('shop:ACTORS', '--burst'),
    'status': (),
}


@pytest.fixture(autouse=True)
def shop(commands: Commands) -> None:
    (commands.directory / 'shop.py').write_text(SHOP)


async def complete(commands: Commands, *words: str) -> set[str]:
    """Give what the shell would offer in place of the last of these words."""
    result = await commands.run(
        _WALNATS_COMPLETE='complete_bash',
        COMP_WORDS=' '.join(['walnats', *words]),
        COMP_CWORD=str(len(words)),
    )
    return set(result.out.split())


async def run_each(
    commands: Commands, calls: Iterable[tuple[str, ...]], *, at_once: int = 3
) -> list[Result]:
    free = asyncio.Semaphore(at_once)

    async def run(call: tuple[str, ...]) -> Result:
        async with free:
            return await commands.run(*call)

    return await asyncio.gather(*map(run, calls))


async def test_the_shell_completes_what_there_is(commands: Commands) -> None:
    names, dead, actors, options = await asyncio.gather(
        complete(commands, ''),
        complete(commands, 'dead', ''),
        complete(commands, 'actors', ''),
        complete(commands, 'status', '--'),
    )
    groups = {'dead': dead, 'actors': actors}
    inner = {f'{group} {each}' for group in groups for each in groups[group]}
    assert names - groups.keys() | inner == CALLS.keys() | LOCAL
    assert options >= {'--watch', '--json', '--server'}


def test_the_reference_has_each_command_with_its_example_at_the_end() -> None:
    _, *parts = re.split(r'^### `walnats (.+)`$', reference(), flags=re.MULTILINE)
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    assert texts.keys() == CALLS.keys() | LOCAL
    for name, text in texts.items():
        about, usage, options = re.split('^```(?:text)?$', text, flags=re.MULTILINE)
        example = about.strip().splitlines()[-1]
        assert re.fullmatch(rf'(\*\*)?Example:(\*\*)? `walnats {name}( .+)?`', example)
        assert usage.strip().startswith(f'walnats {name} [OPTIONS]')
        assert '--server' not in options  # they are told once, for all of them
    assert r'<text\|json>' in texts['run']


async def test_help_tells_how_to_connect(commands: Commands) -> None:
    calls = [(*name.split(), '--help') for name in ('dead list', 'describe')]
    for call, result in zip(calls, await run_each(commands, calls), strict=True):
        assert (result.code, result.err) == (0, '')
        assert 'Example: walnats ' in result.out
        for option in ('--server', '$NATS_SERVER', '--creds', '--tlsca', '--tlscert', '--tlskey'):
            assert (option in result.out) == (call[0] not in LOCAL)
        assert '\x1b' not in result.out


async def test_an_unreachable_server_is_an_error_in_one_line(commands: Commands) -> None:
    calls = [(*name.split(), *CALLS[name], '--server', UNREACHABLE) for name in CALLS]
    results = await run_each(commands, calls, at_once=len(calls))  # each one waits
    for name, result in zip(CALLS, results, strict=True):
        *logged, error = result.err.splitlines()
        assert result.code == 1, name
        assert not logged or name == 'run'
        assert 'error: no connection to nats://127.0.0.1:1' in error, name
        assert SECRET not in result.out + result.err


async def test_wrong_usage_is_told_in_one_line_with_a_hint(commands: Commands) -> None:
    results = await run_each(
        commands,
        [
            ('emti',),
            ('emit', 'user-created', '{}', '--delay', 'soon'),
            ('run', 'shop:ACTORS', '--grace', 'inf'),
            ('run', 'shop:ACTORS', '--server', ''),
            ('plan', '--no-such-option'),
            ('status', '--server', f'nats://me:{SECRET}@host:port'),
            ('status', '--tlskey', 'shop.py'),
        ],
    )
    for result, code, hint in zip(
        results,
        (2, 2, 2, 1, 1, 1, 1),
        (
            'walnats --help',
            'write one such as 30s',
            'less than or equal to 9223372036',
            'no server URL given',
            'walnats plan --help',
            'expected nats://host:port',
            '--tlscert',
        ),
        strict=True,
    ):
        assert result.code == code, result
        assert result.err.startswith('error: ')
        assert result.err.count('\n') == 1
        assert hint in result.err
        assert SECRET not in result.err


async def test_colours_and_borders_are_for_terminals(own_commands: Commands) -> None:
    await own_commands.run('apply', 'shop:EVENTS', '--yes')
    async with own_commands.terminal('status') as coloured:
        assert await coloured.wait() == 0
    async with own_commands.terminal('status', NO_COLOR='1') as plain:
        assert await plain.wait() == 0
    piped = await own_commands.run('status')
    assert '┃' in coloured.text
    assert '\x1b[33m' in coloured.raw
    assert '┃' in plain.text
    assert '\x1b[33m' not in plain.raw
    assert 'user-created  user-created' in piped.out
    assert piped.out.isascii()
    assert '\x1b' not in piped.out
