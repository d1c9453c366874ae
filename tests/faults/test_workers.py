"""Workers that are killed, or that stand still for so long that others take their messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.servers import stopped

from .processes import Fleet, WorkerOptions
from .scale import pick
from .scene import ACK_WAIT, until

if TYPE_CHECKING:
    from pathlib import Path

    import walnats

    from .scene import Scene

SLOTS = 16
WORKERS = 3
DEADLY = 97
MESSAGES = pick(1_500, 20_000)
KILL_INTERVAL = pick(0.8, 2.0)
PATIENCE = pick(45.0, 600.0)


@pytest.mark.timeout(PATIENCE + 60)
async def test_worker_killed_mid_job(
    scene: Scene, server: walnats.EmbeddedServer, tmp_path: Path
) -> None:
    """Again and again, with messages that fail now and then, and some that fail always."""
    ledger = scene.ledger
    options = WorkerOptions(
        server.url, scene.event.name, pick(0.03, 0.06), failures=0.05, deadly=DEADLY
    )
    fleet = Fleet(tmp_path / 'journal', options, ledger)
    actor = scene.actor(ack_wait=options.ack_wait, max_attempts=options.max_attempts)
    async with (
        scene.worker(server.url, actor) as conn,
        scene.publisher(conn) as events,
    ):
        await scene.emit_many(events, range(MESSAGES))
        async with fleet.run(WORKERS), asyncio.timeout(PATIENCE):
            while await scene.unsettled(conn):
                await asyncio.sleep(KILL_INTERVAL)
                await fleet.kill_one()
        await scene.finish(conn)
    assert fleet.kills >= 3
    # What no attempt can handle is a letter, once.
    assert set(range(0, MESSAGES, DEADLY)) <= set(ledger.dead)
    assert ledger.dead.repeats == 0
    # A letter tells of failures: either it failed to the last, or it was begun too often.
    assert all(ledger.failed[number] or ledger.begun[number] > 1 for number in ledger.dead)
    # A kill can interrupt what runs in one worker, and can lose the acknowledgements of what
    # was done a moment before: never more than its slots.
    interrupted = ledger.begun.total - ledger.handled.total - ledger.failed.total
    assert interrupted <= fleet.kills * SLOTS
    ledger.check(duplicates=fleet.kills * SLOTS, stall=options.ack_wait + 10)


async def test_worker_stopped_longer_than_ack_wait_then_resumed(
    scene: Scene, server: walnats.EmbeddedServer, tmp_path: Path
) -> None:
    """Others take over what it holds; when it goes on, it may end its jobs, not more."""
    ledger = scene.ledger
    options = WorkerOptions(server.url, scene.event.name, 0.02, ack_wait=ACK_WAIT)
    fleet = Fleet(tmp_path / 'journal', options, ledger)
    times = pick(1, 10)
    async with scene.worker(server.url) as conn, scene.publisher(conn) as events, fleet.run(2):
        await fleet.wait_ready()
        async with scene.emitting(events, pause=0.002):
            for _ in range(times):
                await scene.progress()
                with stopped(fleet.processes[0].pid):
                    # All that was begun by then is handled by the other one.
                    begun = set(ledger.begun)
                    await asyncio.sleep(2 * ACK_WAIT)
                    await until(lambda numbers: numbers <= set(ledger.handled), begun)
        await scene.finish(conn)
    ledger.check(duplicates=times * SLOTS, stall=ACK_WAIT + 3)
