"""What an actor believes to have asked for, beside what the server does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from walnats._jetstream.pull import Pull

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Stage


async def test_what_was_served_by_turns_is_not_waited_for(stage: Stage) -> None:
    """Both requests are served by turns, so the smaller one is over first, without a word."""
    delivered: list[Any] = []
    changed = asyncio.Event()
    async with stage.connect(stage.actor(stage.seen())) as conn:
        pull = Pull(
            conn.connection,
            stage.event.stream_name,
            'actor',
            on_delivery=delivered.append,
            on_change=changed.set,
        )
        await pull.open()
        await pull.ask(10, expires=1, no_wait=True)
        await pull.ask(2, expires=1, no_wait=True)
        await conn.connection.flush()
        await stage.publish(range(6))
        async with asyncio.timeout(1.5):  # by then no request lasts any more
            while pull.outstanding:
                changed.clear()
                await changed.wait()
        assert delivered
        await pull.close()
