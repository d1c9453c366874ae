"""Two days of flights as events, with two workers, one of which gets killed.

    python -m examples.flights

The exit status is 1 if what the actors saw doesn't add up against the file.
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

from .audit import expect, find_problems
from .dataset import read_airlines, read_flights
from .events import DELAY_ANNOUNCED
from .ledger import Ledgers
from .processes import DemoError, Processes
from .publisher import PUBLISHER
from .report import print_report
from .watch import Watch

if TYPE_CHECKING:
    from nats.aio.client import Client

    from .audit import Lines

VICTIM, SURVIVOR = 'worker-1', 'worker-2'


async def main(console: Console) -> bool:
    """Run the demo, and tell whether all adds up."""
    # So that it ends what it has started, as after Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, signal.raise_signal, signal.SIGINT
    )
    expected = expect(read_flights(), read_airlines())
    failures: list[str] = []
    with TemporaryDirectory(prefix='flights-') as folder, make_progress(console) as progress:
        ledgers = Ledgers(Path(folder))
        watch = Watch(ledgers, progress, expected)
        try:
            await replay(ledgers, watch, expected)
        except DemoError as error:
            failures.append(str(error))
    problems = failures + find_problems(expected, watch.entries)
    print_report(console, expected, watch.entries, problems, victim=VICTIM)
    return not problems


async def replay(ledgers: Ledgers, watch: Watch, expected: Lines) -> None:
    """Run the publisher and the workers until no actor has anything left to do."""
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


async def count_kept(nc: Client) -> int:
    """Count the messages that the server keeps, because an actor hasn't settled them yet."""
    return sum(stream.state.messages for stream in await nc.jetstream().streams_info())


async def check_announced(nc: Client, expected: Lines) -> None:
    """Raise DemoError unless each delay was stored once, however often the alert emitted it."""
    stream = await nc.jetstream().stream_info(DELAY_ANNOUNCED.stream_name)
    delays = sum(job.event == DELAY_ANNOUNCED.name for job in expected)
    if stream.state.last_seq != delays:
        raise DemoError(f'{stream.state.last_seq} delays were stored in place of {delays}')


def end_in_order_on_sigterm() -> None:
    """End all that was started, as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


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
