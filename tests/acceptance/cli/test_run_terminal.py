"""`walnats run` in a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from tests.acceptance.cli.running import BETWEEN_SIGNALS

if TYPE_CHECKING:
    from tests.acceptance.cli.running import Service

TARGET = 'service:ACTORS'
CTRL_C = b'\x03'
GREEN = '\x1b[32m'


async def test_ctrl_c_is_one_signal_for_all_processes(service: Service) -> None:
    async with service.run_in_terminal(TARGET, '--processes', '2') as (running, keyboard):
        await running.expect('is listening')
        await running.expect('is listening')
        await service.emit(10)
        await running.expect('started 10')
        os.write(keyboard, CTRL_C)
        await running.expect('SIGINT.*: shutting down')
        await running.expect('handled 10')
        assert await running.wait() == 0
    text = '\n'.join(running.lines)
    assert GREEN in text
    assert 'Traceback' not in text
    await service.wait_settled()


async def test_ctrl_c_twice(service: Service) -> None:
    service.environment['NO_COLOR'] = '1'
    async with service.run_in_terminal(TARGET) as (running, keyboard):
        await running.expect('is listening')
        await service.emit(600)
        await running.expect('started 600')
        os.write(keyboard, CTRL_C)
        await running.expect('shutting down')
        await asyncio.sleep(BETWEEN_SIGNALS)
        os.write(keyboard, CTRL_C)
        assert await running.wait() == 130
    assert '\x1b' not in '\n'.join(running.lines)
    assert await service.take(1) == [600]


async def test_a_debugger_can_be_called(service: Service) -> None:
    service.change("say('handled', number)", "breakpoint()\n    say('handled', number)")
    async with service.run_in_terminal(TARGET) as (running, keyboard):
        await running.expect('is listening')
        await service.emit(1)
        await running.expect('service.py')
        os.write(keyboard, b'number + 41\n')
        await running.expect('^42')
        os.write(keyboard, b'continue\n')
        await running.expect('handled 1')
        running.send(signal.SIGTERM)  # Ctrl-C would be for the debugger now
        assert await running.wait() == 0
