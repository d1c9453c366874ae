"""What the documentation says that a NATS user needs for a command is enough for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import walnats
from walnats import EmbeddedServer, GiveUp

if TYPE_CHECKING:
    from tests.acceptance.cli.commands import Commands

PAGE = Path(__file__).parents[3] / 'docs/command-line.md'
ROW = re.compile(r'^\| `([a-z ]+)(?: EVENT)?` \| (.*) \|$', re.MULTILINE)
ORDER = walnats.Event('order.placed', int)
SHOP = """
import walnats

ORDER = walnats.Event('order.placed', int)
ACTORS = walnats.Actors(walnats.Actor('ship', ORDER, print))
"""
# In an order in which each finds what it needs.
CALLS = {
    'status': ('--json',),
    'plan': ('shop:ACTORS',),
    'emit': ('order.placed', '3'),
    'dead list': ('--json',),
    'dead replay': ('--reason', 'first', '--yes'),
    'dead discard': ('--reason', 'second', '--yes'),
    'actors remove': ('order.placed', 'ship', '--yes'),
}


def read_permissions() -> dict[str, list[str]]:
    """Give the subjects that each command publishes to, as the page has them."""
    page = PAGE.read_text(encoding='utf-8').partition('## Permissions')[2]
    needed: dict[str, list[str]] = {}
    for name, text in ROW.findall(page):
        subjects = [each.replace('EVENT', ORDER.name) for each in re.findall('`pub ([^`]+)`', text)]
        more = needed['dead list'] if 'that of `dead list`' in text else []
        needed[name] = [*more, *subjects]
    return needed


async def die(number: int) -> None:
    raise GiveUp('first' if number == 1 else 'second')


async def test_what_is_documented_is_enough(commands: Commands) -> None:
    needed = read_permissions()
    assert CALLS.keys() | {'monitor', 'apply'} == needed.keys()
    users = [
        f'{{ user: {name.replace(" ", "-")}, password: x, permissions: '
        f'{{ publish: {json.dumps(needed[name])}, subscribe: ["_INBOX_me.>"] }} }}'
        for name in CALLS
    ]
    config = f'authorization {{ users: [{{ user: root, password: x }}, {", ".join(users)}] }}'
    (commands.directory / 'shop.py').write_text(SHOP)
    async with EmbeddedServer(config=config) as server:
        async with (
            walnats.Actors(walnats.Actor('ship', ORDER, die)).connect(
                server.url, user='root', password='x'
            ) as worker,
            walnats.Events(ORDER).connect(worker) as events,
        ):
            await worker.register()
            await events.emit_many(ORDER, [1, 2])
            await worker.listen(burst=True, poll_delay=0.2)
        for name, arguments in CALLS.items():
            prefix = '--inbox-prefix', '_INBOX_me'
            url = server.url.replace('//', f'//{name.replace(" ", "-")}:x@')
            result = await commands.run(*name.split(), *arguments, *prefix, '--server', url)
            assert (result.code, result.err.partition(' ')[0]) in {(0, ''), (0, 'removed')}, name
