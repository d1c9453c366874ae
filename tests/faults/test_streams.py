"""Streams and consumers that are deleted, full, or on a disk that is full."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest

import walnats
from walnats.errors import (
    ConsumerNotFoundError,
    EmitManyError,
    StreamFullError,
    StreamNotFoundError,
)

from .scale import only_in_chaos, pick
from .scene import PATIENCE, Scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from walnats.types import ConnectedActors

    from .ledger import Ledger

NOTICED = 7.0
"""Seconds until two signs of life are missed: with its consumer the server forgets, without a word,
a request that it hasn't looked at yet."""


@pytest.fixture
def history(ledger: Ledger) -> Scene:
    """An event that keeps what was handled: with its consumer an actor's messages aren't lost."""
    scene = Scene(ledger)
    scene.event = walnats.Event(
        'number', int, storage=walnats.Storage(retention=walnats.Retention.LIMITS)
    )
    return scene


async def ended(task: asyncio.Task[None], conn: ConnectedActors) -> None:
    """Check that `listen` ends soon, by an error that names the actor, without asking on and on."""
    sent = conn.connection.nc.stats['out_msgs']
    await asyncio.wait({task}, timeout=NOTICED)
    assert task.done(), 'it listens on, though its consumer is gone'
    with pytest.raises(ConsumerNotFoundError, match=r"'actor'.*register"):
        await task
    assert conn.connection.nc.stats['out_msgs'] - sent < 200


async def test_consumer_deleted_while_listening(
    history: Scene, server: walnats.EmbeddedServer
) -> None:
    """`listen` says so; once it's registered again, it sees again what is kept."""
    async with history.worker(server.url) as worker, history.publisher(server.url) as publisher:
        async with history.emitting(publisher, pause=0.002):
            for _ in range(pick(1, 5)):
                listening = asyncio.create_task(worker.listen())
                await history.progress()
                await worker.unregister('actor')
                await ended(listening, worker)
                await worker.register()
        async with history.listening(worker):
            await history.finish(worker)
    times = pick(1, 5)
    history.ledger.check(duplicates=history.ledger.acknowledged.count * times, stall=NOTICED)


async def test_stream_deleted(scene: Scene, server: walnats.EmbeddedServer) -> None:
    """What is in it is gone with it, so it's deleted when it's empty; both sides say so."""
    async with scene.worker(server.url) as worker, scene.publisher(server.url) as publisher:
        for _ in range(pick(2, 10)):
            listening = asyncio.create_task(worker.listen())
            await scene.emit(publisher, 20)
            await scene.finish(worker)
            await publisher.connection.nc.jetstream().delete_stream('number')
            with pytest.raises(StreamNotFoundError, match='register'):
                await publisher.emit(scene.event, -1, sync=True)
            with pytest.raises(EmitManyError) as caught:
                await publisher.emit_many(scene.event, [-1, -2])
            assert len(caught.value.failed) == 2
            await ended(listening, worker)
            await worker.register()
    scene.ledger.check(duplicates=0, stall=3)


async def test_stream_full_with_refusal(ledger: Ledger, server: walnats.EmbeddedServer) -> None:
    """What is refused is told to the publisher; what isn't, is kept."""
    scene = Scene(ledger)
    scene.event = walnats.Event(
        'number',
        int,
        limits=walnats.Limits(messages=100),
        storage=walnats.Storage(discard=walnats.Discard.NEW),
    )
    async with scene.publisher(server.url) as publisher, scene.worker(publisher) as worker:
        for _ in range(pick(2, 10)):
            await scene.emit(publisher, 90)
            numbers = [next(scene.numbers) for _ in range(20)]
            with pytest.raises(EmitManyError) as caught:
                await publisher.emit_many(scene.event, numbers)
            failed = {failure.message for failure in caught.value.failed}
            assert {type(each.error) for each in caught.value.failed} == {StreamFullError}
            assert len(failed) == 10
            for number in set(numbers) - failed:
                ledger.acknowledge(number)
            with pytest.raises(StreamFullError, match='full'):
                await publisher.emit(scene.event, -1, sync=True)
            async with scene.listening(worker):
                await scene.finish(worker)
    ledger.check(duplicates=0, stall=3)


async def test_dead_letter_stream_unavailable(
    scene: Scene, server: walnats.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be stored as a letter stays with the actor, and isn't run again."""
    monkeypatch.setattr('walnats._worker.settle._LETTER_DELAY', pick(0.3, 10.0))
    count = pick(100, 1000)

    def handle(number: int) -> None:
        scene.ledger.begin(number)
        if number % 2:
            raise walnats.GiveUp('it is odd')
        scene.ledger.handle(number)

    # Those that wait for their letter count as pending: there must be room for others.
    actor = scene.actor(handle, max_ack_pending=count)
    async with scene.worker(server.url, actor) as worker, scene.publisher(worker) as publisher:
        await publisher.connection.nc.jetstream().delete_stream('walnats-dead')
        async with scene.listening(worker):
            await scene.emit(publisher, count)
            await scene.reach(count // 2)
            await until(lambda: scene.ledger.begun.count == count)
            async with asyncio.timeout(PATIENCE):
                while await scene.unsettled(worker) != count // 2:
                    await asyncio.sleep(0.01)
            await worker.register()
            await scene.finish(worker)
    assert scene.ledger.dead.count == count // 2
    assert scene.ledger.begun.repeats == 0
    scene.ledger.check(duplicates=0, stall=pick(3, 15))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    try:
        run('mount', '-t', 'tmpfs', '-o', 'size=16m', 'walnats', tmp_path)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"a small tmpfs can't be mounted here: {exc}")
    try:
        yield tmp_path
    finally:
        run('umount', '--lazy', tmp_path)


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@only_in_chaos
@pytest.mark.parametrize('limit', ['', 'max_file_store: 8MB', 'max_file_store: 1GB'])
async def test_disk_full(scene: Scene, small_disk: Path, limit: str) -> None:
    """What isn't stored is told to the publisher; what is, is handled.

    A server that is told that there is more room than there is gives no answer any more, until
    it is started again on a larger disk.
    """
    config = f'jetstream {{ sync_interval: always, {limit} }}'
    scene.padding = 20_000
    async with (
        walnats.EmbeddedServer(small_disk, config=config) as server,
        scene.publisher(server.url) as publisher,
        scene.worker(publisher) as worker,
    ):
        async with asyncio.timeout(120):
            while not scene.ledger.unconfirmed.count:
                await scene.emit(publisher, 1)
                assert scene.ledger.acknowledged.count < 1000, 'there is no room for so many'
        async with scene.listening(worker):
            await scene.finish(worker)
            stored = scene.ledger.acknowledged.count
            await server.stop()
            run('mount', '-o', 'remount,size=64m', small_disk)
            await server.start()
            await scene.emit(publisher, 10)
            assert scene.ledger.acknowledged.count == stored + 10
            await scene.finish(worker)
    scene.ledger.check(duplicates=64, stall=45, unconfirmed=1)
