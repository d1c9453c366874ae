"""A worker: runs the actors until it is told to stop.

NATS_SERVER=nats://... python -m examples.flights.worker LEDGER
"""

from __future__ import annotations

import asyncio
import logging
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


def set_up_logging() -> None:
    """Leave refusals out of the log: to refuse is what the arrival log is for.

    There is an error record for each, with its traceback, and a warning that tells about the
    letter. The dead letters say all that. Any other failure of a job is still logged.
    """
    logging.basicConfig()
    logging.getLogger('walnats.actor').addFilter(is_no_refusal)
    logging.getLogger('walnats.worker').setLevel(logging.ERROR)


def is_no_refusal(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], walnats.GiveUp)


if __name__ == '__main__':
    set_up_logging()
    with suppress(KeyboardInterrupt), open_ledger(Path(sys.argv[1])) as this_ledger:
        asyncio.run(main(this_ledger))
