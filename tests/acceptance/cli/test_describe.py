"""`walnats describe`: documents and diagrams of services."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from tests.acceptance.cli.commands import Commands

SHOP = """
import walnats

CREATED = walnats.Event('user-created', dict)
EVENTS = walnats.Events(CREATED)
SERVICES = walnats.Services().add('users', emits=EVENTS)
"""


async def test_services_are_described_in_each_format(commands: Commands) -> None:
    (commands.directory / 'shop.py').write_text(SHOP)
    describe = 'describe', 'shop:SERVICES'
    as_json, as_yaml, d2, mermaid, wrong, unwritten = await asyncio.gather(
        commands.run(*describe),
        commands.run(*describe, '--format', 'yaml', '--output', 'shop.yaml'),
        commands.run(*describe, '--format', 'd2'),
        commands.run(*describe, '--format', 'mermaid'),
        commands.run('describe', 'shop:EVENTS'),
        commands.run(*describe, '--output', 'nowhere/shop.json'),
    )
    assert as_json.json['channels'].keys() == {'user-created'}
    assert (as_yaml.code, as_yaml.out) == (0, '')
    assert yaml.safe_load((commands.directory / 'shop.yaml').read_text()) == as_json.json
    assert d2.out.startswith('direction: right\n')
    assert mermaid.out.startswith('flowchart LR\n')
    assert (wrong.code, wrong.err.count('\n')) == (1, 1)
    assert 'not Services; of that kind there is SERVICES' in wrong.err
    assert (unwritten.code, unwritten.err.count('\n')) == (1, 1)
    assert "error: the description can't be written: " in unwritten.err
