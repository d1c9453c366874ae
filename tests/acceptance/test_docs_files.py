"""Pages that have the reader make files: they run as printed, by the commands of the page."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOCS = Path(__file__).parents[2] / 'docs'
GETTING_STARTED = (DOCS / 'getting-started.md').read_text(encoding='utf-8')
TESTING = (DOCS / 'recipes' / 'testing.md').read_text(encoding='utf-8')
FILE = re.compile(r'`(\w+\.py)`[^\n]*\n\n```python\n(.*?)```', re.DOTALL)
HANDLER = re.compile(r'^async def send_email.*?!\'\)\n', re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r'^```text\n(.*?)```', re.MULTILINE | re.DOTALL)


class Folder:
    """The folder of somebody who follows a page."""

    def __init__(self, path: Path, page: str) -> None:
        self.path = path
        self.port = find_port()
        for name, code in FILE.findall(page):
            (path / name).write_text(code.replace('4222', str(self.port)), encoding='utf-8')

    async def start(self, command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *command.removeprefix('python ').split(),
            cwd=self.path,
            env={
                **os.environ,
                'NATS_SERVER': f'nats://localhost:{self.port}',
                'PYTHONUNBUFFERED': '1',
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, command: str) -> str:
        process = await self.start(command)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[asyncio.StreamReader]:
        """Run the worker until Ctrl-C, and give what it prints after it is ready."""
        process = await self.start('python worker.py')
        assert process.stdout is not None
        try:
            assert b'ready' in await read_lines(process.stdout, 1)
            yield process.stdout
            process.send_signal(signal.SIGINT)
            await process.communicate()
            assert process.returncode == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


def find_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def read_lines(stream: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(20):
        return b''.join([await stream.readline() for _ in range(count)])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, GETTING_STARTED)


async def test_what_is_emitted_is_handled(folder: Folder) -> None:
    (expected,) = OUTPUT.findall(GETTING_STARTED)
    async with folder.worker() as output:
        assert await folder.run('python emit.py Ada Grace') == ''
        assert (await read_lines(output, 2)).decode() == expected


async def test_a_message_that_failed_waits_until_the_handler_is_mended(folder: Folder) -> None:
    shop = folder.path / 'shop.py'
    right = shop.read_text()
    old, new = HANDLER.findall(GETTING_STARTED)
    shop.write_text(right.replace(old, new))
    async with folder.worker() as output:
        await folder.run('python emit.py Edsger')
        while b'ValueError: no address' not in await read_lines(output, 1):
            pass
    shop.write_text(right)
    async with folder.worker() as output:
        assert await read_lines(output, 1) == b'Welcome, Edsger!\n'


@pytest.mark.parametrize(('page', 'count'), [(GETTING_STARTED, 2), (TESTING, 5)], ids=[2, 5])
async def test_the_tests_of_a_page_pass(page: str, count: int, tmp_path: Path) -> None:
    output = await Folder(tmp_path, page).run('python -m pytest')
    assert f' {count} passed in ' in output
