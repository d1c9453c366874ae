"""`walnats dead`: what actors gave up on, seen and mended without their code."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest_asyncio

import walnats
from walnats import EmbeddedServer, GiveUp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.acceptance.cli.commands import Commands

    from walnats.types import ConnectedActors, ConnectedEvents

ORDER = walnats.Event('order.placed', dict)
PHOTO = walnats.Event('photo-taken', bytes)


def ship(order: dict[str, str]) -> None:
    raise GiveUp(f'no route to [red]{order["to"]}')


def shrink(_: bytes) -> None:
    raise GiveUp('no photo')


ACTORS = walnats.Actors(
    walnats.Actor('ship', ORDER, ship),
    walnats.Actor('bill', ORDER, print),
    walnats.Actor('shrink', PHOTO, shrink),
)


class Shop:
    """A server on which three orders, and one photo, have died."""

    def __init__(self, worker: ConnectedActors, events: ConnectedEvents) -> None:
        self._worker = worker
        self.events = events

    async def work(self) -> None:
        await self._worker.listen(burst=True, poll_delay=0.2)

    async def reasons(self) -> list[str]:
        return [letter.reason async for letter in self._worker.dead_letters()]

    async def unregister(self, actor: str) -> None:
        await self._worker.unregister(actor)


@pytest_asyncio.fixture
async def shop(own_server: EmbeddedServer) -> AsyncIterator[Shop]:
    async with (
        ACTORS.connect(own_server.url) as worker,
        walnats.Events(ORDER, PHOTO).connect(worker) as events,
    ):
        await worker.register()
        for place in ('Rome', 'Oslo', 'Bern'):
            await events.emit(ORDER, {'to': place}, meta={'X': 'y'}, sync=True)
        await events.emit(PHOTO, b'\x89PNG\x1b[2J', sync=True)
        shop = Shop(worker, events)
        await shop.work()
        yield shop


async def ids(commands: Commands, *options: str) -> list[str]:
    found = (await commands.run('dead', 'list', '--json', *options)).json
    return [letter['id'] for letter in found]


async def test_they_are_listed_and_told_apart(own_commands: Commands, shop: Shop) -> None:
    plain = await own_commands.run('dead', 'list')
    head, *rows = plain.out.splitlines()
    assert head.split() == ['ID', 'EVENT', 'ACTOR', 'ATTEMPTS', 'DIED', 'REASON']
    assert sorted(row.split('ago  ')[1] for row in rows) == [
        'no photo',
        'no route to [red]Bern',
        'no route to [red]Oslo',
        'no route to [red]Rome',
    ]
    assert all(re.match(r'\d-[0-9a-f]{3}  \S', row) for row in rows)
    orders, oslo, nothing = await asyncio.gather(
        ids(own_commands, '--event', 'order.placed', '--actor', 'ship', '--newer', '1h'),
        ids(own_commands, '--reason', 'ROUTE*[red]oslo'),
        own_commands.run('dead', 'list', '--actor', 'bill'),
    )
    assert (len(orders), len(oslo), set(oslo) - set(orders)) == (3, 1, set())
    assert (nothing.code, nothing.out) == (0, '')
    assert nothing.err == 'there are no such dead letters\n'


async def test_one_is_shown_with_its_payload(own_commands: Commands, shop: Shop) -> None:
    (oslo,) = await ids(own_commands, '--reason', 'oslo')
    (photo,) = await ids(own_commands, '--event', 'photo-taken')
    plain, as_hex, as_json, binary, payload = await asyncio.gather(
        own_commands.run('dead', 'show', oslo),
        own_commands.run('dead', 'show', oslo, '--hex'),
        own_commands.run('dead', 'show', oslo, '--json'),
        own_commands.run('dead', 'show', photo),
        own_commands.run('dead', 'show', oslo, '--payload'),
    )
    assert 'reason      no route to [red]Oslo\n' in plain.out
    assert 'header      X: y\n' in plain.out
    assert plain.out.endswith('\n\n{\n  "to": "Oslo"\n}\n')
    assert as_hex.out.endswith('7b 22 74 6f 22 3a 22 4f 73 6c 6f 22 7d           {"to":"Oslo"}\n')
    found = as_json.json
    assert (found['id'], found['event'], found['actor']) == (oslo, 'order.placed', 'ship')
    assert (found['attempts'], found['exception']) == (1, 'GiveUp')
    assert (found['headers'], found['payload']) == ({'X': 'y'}, {'to': 'Oslo'})
    assert '00000000  89 50 4e 47 1b 5b 32 4a ' in binary.out
    assert payload.out == '{"to":"Oslo"}'


async def test_an_id_that_is_not_right_touches_nothing(own_commands: Commands, shop: Shop) -> None:
    first, *_ = await ids(own_commands)
    wrong = first[:-1] + ('0' if first[-1] != '0' else '1')  # a slip of the finger
    results = await asyncio.gather(
        own_commands.run('dead', 'show', wrong),
        own_commands.run('dead', 'discard', first, wrong, '--yes'),
        own_commands.run('dead', 'discard', first, '--event', 'order.placed', '--yes'),
        own_commands.run('dead', 'discard', '--yes'),
        own_commands.run('dead', 'discard', '--reason', 'no such', '--yes'),
        own_commands.run('dead', 'discard', '--reason', '', '--yes'),  # of a variable not set
        own_commands.run('dead', 'discard', '--all'),
    )
    hints = (
        *(f"no dead letter '{wrong}'", f"no dead letter '{wrong}'"),
        *('give either ids, or', 'nothing is selected', 'there are no such dead letters'),
        '--reason is empty',
        "nobody is here to answer 'Discard 4 dead letters?': pass --yes",
    )
    for result, hint in zip(results, hints, strict=True):
        assert (result.code, result.out, result.err.count('\n')) == (1, '', 1), result
        assert hint in result.err
    assert len(await ids(own_commands)) == 4


async def test_what_was_chosen_is_delivered_again(own_commands: Commands, shop: Shop) -> None:
    select = '--event', 'order.placed', '--newer', '1h'
    dry = await own_commands.run('dead', 'replay', *select, '--dry-run')
    assert (dry.code, dry.out.count('no route')) == (0, 3)
    assert len(await shop.reasons()) == 4
    (oslo,) = await ids(own_commands, '--reason', 'oslo')
    one = await own_commands.run('dead', 'replay', oslo, '--yes')
    assert (one.code, one.out, one.err) == (0, 'replayed 1 of 1 dead letters\n', '')
    assert 'no route to [red]Oslo' not in await shop.reasons()
    await shop.work()  # it dies once more
    assert 'no route to [red]Oslo' in await shop.reasons()
    many = await own_commands.run('dead', 'replay', *select, '--yes', '--json')
    assert (many.code, len(many.json['replayed']), many.json['failed']) == (0, 3, {})
    assert await shop.reasons() == ['no photo']


async def test_what_fails_is_told_and_the_rest_goes_on(own_commands: Commands, shop: Shop) -> None:
    await shop.unregister('shrink')
    await shop.events.emit(ORDER, {'to': 'Kyiv'}, sync=True)
    async with walnats.Actors(walnats.Actor('ship', ORDER, ship)).connect(shop.events) as worker:
        await worker.listen(burst=True, poll_delay=0.2)
    (photo,) = await ids(own_commands, '--event', 'photo-taken')
    result = await own_commands.run('dead', 'replay', '--all', '--yes')
    assert (result.code, result.out) == (1, 'replayed 4 of 5 dead letters\n')
    assert result.err.startswith(f'error: {photo}: a replay would be lost: ')
    assert result.err.count('\n') == 1
    assert await ids(own_commands) == [photo]


async def test_in_a_terminal_one_is_asked(own_commands: Commands, shop: Shop) -> None:
    async with own_commands.terminal('dead', 'list') as listing:
        assert await listing.wait() == 0
    assert '┃ event        ┃' in listing.text
    assert '│ no route to [red]Oslo │' in listing.text
    discard = 'dead', 'discard', '--actor', 'ship'
    async with own_commands.terminal(*discard) as refusing:
        await refusing.expect('Discard 3 dead letters? [y/N]: ')
        refusing.type('n\n')
        assert await refusing.wait() == 1
    assert 'error: aborted' in refusing.text
    assert len(await shop.reasons()) == 4
    async with own_commands.terminal(*discard) as agreeing:
        await agreeing.expect('[y/N]: ')
        agreeing.type('y\n')
        assert await agreeing.wait() == 0
    assert '100%' in agreeing.text
    assert 'discarded 3 of 3 dead letters' in agreeing.text
    assert await shop.reasons() == ['no photo']
