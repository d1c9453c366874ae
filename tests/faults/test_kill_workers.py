"""Worker processes that are killed again and again: nothing is lost, and what runs twice is told.

`WALNATS_CHAOS=1` runs it at full length: 20,000 messages, a kill every two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from nats.aio.client import Client

IS_LONG = os.environ.get('WALNATS_CHAOS') == '1'
MESSAGES = 20_000 if IS_LONG else 3_000
KILL_INTERVAL = 2.0 if IS_LONG else 1.0
JOB_TIME = 0.06 if IS_LONG else 0.03
PATIENCE = 600 if IS_LONG else 45
WORKERS = 3
SLOTS = 16
DEADLY = 97
"""Each so-manieth message is one that no attempt can handle."""
ACK_WAIT = 2.0

# A job tells that it begins, and how it ended, by one line each: written at once, so a kill
# takes no line back.
PROGRAM = """
import asyncio, os, random, sys
import walnats

EVENT = walnats.Event(sys.argv[1], int)
LEDGER = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
SLOTS, JOB_TIME, DEADLY, ACK_WAIT = int(sys.argv[3]), *map(float, sys.argv[4:7])

def tell(word: str, number: int) -> None:
    os.write(LEDGER, f'{word} {number} {os.getpid()}\\n'.encode())

async def handle(number: int) -> None:
    tell('begin', number)
    await asyncio.sleep(random.uniform(0, 2 * JOB_TIME))
    if number % DEADLY == 0 or random.random() < .05:
        tell('fail', number)
        raise ValueError('bad luck')
    tell('done', number)

async def main() -> None:
    actor = walnats.Actor(
        'actor', EVENT, handle, ack_wait=ACK_WAIT, max_attempts=8, retry_delay=(.1, .5)
    )
    async with walnats.Actors(actor).connect() as conn:
        await conn.register()
        await conn.listen(max_jobs=SLOTS)

asyncio.run(main())
"""


class Ledger(NamedTuple):
    """What the jobs told, per message."""

    begun: Counter[int]
    done: Counter[int]
    failed: Counter[int]

    @classmethod
    def read(cls, path: Path) -> Ledger:
        words: dict[str, Counter[int]] = {word: Counter() for word in ('begin', 'done', 'fail')}
        if path.exists():
            for line in path.read_text().splitlines():
                word, number, _ = line.split()
                words[word][int(number)] += 1
        return cls(words['begin'], words['done'], words['fail'])

    @property
    def interrupted(self) -> int:
        """Jobs of which nobody knows the end: their process was killed."""
        return self.begun.total() - self.done.total() - self.failed.total()

    @property
    def repeated(self) -> int:
        """Jobs that handled a message that had been handled before."""
        return self.done.total() - len(self.done)


class Fleet:
    """Worker processes, each of which is started again when it was killed."""

    def __init__(self, command: list[str], url: str) -> None:
        self.kills = 0
        self._command = command
        self._environment = {**os.environ, 'NATS_SERVER': url}
        self._workers: list[asyncio.subprocess.Process] = []

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Fleet]:
        try:
            for _ in range(WORKERS):
                self._workers.append(await self._start())
            yield self
        finally:
            for worker in self._workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()

    async def kill_one(self) -> None:
        index = random.randrange(WORKERS)
        worker = self._workers[index]
        assert worker.returncode is None, 'a worker ended by itself'
        worker.kill()
        await worker.wait()
        self.kills += 1
        self._workers[index] = await self._start()

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )


async def unsettled(nc: Client, stream: str) -> int:
    info = await nc.jetstream().consumer_info(stream, 'actor')
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


@pytest.mark.timeout(PATIENCE + 60)
async def test_every_message_is_handled_or_a_dead_letter(
    server_url: str, nc: Client, unique: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = walnats.Event(unique, int)
    program, path = tmp_path / 'worker.py', tmp_path / 'ledger'
    program.write_text(PROGRAM)
    options = map(str, (SLOTS, JOB_TIME, DEADLY, ACK_WAIT))
    fleet = Fleet([sys.executable, str(program), unique, str(path), *options], server_url)
    actor = walnats.Actor(
        'actor', event, print, ack_wait=ACK_WAIT, max_attempts=8, retry_delay=(0.1, 0.5)
    )
    async with (
        walnats.Actors(actor).connect(server_url) as conn,
        walnats.Events(event).connect(conn) as events,
    ):
        await conn.register()
        await events.emit_many(event, range(1, MESSAGES + 1))
        async with fleet.run(), asyncio.timeout(PATIENCE):
            while await unsettled(nc, event.stream_name):
                await asyncio.sleep(KILL_INTERVAL)
                await fleet.kill_one()
        letters = [letter async for letter in conn.dead_letters()]
    dead = Counter(letter.message() for letter in letters)
    ledger = Ledger.read(path)
    with capsys.disabled():
        print_ledger(fleet.kills, ledger, dead)
    check(fleet.kills, ledger, dead)


def check(kills: int, ledger: Ledger, dead: Counter[int]) -> None:
    numbers = set(range(1, MESSAGES + 1))
    assert kills >= 3
    # Nothing is lost: each message was handled, or is a letter.
    assert numbers - set(ledger.done) - set(dead) == set()
    # What no attempt can handle is a letter, once.
    assert {number for number in numbers if number % DEADLY == 0} <= set(dead)
    assert set(dead.values()) == {1}
    # A letter tells of failures: either it failed to the last, or it was begun too often.
    assert all(ledger.failed[number] or ledger.begun[number] > 1 for number in dead)
    # A kill can interrupt what runs in one worker, and can lose the acknowledgements of what
    # was done a moment before: never more than its slots and what it looked ahead.
    assert ledger.interrupted <= kills * SLOTS
    assert ledger.repeated <= kills * SLOTS
    # Apart from that each message is handled once.
    assert sum(count > 1 for count in ledger.done.values()) <= ledger.repeated


def print_ledger(kills: int, ledger: Ledger, dead: Counter[int]) -> None:
    print(  # noqa: T201 -- it's what the test is for
        f'\n{MESSAGES} messages, {kills} kills of one of {WORKERS} workers:'
        f'\n  {len(ledger.done)} handled, {len(set(dead) - set(ledger.done))} dead letters only'
        f'\n  {ledger.begun.total()} jobs: {ledger.done.total()} done, '
        f'{ledger.failed.total()} failed, {ledger.interrupted} killed in the middle'
        f'\n  {ledger.repeated} handled once more, because the kill took their '
        'acknowledgement with it'
        f'\n  {len(set(dead) & set(ledger.done))} both handled and dead, for the same reason'
    )
