"""A cluster of three that loses leaders, and servers, again and again."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

import walnats

from .cluster import running_cluster
from .scale import only_in_chaos, pick
from .scene import ACK_WAIT, FORGOTTEN, Scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .cluster import Cluster
    from .ledger import Ledger

ELECTION = 20.0
"""Seconds that a cluster may take to elect leaders, on a busy machine."""
EMITS = 30_000
STREAM, CONSUMER = 'STREAM.number', 'CONSUMER.number.actor'
LOSSES = pick(
    [(STREAM, False), (CONSUMER, True)],
    [(what, is_killed) for is_killed in (False, True) for what in (STREAM, CONSUMER)],
)
"""Whose leader is lost, and whether it's killed."""


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_cluster() as one:
        yield one


@pytest.fixture
def scene(ledger: Ledger) -> Scene:
    """An event whose messages are on all three servers."""
    one = Scene(ledger)
    one.event = walnats.Event('number', int, storage=walnats.Storage(replicas=3))
    return one


@pytest.mark.timeout(600)
async def test_stream_and_consumer_leaders_lost(scene: Scene, cluster: Cluster) -> None:
    """They resign, or are killed."""
    losses = list(LOSSES) * pick(1, 5)
    async with scene.playing(cluster.urls):
        for what, is_killed in losses:
            await lose_leader(cluster, what, is_killed=is_killed)
            await scene.progress()
    scene.ledger.check(duplicates=len(losses) * FORGOTTEN, stall=ACK_WAIT + ELECTION)


@only_in_chaos
async def test_consumer_leader_lost_while_idle(scene: Scene, cluster: Cluster) -> None:
    """The one that would answer the request on which the worker waits."""
    async with (
        scene.worker(cluster.urls) as worker,
        scene.publisher(cluster.urls) as publisher,
        scene.listening(worker),
    ):
        for is_killed in (False, True) * 3:
            await scene.emit(publisher, 10)
            await scene.finish(worker)
            await lose_leader(cluster, CONSUMER, is_killed=is_killed)
        await scene.emit(publisher, 10)
        await scene.finish(worker)
    scene.ledger.check(duplicates=6 * FORGOTTEN, stall=ELECTION)


@only_in_chaos
@pytest.mark.timeout(1800)
async def test_30000_acknowledged_emits_while_servers_are_killed(
    scene: Scene, cluster: Cluster
) -> None:
    """One or two of three at once, again and again."""
    kills = 0
    async with scene.playing(cluster.urls, lanes=30, pause=0.05):
        while scene.ledger.acknowledged.count < EMITS:
            kills += await kill_some(cluster)
    assert kills >= EMITS // 2000
    scene.ledger.check(duplicates=kills * FORGOTTEN, stall=ACK_WAIT + 2 * ELECTION)


async def lose_leader(cluster: Cluster, what: str, *, is_killed: bool) -> None:
    await cluster.wait_current('number')
    if not is_killed:
        await cluster.step_down(what)
        return
    leader = await cluster.leader(what)
    await leader.kill()
    # The others elect one without it.
    await cluster.leader(what)
    await leader.start()


async def kill_some(cluster: Cluster) -> int:
    """Kill one or two, start them again when the others have missed them, and give the number."""
    victims = random.sample(cluster.servers, random.choice((1, 1, 2)))
    for victim in victims:
        await victim.kill()
    await asyncio.sleep(random.uniform(0.5, 3))
    for victim in victims:
        await victim.start()
    await cluster.wait_current('number')
    await asyncio.sleep(random.uniform(0.5, 3))
    return len(victims)
