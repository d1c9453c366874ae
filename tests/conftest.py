"""What all tests share: one real nats-server for the session, and names of one's own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import nats
import pytest
import pytest_asyncio
from hypothesis import settings

from walnats.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from nats.aio.client import Client

# On a busy machine any example may take a while: that's no failure of what it tests.
settings.register_profile('patient', deadline=None)
settings.load_profile('patient')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take lone surrogates out of captured logs: a report goes to another process as UTF-8."""
    report = yield
    report.sections = [
        (name, text.encode(errors='backslashreplace').decode()) for name, text in report.sections
    ]
    return report


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their length: some have the time in them, and ids must be the same
    in the two processes that share the tests."""
    return f'{argname}-{len(val)}-bytes' if isinstance(val, bytes) else None


@pytest_asyncio.fixture(scope='session', loop_scope='session')
async def server_url() -> AsyncIterator[str]:
    """The URL of the server that all tests share: don't stop it, name your own streams."""
    async with EmbeddedServer() as server:
        yield server.url


@pytest_asyncio.fixture
async def nc(server_url: str) -> AsyncIterator[Client]:
    """A plain nats-py connection: the peer that knows nothing of walnats."""
    client = await nats.connect(server_url)
    try:
        yield client
    finally:
        await client.close()


@pytest_asyncio.fixture
async def unique(server_url: str) -> AsyncIterator[str]:
    """A prefix for the test's events. The streams that have it are removed afterwards."""
    prefix = f't{uuid.uuid4().hex[:10]}'
    yield prefix
    client = await nats.connect(server_url)
    try:
        await _delete_streams(client, prefix)
    finally:
        await client.close()


async def _delete_streams(client: Client, prefix: str) -> None:
    jetstream = client.jetstream()
    for stream in await jetstream.streams_info():
        if stream.config.name and stream.config.name.startswith(prefix):
            await jetstream.delete_stream(stream.config.name)
