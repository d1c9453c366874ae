"""Three servers that keep three copies of everything, and ways to lose some of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import nats.errors
from tests.servers import free_ports

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client

PATIENCE = 30.0


class Cluster:
    """The servers n0, n1 and n2. What is asked about is asked at any of them that answers."""

    def __init__(self, servers: list[walnats.EmbeddedServer], client: Client) -> None:
        self.servers = servers
        self._client = client

    @property
    def urls(self) -> list[str]:
        """The URLs of all three."""
        return urls(self.servers)

    async def wait_ready(self) -> None:
        """Wait until the cluster makes streams of three copies: all its servers have met."""
        config = {'name': 'ready', 'subjects': ['ready'], 'num_replicas': 3}
        async with asyncio.timeout(PATIENCE):
            while not (await self._call('STREAM.CREATE.ready', config)).get('config'):
                await asyncio.sleep(0.05)
            await self._call('STREAM.DELETE.ready')

    async def leader(self, what: str) -> walnats.EmbeddedServer:
        """Give the server that leads `STREAM.name` or `CONSUMER.stream.name`, once one does."""
        kind, _, name = what.partition('.')
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self._call(f'{kind}.INFO.{name}')
                leader = (answer.get('cluster') or {}).get('leader')
                if leader and not _is_down(self.servers[int(leader[1:])]):
                    return self.servers[int(leader[1:])]
                await asyncio.sleep(0.05)

    async def step_down(self, what: str) -> None:
        """Have the leader of `STREAM.name` or `CONSUMER.stream.name` resign."""
        kind, _, name = what.partition('.')
        before = await self.leader(what)
        answer = await self._call(f'{kind}.LEADER.STEPDOWN.{name}')
        assert answer.get('success'), answer
        async with asyncio.timeout(PATIENCE):
            while await self.leader(what) is before:
                await asyncio.sleep(0.05)

    async def wait_current(self, stream: str) -> None:
        """Wait until all three have what the stream has: then one of them can be lost."""
        async with asyncio.timeout(PATIENCE):
            while not _is_current(await self._call(f'STREAM.INFO.{stream}')):
                await asyncio.sleep(0.05)

    async def _call(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the API; the answer is empty if there is none."""
        payload = b'' if body is None else json.dumps(body).encode()
        try:
            answer = await self._client.request(f'$JS.API.{method}', payload, timeout=1)
        except (nats.errors.Error, TimeoutError):
            return {}
        found: dict[str, Any] = json.loads(answer.data)
        return found


@contextlib.asynccontextmanager
async def running_cluster() -> AsyncIterator[Cluster]:
    """Start a cluster on the loopback interface."""
    ports = free_ports(3)
    routes = ', '.join(f'"nats://127.0.0.1:{port}"' for port in ports)
    servers = [
        walnats.EmbeddedServer(
            config=f'server_name: n{number}\n'
            f'cluster {{ name: c, listen: "127.0.0.1:{port}", routes: [{routes}] }}'
        )
        for number, port in enumerate(ports)
    ]
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*map(stack.enter_async_context, servers))
        # A client of nats-py's own leaves a socket open when it's refused.
        registry = walnats.Events(walnats.Event('ready', bytes))
        conn = await stack.enter_async_context(registry.connect(urls(servers)))
        cluster = Cluster(servers, conn.connection.nc)
        await cluster.wait_ready()
        yield cluster


def _is_down(server: walnats.EmbeddedServer) -> bool:
    """If the server was killed and not started again."""
    return 'not running' in repr(server)


def _is_current(info: dict[str, Any]) -> bool:
    cluster = info.get('cluster') or {}
    replicas = cluster.get('replicas') or []
    return bool(cluster.get('leader')) and all(
        replica.get('current') and not replica.get('offline') for replica in replicas
    )


def urls(servers: list[walnats.EmbeddedServer]) -> list[str]:
    """Give the URL of each."""
    return [server.url for server in servers]
