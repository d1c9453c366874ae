"""What the tests of the publisher share: a peer that only knows NATS, servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from walnats.types import BaseEvent, ConnectedEvents

PATIENCE = 20.0
"""Seconds that a signal may take to come. A test that needs them all has failed."""

# Those who may do all, or little, and those without JetStream.
_ACCOUNTS = """
accounts {
  WITH: { jetstream: enabled, users: [
    {user: all, password: all}
    {user: few, password: few, permissions: {
      publish: ["allowed", "$JS.API.STREAM.INFO.*"], subscribe: "_INBOX.>"}}
    {user: mute, password: mute, permissions: {
      publish: ["allowed", "locked"], subscribe: "_INBOX.>"}}
    {user: reader, password: reader, permissions: {publish: "$JS.API.>", subscribe: ">"}}
    {user: deaf, password: deaf, permissions: {publish: ">", subscribe: "allowed"}}
  ]}
  WITHOUT: {users: [{user: plain, password: plain}]}
  SYS: {users: [{user: sys, password: sys}]}
}
system_account: SYS
"""


class Peer:
    """Sees what is on the server, by plain nats-py."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.js = nc.jetstream(timeout=PATIENCE)

    async def count(self, event: BaseEvent[Any, Any]) -> int:
        """How many messages the stream has."""
        return (await self.js.stream_info(event.stream_name)).state.messages

    async def stored(self, event: BaseEvent[Any, Any]) -> list[Msg]:
        """Give the messages of the stream."""
        missing = await self.count(event)
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, inactive_threshold=PATIENCE)
        messages: list[Msg] = []
        subscription = await self.js.pull_subscribe('', stream=event.stream_name, config=config)
        while len(messages) < missing:
            messages += await subscription.fetch(min(500, missing - len(messages)), PATIENCE)
        await subscription.unsubscribe()
        return messages

    async def payloads(self, event: BaseEvent[Any, Any]) -> list[bytes]:
        """Give the payloads that the stream has."""
        return [message.data for message in await self.stored(event)]

    async def listen(self, subject: str) -> Subscription:
        """Subscribe to what is published from now on."""
        subscription = await self.nc.subscribe(subject)
        await settle(self.nc)
        return subscription


class Link:
    """Signals of what happens to a connection, to be passed to `connect`."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.back = asyncio.Event()

    async def _lose(self) -> None:
        self.back.clear()
        self.lost.set()

    async def _regain(self) -> None:
        self.lost.clear()
        self.back.set()

    @property
    def options(self) -> Any:
        return {'disconnected_cb': self._lose, 'reconnected_cb': self._regain}


async def settle(nc: Client) -> None:
    """Wait until the server has got all that was sent."""
    for _ in range(2):  # the PING of nats-py goes out in front of what waits to be sent
        await nc.flush()


def waiting(conn: ConnectedEvents) -> int:
    """How many answers the connection waits for."""
    return len(conn.connection.inbox._waiting)


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until something is so that gives no signal."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def peer_on(url: str) -> AsyncIterator[Peer]:
    """Look at another server than the one that all tests share."""
    client = await nats.connect(url)
    try:
        yield Peer(client)
    finally:
        await client.close()


@pytest.fixture
def peer(nc: Client) -> Peer:
    """A peer on the server that all tests share."""
    return Peer(nc)


class Accounts:
    """A server with accounts. A user's password is the name."""

    def __init__(self, server: walnats.EmbeddedServer) -> None:
        self.server = server

    def url(self, user: str) -> str:
        return self.server.url.replace('nats://', f'nats://{user}:{user}@')

    async def subscriptions(self, name: str) -> list[str]:
        """Ask the server for the subscriptions of the client of that name."""
        options = json.dumps({'auth': True, 'subscriptions': True, 'acc': 'WITH'}).encode()
        async with peer_on(self.url('sys')) as peer:
            answer = await peer.nc.request('$SYS.REQ.SERVER.PING.CONNZ', options, PATIENCE)
        clients = json.loads(answer.data)['data']['connections']
        [client] = [client for client in clients if client.get('name') == name]
        subjects: list[str] = client.get('subscriptions_list', [])
        return subjects


@pytest.fixture
async def accounts() -> AsyncIterator[Accounts]:
    """A server with users that may do all, or little, or that have no JetStream."""
    async with walnats.EmbeddedServer(config=_ACCOUNTS) as server:
        yield Accounts(server)
