"""A worker, to be run in a process of its own and killed. It says in a journal what its jobs do.

    python tests/faults/worker.py JOURNAL OPTIONS

OPTIONS is JSON, see `processes.WorkerOptions`. A line is written at once and in one piece, so
a kill takes none back.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys

import walnats

JOURNAL = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
OPTIONS = json.loads(sys.argv[2])
EVENT = walnats.Event(OPTIONS['event'], int)


def tell(word: str, number: int) -> None:
    os.write(JOURNAL, f'{word} {number} {os.getpid()}\n'.encode())


async def handle(number: int) -> None:
    tell('begin', number)
    await asyncio.sleep(random.uniform(0, 2 * OPTIONS['job_time']))
    is_deadly = OPTIONS['deadly'] and number % OPTIONS['deadly'] == 0
    if is_deadly or random.random() < OPTIONS['failures']:
        tell('fail', number)
        raise ValueError('bad luck')
    tell('done', number)


ACTOR = walnats.Actor(
    'actor',
    EVENT,
    handle,
    ack_wait=OPTIONS['ack_wait'],
    max_attempts=OPTIONS['max_attempts'],
    retry_delay=(0.1, 0.5),
)


async def main() -> None:
    async with walnats.Actors(ACTOR).connect(OPTIONS['url']) as conn:
        await conn.register()
        tell('ready', 0)
        await conn.listen(max_jobs=OPTIONS['max_jobs'])


asyncio.run(main())
