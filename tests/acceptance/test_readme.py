"""The first screen of the README: it runs as it is printed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nats.js.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client

README = Path(__file__).parents[2] / 'README.md'
BLOCK = re.compile(r'`(\w+\.py)`[^\n]*\n\n```python\n(.*?)```', re.DOTALL)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the README's programs."""
    for name, code in BLOCK.findall(README.read_text(encoding='utf-8')):
        (tmp_path / name).write_text(code, encoding='utf-8')
    return tmp_path


@pytest.fixture
async def jetstream_of_readme(nc: Client) -> AsyncIterator[Client]:
    """The connection, and no stream of the README's left behind."""
    yield nc
    with contextlib.suppress(NotFoundError):
        await nc.jetstream().delete_stream('user-created')


def test_it_is_three_programs_in_25_lines(programs: Path) -> None:
    files = sorted(programs.iterdir())
    lines = [line for file in files for line in file.read_text().splitlines() if line.strip()]
    assert [file.name for file in files] == ['events.py', 'publisher.py', 'subscriber.py']
    assert len(lines) <= 25


async def test_it_runs_as_printed(
    programs: Path, server_url: str, jetstream_of_readme: Client
) -> None:
    subscriber = await _start(programs / 'subscriber.py', server_url)
    try:
        await _wait_registered(jetstream_of_readme, subscriber)
        assert await _run(programs / 'publisher.py', server_url) == (0, b'')
        assert await _read_line(subscriber) == b'Welcome, Ada!\n'
    finally:
        await _stop(subscriber)


async def test_a_message_waits_for_a_subscriber_that_is_stopped(
    programs: Path, server_url: str, jetstream_of_readme: Client
) -> None:
    subscriber = await _start(programs / 'subscriber.py', server_url)
    try:
        await _wait_registered(jetstream_of_readme, subscriber)
    finally:
        await _stop(subscriber)
    assert await _run(programs / 'publisher.py', server_url) == (0, b'')
    subscriber = await _start(programs / 'subscriber.py', server_url)
    try:
        assert await _read_line(subscriber) == b'Welcome, Ada!\n'
    finally:
        await _stop(subscriber)


async def _start(program: Path, server_url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        env={**os.environ, 'NATS_SERVER': server_url, 'PYTHONUNBUFFERED': '1'},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _run(program: Path, server_url: str) -> tuple[int | None, bytes]:
    process = await _start(program, server_url)
    output, _ = await process.communicate()
    return process.returncode, output


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.communicate()


async def _read_line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(10):
        return await process.stdout.readline()


async def _wait_registered(nc: Client, subscriber: asyncio.subprocess.Process) -> None:
    """Wait until the server knows the actor: the program prints nothing of it."""
    async with asyncio.timeout(10):
        while True:
            assert subscriber.returncode is None, (await subscriber.communicate())[0].decode()
            try:
                await nc.jetstream().consumer_info('user-created', 'send-email')
            except NotFoundError:
                await asyncio.sleep(0.02)
            else:
                return
