"""The broker: killed at the worst moments, and one that lets nobody in for a while."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

import walnats

from .proxy import Proxy, Way
from .scale import pick
from .scene import ACK_WAIT, FORGOTTEN, HELD, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .scene import Scene

LOSSES = pick(1, 20) * [False, True]
"""Whether the broker is killed when the connections are lost."""
WINDOW = 1024
"""Messages that `emit_many` has under way."""

MOMENTS = {
    'mid-emit, message lost': (rb'PUB number ', Way.UP),
    'mid-emit, answer lost': (rb'"stream":"number", *"seq"', Way.DOWN),
    'mid-pull, request lost': (rb'PUB \$JS\.API\.CONSUMER\.MSG\.NEXT', Way.UP),
    'mid-pull, messages lost': (rb'MSG number \d+ \$JS\.ACK', Way.DOWN),
    'mid-ack': (rb'\+ACK', Way.UP),
    'mid-nak': (rb'-NAK', Way.UP),
    'mid-letter, letter lost': (rb'PUB walnats\.dead\.', Way.UP),
    'mid-letter, answer lost': (rb'"stream":"walnats-dead", *"seq"', Way.DOWN),
    'mid-term': (rb'\+TERM', Way.UP),
}


@pytest.mark.parametrize(('pattern', 'way'), MOMENTS.values(), ids=MOMENTS)
async def test_broker_killed(
    scene: Scene, server: walnats.EmbeddedServer, pattern: bytes, way: Way
) -> None:
    """What is sent at that moment, and after it, is lost; then the broker is killed.

    Every other time it lives on, and only the connections are cut. Else it wouldn't show if
    something were said too early: a broker that is killed forgets what it was told last.
    """

    def handle(number: int) -> None:
        scene.ledger.begin(number)
        if number % 7 == 0:
            raise walnats.GiveUp('it can be divided by 7')
        if number % 5 == 0 and scene.ledger.begun[number] == 1:
            raise ValueError('it can be divided by 5')
        scene.ledger.handle(number)

    actor = scene.actor(handle, retry_delay=(0.05,))
    async with Proxy(server.url) as proxy, scene.playing(proxy.url, actor):
        for is_killed in LOSSES:
            sprung = proxy.trap(pattern, way)
            async with asyncio.timeout(10):
                await sprung.wait()
            if is_killed:
                await server.kill()
                await server.start()
            else:
                proxy.cut()
            await scene.progress()
    assert not scene.ledger.dead.repeats, 'a message has two dead letters'
    scene.ledger.check(duplicates=len(LOSSES) * FORGOTTEN, stall=ACK_WAIT + 6)


async def test_broker_killed_mid_emit_many(scene: Scene, server: walnats.EmbeddedServer) -> None:
    """In bulk: what was under way is sent again under its uid.

    A stream whose messages are kept until they're settled forgets the uids of those that were,
    when it is killed. And at this pace a tenth of a second is many messages.
    """
    count = pick(5_000, 50_000)
    reached = asyncio.Event()

    def numbers() -> Iterator[int]:
        for number in range(count):
            if number and number % (count // 4) == 0:
                reached.set()
            yield number

    async with (
        scene.worker(server.url) as worker,
        scene.publisher(server.url) as publisher,
        scene.listening(worker),
    ):
        emitting = asyncio.create_task(scene.emit_many(publisher, numbers()))
        for _ in range(3):
            await until(lambda: reached.is_set() or emitting.done())
            reached.clear()
            await server.kill()
            await server.start()
        await emitting
        await scene.finish(worker, seconds=200)
    scene.ledger.check(duplicates=3 * (WINDOW + 1000), stall=ACK_WAIT + 3)


class Users:
    """The user of a server, in a file that it reads again when told to, and of its clients."""

    def __init__(self, path: Path) -> None:
        # The server takes the path as one relative to its own configuration, wherever that is.
        self.config = f'include {"../" * 12}{path.relative_to("/")}'
        self.password = ''
        """What the clients have."""
        self.refusals = 0
        self._path = path

    def allow(self, password: str) -> None:
        """Have the server take only this password."""
        user = f'{{user: service, password: "{password}"}}'
        self._path.write_text(f'authorization {{ users: [{user}] }}\n', encoding='utf-8')

    @property
    def options(self) -> Any:
        """Give the options of the clients, which ask for the password again and again."""
        return {
            'user': 'service',
            'password': lambda: self.password,
            'error_cb': self._note_refusal,
        }

    async def _note_refusal(self, error: Exception) -> None:
        self.refusals += 'authorization' in str(error).lower()


async def test_credentials_revoked_and_rotated(scene: Scene, tmp_path: Path) -> None:
    """Both sides are thrown out, and come back by themselves with the new password."""
    times = pick(1, 10)
    users = Users(tmp_path / 'users.conf')
    users.allow('first')
    users.password = 'first'
    async with (
        walnats.EmbeddedServer(config=users.config) as server,
        scene.playing(server.url, **users.options),
    ):
        for number in range(times):
            users.refusals = 0
            users.allow(f'password-{number}')
            os.kill(server.pid, signal.SIGHUP)
            await until(lambda: users.refusals >= 4)
            users.password = f'password-{number}'
            await scene.progress()
    scene.ledger.check(duplicates=times * HELD, stall=10)
