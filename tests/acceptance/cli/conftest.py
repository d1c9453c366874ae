"""What the tests of the command line share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.acceptance.cli.commands import Commands
from tests.acceptance.cli.running import Service

from walnats import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from nats.aio.client import Client


@pytest.fixture
def service(tmp_path: Path, server_url: str, unique: str, nc: Client) -> Service:
    """A service in a directory of its own, with an actor that sleeps for tenths of a second."""
    return Service(tmp_path, server_url, unique, nc)


@pytest.fixture
def commands(tmp_path: Path, server_url: str) -> Commands:
    """The commands, on the server that all tests share."""
    return Commands(tmp_path, server_url)


@pytest_asyncio.fixture
async def own_server() -> AsyncIterator[EmbeddedServer]:
    """A server on which there is nothing else."""
    async with EmbeddedServer() as server:
        yield server


@pytest.fixture
def own_commands(tmp_path: Path, own_server: EmbeddedServer) -> Commands:
    """The commands, on a server on which there is nothing else."""
    return Commands(tmp_path, own_server.url)
