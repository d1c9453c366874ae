"""Two days of flights as events, with two workers, one of which gets killed.

    python -m examples.flights

What an actor refused is there as dead letters in the end, and one of them is replayed. The exit
status is 1 if what the actors saw, or refused, doesn't add up against the file.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nats
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import walnats

from .audit import expect, expect_letters, find_letter_problems, find_problems
from .dataset import read_airlines, read_flights
from .events import DELAY_ANNOUNCED, FLIGHT_CANCELLED, FLIGHT_DEPARTED
from .ledger import Ledgers
from .letters import mend
from .processes import DemoError, Processes
from .publisher import PUBLISHER
from .report import print_letters, print_report, print_verdict
from .watch import Watch

if TYPE_CHECKING:
    from nats.aio.client import Client

    from .audit import Lines
    from .letters import Mending

VICTIM, SURVIVOR = 'worker-1', 'worker-2'


async def main(console: Console) -> bool:
    """Run the demo, and tell whether all adds up."""
    # So that it ends what it has started, as after Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, signal.raise_signal, signal.SIGINT
    )
    flights = read_flights()
    expected, letters = expect(flights, read_airlines()), expect_letters(flights)
    mending: Mending | None = None
    problems: list[str] = []
    with TemporaryDirectory(prefix='flights-') as folder, make_progress(console) as progress:
        ledgers = Ledgers(Path(folder))
        watch = Watch(ledgers, progress, expected)
        try:
            mending = await run(ledgers, watch, expected)
            problems += find_letter_problems(letters, mending)
        except DemoError as error:
            problems.append(str(error))
    problems += find_problems(expected, watch.entries)
    print_report(console, expected, watch.entries, victim=VICTIM)
    if mending is not None:
        print_letters(console, letters, mending)
    print_verdict(console, expected, problems)
    return not problems


async def run(ledgers: Ledgers, watch: Watch, expected: Lines) -> Mending:
    """Run the publisher and the workers until nothing is left to do but the dead letters."""
    async with walnats.EmbeddedServer() as server, Processes(server.url) as processes:
        for name in (VICTIM, SURVIVOR):
            await processes.start('worker', ledgers.path(name))
        for name in (VICTIM, SURVIVOR):
            await processes.wait_ready(name)
        # The actors are registered: all that is published from now on waits for them.
        await processes.start('publisher', ledgers.path(PUBLISHER))
        while len(watch.handled) < len(expected) // 3 or not watch.is_busy(VICTIM):
            await watch.look()
            processes.check()
        await processes.kill(VICTIM)
        watch.say(f'{VICTIM} was killed by SIGKILL when {len(watch.handled):,} jobs were done')
        async with await nats.connect(server.url) as nc:
            while processes.is_running(PUBLISHER) or await count_kept(nc):
                await watch.look()
                processes.check()
            await check_announced(nc, expected)
        await processes.stop(SURVIVOR)
        await watch.look()
        return await mend(server.url, ledgers)


async def count_kept(nc: Client) -> int:
    """Count the messages that the server keeps, because an actor hasn't settled them yet.

    The dead letters are settled; they are in a stream of their own.
    """
    names = [event.stream_name for event in (FLIGHT_DEPARTED, FLIGHT_CANCELLED, DELAY_ANNOUNCED)]
    streams = [await nc.jetstream().stream_info(name) for name in names]
    return sum(stream.state.messages for stream in streams)


async def check_announced(nc: Client, expected: Lines) -> None:
    """Raise DemoError unless each delay was stored once, however often the alert emitted it."""
    stream = await nc.jetstream().stream_info(DELAY_ANNOUNCED.stream_name)
    delays = sum(job.event == DELAY_ANNOUNCED.name for job in expected)
    if stream.state.last_seq != delays:
        raise DemoError(f'{stream.state.last_seq} delays were stored in place of {delays}')


def make_progress(console: Console) -> Progress:
    return Progress(
        TextColumn('{task.description:9}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == '__main__':
    try:
        sys.exit(0 if asyncio.run(main(Console(highlight=False))) else 1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
