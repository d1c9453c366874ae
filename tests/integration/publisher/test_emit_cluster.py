"""Emitting to a stream of three servers, of which some are lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.servers import free_ports

import walnats
from walnats import (
    JetStreamError,
    JetStreamTimeoutError,
    NotConfirmedError,
    StreamConfigError,
    StreamNotFoundError,
)
from walnats._jetstream import api, publish
from walnats.types import EmitSummary

from .conftest import PATIENCE, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from walnats.types import ConnectedEvents

pytestmark = pytest.mark.usefixtures('no_leaks')

EVENT = walnats.Event(
    'placed', int, storage=walnats.Storage(retention=walnats.Retention.LIMITS, replicas=3)
)


@pytest.fixture
async def servers() -> AsyncIterator[list[walnats.EmbeddedServer]]:
    """A cluster of three servers: n0, n1 and n2."""
    ports = free_ports(3)
    routes = ', '.join(f'"nats://127.0.0.1:{port}"' for port in ports)
    async with contextlib.AsyncExitStack() as stack:
        yield await asyncio.gather(
            *(
                stack.enter_async_context(
                    walnats.EmbeddedServer(
                        config=f'server_name: n{number}\n'
                        f'cluster {{ name: c, listen: "127.0.0.1:{port}", routes: [{routes}] }}'
                    )
                )
                for number, port in enumerate(ports)
            )
        )


async def register(conn: ConnectedEvents) -> None:
    """Register as soon as the cluster has a leader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, 'TIMEOUT', 0.3)
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(JetStreamTimeoutError, StreamConfigError):
                    await conn.register()
                    return


async def test_servers_of_a_cluster_are_lost(
    servers: list[walnats.EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with walnats.Events(EVENT).connect([server.url for server in servers]) as conn:
        await register(conn)
        await conn.emit(EVENT, 0, sync=True)
        info = await conn.connection.nc.jetstream().stream_info('placed')
        assert info.cluster is not None
        leader = servers.pop(int((info.cluster.leader or '')[1:]))

        # Without its leader a stream looks as if it weren't there, until the others elect one.
        await leader.kill()
        _, summary = await asyncio.gather(
            conn.emit(EVENT, 1, sync=True), conn.emit_many(EVENT, range(2, 100))
        )
        assert summary == EmitSummary(98, 0)

        # A single server of three can't elect one.
        url = conn.connection.nc.connected_url
        assert url is not None
        [other] = [server for server in servers if not server.url.endswith(f':{url.port}')]
        await other.kill()
        monkeypatch.setattr(publish, 'DEADLINE', 1.0)
        async with asyncio.timeout(10):
            with pytest.raises((JetStreamError, NotConfirmedError)) as caught:
                await conn.emit(EVENT, 100, uid='100', sync=True)
        assert not isinstance(caught.value, StreamNotFoundError)
        monkeypatch.undo()
        await other.start()
        await conn.emit(EVENT, 100, uid='100', sync=True)
        assert waiting(conn) == 0
        info = await conn.connection.nc.jetstream(timeout=PATIENCE).stream_info('placed')
        assert info.state.messages == 101
