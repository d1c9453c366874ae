"""`walnats server`: a nats-server in the foreground."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import nats

if TYPE_CHECKING:
    from tests.acceptance.cli.commands import Commands


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
        return port


async def read_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


async def test_it_serves_until_it_is_stopped_and_keeps_its_store(commands: Commands) -> None:
    port = free_port()
    arguments = 'server', '--store', 'here', '--port', str(port)
    async with commands.start(*arguments) as process:
        url = await read_url(process)
        assert url == f'nats://127.0.0.1:{port}'
        async with await nats.connect(url) as nc:
            await nc.jetstream().add_stream(name='kept', subjects=['kept'])
        taken = await commands.run('server', '--port', str(port))
        process.send_signal(signal.SIGINT)
        assert (await process.wait(), await process.communicate()) == (0, (b'', b''))
    assert (taken.code, taken.out) == (1, '')
    assert taken.err == f'error: --port: {port} is in use; name another one\n'
    async with commands.start(*arguments) as process:
        async with await nats.connect(await read_url(process)) as nc:
            await nc.jetstream().stream_info('kept')
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_server_that_dies_is_an_error(commands: Commands) -> None:
    async with commands.start('server', '--port', str(free_port())) as process:
        await read_url(process)
        children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text()
        os.kill(int(children.split()[0]), signal.SIGKILL)
        _, err = await process.communicate()
        assert process.returncode == 1
    assert b'ended by signal 9' in err
    assert err.splitlines()[-1].startswith(b'error: the nats-server has died')
