"""The nats-server of a scenario: with its own defaults, as the peers would be run."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nats
from nats.js.api import AckPolicy, ConsumerConfig

import walnats

from .flight import NAME, Flight

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from nats.aio.client import Client

# It doesn't sync each write, as an embedded server does by itself.
_CONFIG = 'jetstream { }'
_EVENT = walnats.Event(NAME, Flight)
_RAW = walnats.Event(NAME, bytes)
_POLL = 0.005


@dataclass
class Broker:
    """A server, and what the benchmark itself does on it."""

    url: str
    pid: int
    client: Client

    async def reset(self) -> None:
        """Empty the stream, without any consumer left.

        It is the one that walnats makes, for all contenders. It isn't deleted: for a busy server
        it's too soon then to make one of the same name.
        """
        async with walnats.Events(_EVENT).connect(self.client, close=False) as conn:
            await conn.register()
        for consumer in await self.client.jetstream().consumers_info(NAME):
            await self.client.jetstream().delete_consumer(NAME, consumer.name)
        await self.client.jetstream().purge_stream(NAME)

    async def keep(self) -> None:
        """Have the stream keep what is emitted, as if there was an actor."""
        config = ConsumerConfig(durable_name='keep', ack_policy=AckPolicy.EXPLICIT)
        await self.client.jetstream().add_consumer(NAME, config)

    async def load(self, count: int, payload: bytes, headers: Mapping[str, str]) -> None:
        """Store `count` messages."""
        async with walnats.Events(_RAW).connect(self.client, close=False) as conn:
            await conn.emit_many(_RAW, (payload for _ in range(count)), meta=dict(headers))

    async def stored(self) -> int:
        """Tell how many messages the stream has."""
        return (await self.client.jetstream().stream_info(NAME)).state.messages

    async def drain(self, timeout: float) -> None:
        """Wait until each consumer of the stream has acknowledged everything."""
        async with asyncio.timeout(timeout):
            while await self._pending():  # noqa: ASYNC110 -- the server gives no asyncio.Event
                await asyncio.sleep(_POLL)

    async def _pending(self) -> int:
        consumers = await self.client.jetstream().consumers_info(NAME)
        return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in consumers)

    def version(self) -> str:
        version = self.client.connected_server_version
        return f'{version.major}.{version.minor}.{version.patch}'

    def cpu(self) -> float | None:
        """Give the seconds of CPU that the server has taken, where the system tells."""
        stat = Path(f'/proc/{self.pid}/stat')
        if not stat.exists():
            return None
        fields = stat.read_text('ascii').rpartition(')')[2].split()
        user, system = int(fields[11]), int(fields[12])
        return (user + system) / os.sysconf('SC_CLK_TCK')


@asynccontextmanager
async def fresh_broker() -> AsyncIterator[Broker]:
    """Give a server that nobody has used."""
    async with walnats.EmbeddedServer(config=_CONFIG) as server:
        client = await nats.connect(server.url)
        try:
            yield Broker(server.url, server.pid, client)
        finally:
            await client.close()
