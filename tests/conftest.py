"""What all tests share: one real nats-server for the session, and names of one's own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import nats
import pytest_asyncio

from walnats.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client


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
