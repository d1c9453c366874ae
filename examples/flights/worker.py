"""A worker: runs the actors until it is told to stop.

NATS_SERVER=nats://... python -m examples.flights.worker LEDGER
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import walnats

from .actors import make_actors
from .events import DELAY_ANNOUNCED
from .ledger import open_ledger

if TYPE_CHECKING:
    from .ledger import Ledger


async def main(ledger: Ledger) -> None:
    # One connection for both: an actor that emits shares it.
    async with (
        walnats.Events(DELAY_ANNOUNCED).connect() as events,
        make_actors(ledger, events).connect(events) as actors,
    ):
        await events.register()
        await actors.register()
        print('ready', flush=True)
        await actors.listen(signals=[signal.SIGINT, signal.SIGTERM])


if __name__ == '__main__':
    with suppress(KeyboardInterrupt), open_ledger(Path(sys.argv[1])) as this_ledger:
        asyncio.run(main(this_ledger))
