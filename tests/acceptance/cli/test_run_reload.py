"""`walnats run --reload` and `--dev`: an edited handler is live soon, and no message is lost."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import walnats

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.cli.running import Running, Service

TARGET = 'service:ACTORS'
NUMBERS = list(range(100))


async def test_an_edited_handler_is_live_within_two_seconds(service: Service) -> None:
    """Messages come all the while, and one of the jobs would take a minute."""
    async with service.run(TARGET, '--dev') as running:
        url = (await running.expect(r'nats-server for development: (\S+)'))[1]
        await running.expect('is listening')
        async with walnats.Events(service.event).connect(url) as conn:
            await conn.emit(service.event, 600, sync=True)
            await running.expect('started 600')
            times = [await _edit(service, running, conn, 'edited')]
            while min(times) > 2 and len(times) < 3:  # the machine may be busy with other tests
                times.append(await _edit(service, running, conn, f'edited {len(times)}'))
            assert min(times) < 2, times
        running.send(signal.SIGINT)
        assert await running.wait() == 0
    handled = [re.search(r'handled (\d+)$', line) for line in running.lines]
    expected = [600, *NUMBERS * len(times)]
    assert sorted(int(found[1]) for found in handled if found) == sorted(expected)
    assert any(re.fullmatch('edited.* handled 600', line) for line in running.lines)


async def _edit(
    service: Service, running: Running, conn: walnats.types.ConnectedEvents, mark: str
) -> float:
    """Edit the handler while messages come. Give the seconds until the new one has handled one."""
    emitting = asyncio.create_task(_emit(conn, service.event))
    await running.expect(f'handled {NUMBERS[1]}$')
    source = service.path.read_text().replace('number / 10', '0')
    service.path.write_text(re.sub(r"say\(.*'handled'", f"say('{mark}', 'handled'", source))
    edited_at = time.monotonic()
    await running.expect('changed: service.py; reloading')
    await running.expect(f'{mark} handled')
    seconds = time.monotonic() - edited_at
    await emitting
    await running.expect(f'handled {NUMBERS[-1]}$')
    return seconds


async def _emit(conn: walnats.types.ConnectedEvents, event: walnats.Event[int]) -> None:
    for number in NUMBERS:
        await conn.emit(event, number, sync=True)
        await asyncio.sleep(0.01)


async def test_after_an_error_the_next_edit_is_waited_for(service: Service) -> None:
    async with service.run(TARGET, '--reload') as running:
        await running.expect('is listening')
        good = service.path.read_text()
        service.path.write_text('def broken(:\n')
        await running.expect(r"'service:ACTORS' can't be imported: SyntaxError: .*line 1\)")
        await running.expect('waiting for a change')
        service.path.write_text(good)
        await running.expect('is listening')
        _edit_fast(service.path, good.replace('handled', 'HANDLED'))
        await running.expect('is listening')
        await service.emit(0)
        await running.expect('HANDLED 0')
        service.path.write_text('')
        await running.expect("there is no 'ACTORS'; there is nothing")
        await running.expect('waiting for a change')
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
    output = '\n'.join(running.lines)
    assert 'Traceback' not in output
    assert 'the next one starts' not in output


async def test_dev_has_a_server_of_its_own(service: Service) -> None:
    async with service.run(TARGET, '--dev', '--server', 'nats://localhost') as running:
        assert await running.wait() == 1
    assert re.fullmatch('error: --dev brings a nats-server of its own: .*', running.lines[-1])


def _edit_fast(path: Path, source: str) -> None:
    """Leave size and time as they were: so Python would take the bytecode of before."""
    before = path.stat()
    assert len(source) == before.st_size
    path.write_text(source)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
