"""A worker whose handler blocks its event loop: others take over what it holds."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import walnats

if TYPE_CHECKING:
    from pathlib import Path

BLOCKED = """
import asyncio, sys, time
import walnats

def handle(_: int) -> None:
    print('blocked', flush=True)
    time.sleep(60)

async def main() -> None:
    event = walnats.Event(sys.argv[2], int)
    actor = walnats.Actor('actor', event, handle, ack_wait=1)
    async with walnats.Actors(actor).connect(sys.argv[1]) as conn:
        await conn.listen()

asyncio.run(main())
"""


async def test_another_worker_gets_the_message(
    server_url: str, unique: str, tmp_path: Path
) -> None:
    script = tmp_path / 'blocked.py'
    script.write_text(BLOCKED)
    event = walnats.Event(unique, int)
    taken: asyncio.Queue[int] = asyncio.Queue()
    actor = walnats.Actor('actor', event, taken.put, ack_wait=1)
    async with walnats.Actors(actor).connect(server_url) as conn:
        await conn.register()
        async with walnats.Events(event).connect(conn) as events:
            await events.emit(event, 7, sync=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), server_url, unique), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(15):
                assert await process.stdout.readline() == b'blocked\n'
                listening = asyncio.create_task(conn.listen())
                assert await taken.get() == 7
                await conn.shutdown()
                await listening
        finally:
            process.kill()
            await process.wait()
