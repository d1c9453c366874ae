"""The server is started again in another version, on the same store: newer, and older again."""

from __future__ import annotations

import contextlib
import itertools
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import walnats

from .scale import only_in_chaos
from .scene import ACK_WAIT, FORGOTTEN

if TYPE_CHECKING:
    from .scene import Scene

BINARIES = Path(__file__).parents[2] / '.compat'
"""Where the Makefile puts the versions."""
VERSIONS = sorted(
    (path.parts[-3] for path in BINARIES.glob('*/bin/nats-server')),
    key=lambda version: [int(part) for part in version.split('.')],
)


@only_in_chaos
@pytest.mark.parametrize(('older', 'newer'), list(itertools.pairwise(VERSIONS)))
async def test_server_restarted_with_another_version(
    scene: Scene, tmp_path: Path, older: str, newer: str
) -> None:
    """What a version has not yet written down of what was acknowledged is delivered again."""
    port = free_port()
    async with contextlib.AsyncExitStack() as servers:

        async def start(version: str) -> str:
            await servers.aclose()
            binary = BINARIES / version / 'bin' / 'nats-server'
            server = walnats.EmbeddedServer(tmp_path, port=port, binary=binary)
            return (await servers.enter_async_context(server)).url

        url = await start(older)
        async with scene.playing(url) as (_, publisher):
            for version in (newer, older, newer):
                await scene.progress(200)
                await start(version)
            await scene.progress(200)
            assert newer in str(publisher.connection.nc.connected_server_version)
    scene.ledger.check(duplicates=3 * FORGOTTEN, stall=ACK_WAIT + 5)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
        return port
