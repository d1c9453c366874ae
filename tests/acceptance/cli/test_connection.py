"""How all commands connect: TLS with a certificate of the client, and files of credentials."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.integration.security.conftest import Identity, Operator, creds_text

from walnats import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.cli.commands import Commands


async def test_the_client_shows_its_certificate(commands: Commands, tmp_path: Path) -> None:
    authority = Identity.make(tmp_path / 'authority.pem', 'authority')
    server_side = Identity.make(tmp_path / 'server.pem', 'server', authority)
    client = Identity.make(tmp_path / 'client.pem', 'client', authority)
    config = f"""tls {{
        cert_file: "{server_side.path}", key_file: "{server_side.path}"
        ca_file: "{authority.path}", verify: true
    }}"""
    async with EmbeddedServer(config=config) as server:
        url = '--server', server.url.replace('nats:', 'tls:')
        trust = '--tlsca', 'authority.pem'
        known, unknown, untrusting = await asyncio.gather(
            commands.run(
                'status',
                '--json',
                *url,
                *trust,
                '--tlscert',
                'client.pem',
                '--tlskey',
                'client.pem',
            ),
            commands.run('status', *url, *trust),
            commands.run('status', *url),
        )
    assert (known.code, known.json['streams'], known.err) == (0, [], '')
    for refused in (unknown, untrusting):
        assert (refused.code, refused.out, refused.err.count('\n')) == (1, '', 1)
    assert str(client.path) not in unknown.err


async def test_a_file_of_credentials_is_who_one_is(commands: Commands, tmp_path: Path) -> None:
    operator = Operator()
    jwt, seed = operator.user()
    (tmp_path / 'me.creds').write_text(creds_text(jwt, seed))
    async with EmbeddedServer(config=operator.config) as server:
        url = '--server', server.url
        known, nobody, wrong = await asyncio.gather(
            commands.run('status', '--json', *url, '--creds', 'me.creds'),
            commands.run('status', *url),
            commands.run('status', *url, '--creds', 'nowhere.creds'),
        )
    assert (known.code, known.json['streams']) == (0, [])
    assert (nobody.code, 'refuses the credentials' in nobody.err) == (1, True)
    assert (wrong.code, wrong.err.count('\n'), 'does not exist' in wrong.err) == (2, 1, True)
    assert seed not in known.err + nobody.err + wrong.err
