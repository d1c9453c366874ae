"""`walnats run`: jobs, signals, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from typing import TYPE_CHECKING

from tests.acceptance.cli.running import BETWEEN_SIGNALS, cmdline, wait_dead

import walnats

if TYPE_CHECKING:
    from tests.acceptance.cli.commands import Commands
    from tests.acceptance.cli.running import Service

TARGET = 'service:ACTORS'

ONE_OF_THEM_CRASHES = """
import os
try:
    os.mkdir('taken')
except FileExistsError:
    os._exit(3)
"""

CONTEXT = """
import contextlib
import walnats

EVENT = walnats.Event({event!r}, int)

@contextlib.asynccontextmanager
async def worker():
    print('opened', flush=True)
    async with walnats.Events(EVENT).connect() as events:
        async def handle(number: int) -> None:
            if number:
                await events.emit(EVENT, number - 1)
            print('handled', number, flush=True)

        yield walnats.Actors(walnats.Actor('actor', EVENT, handle), dead_letters=None)
    print('closed', flush=True)
"""

WRONG_TARGETS = """
import contextlib

number = 3

def needy(argument): ...

async def plain(): ...

@contextlib.asynccontextmanager
async def three():
    yield 3

@contextlib.asynccontextmanager
async def failing():
    raise ZeroDivisionError('by what?')
    yield
"""
NO_CONTEXT = 'nor can it be called without arguments to give a context that yields one'
WRONG = [
    f"error: 'service:number' is 3, not Actors, {NO_CONTEXT}",
    f"error: 'service:needy' is <function needy .*>, not Actors, {NO_CONTEXT}",
    "error: 'service:plain' gives <coroutine .*> when it is called, not an .*",
    "error: the context of 'service:three' yields 3, not an Actors",
    r"error: 'service:failing': ZeroDivisionError: by what\? \(.*/service.py, line 16\)",
]


async def test_on_the_first_signal_jobs_end(service: Service) -> None:
    async with service.run(TARGET) as running:
        await running.expect('is listening')
        await service.emit(5)
        await running.expect('started 5')
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
        assert 'handled 5' in running.lines
        assert '\x1b' not in ''.join(running.lines)
    await service.wait_settled()


async def test_after_the_grace_jobs_are_handed_back(service: Service) -> None:
    async with service.run(TARGET, '--grace', '0.3') as running:
        await running.expect('is listening')
        await service.emit(600)
        await running.expect('started 600')
        began = time.monotonic()
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
        assert time.monotonic() - began < 3
    assert await service.take(1) == [600]


async def test_the_second_signal_hands_back_at_once(service: Service) -> None:
    async with service.run(TARGET, '--uvloop') as running:
        await running.expect('is listening')
        await service.emit(600)
        await running.expect('started 600')
        running.send(signal.SIGTERM)
        running.send(signal.SIGINT)
        await asyncio.sleep(BETWEEN_SIGNALS)  # two at once are one
        began = time.monotonic()
        running.send(signal.SIGTERM)
        assert await running.wait() == 143
        assert time.monotonic() - began < 3
    assert await service.take(1) == [600]


async def test_a_signal_while_it_starts(service: Service) -> None:
    service.write('import time\ntime.sleep(60)')
    async with service.run(TARGET) as running:
        async with asyncio.timeout(10):
            while not running.children():
                await asyncio.sleep(0.01)
        running.send(signal.SIGTERM)
        assert await running.wait() == 0


async def test_sigterm_under_load_leaves_nothing_to_wait_for(service: Service) -> None:
    service.change('number / 10', '0.01')
    total = 600
    async with service.run(TARGET, '--processes', '2') as running:
        await running.expect('is listening')
        await running.expect('is listening')
        emitting = asyncio.create_task(service.emit(*range(total)))
        await running.expect('handled 150')
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
        await emitting
        handled = [int(line.split()[1]) for line in running.lines if line.startswith('handled')]
    # `ack_wait` is 30 s: what waited for it would not be there in time.
    actors = walnats.Actors(
        walnats.Actor('actor', service.event, handled.append, ack_wait=30), dead_letters=None
    )
    async with asyncio.timeout(10), actors.connect(service.environment['NATS_SERVER']) as conn:
        await conn.listen(burst=True, poll_delay=0.2)
    assert sorted(handled) == list(range(total))
    await service.wait_settled()


async def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(service: Service) -> None:
    service.change('ack_wait=30', 'ack_wait=1')
    service.change('number / 10', '0.02')
    async with service.run(TARGET, '--processes', '2') as running:
        await running.expect('is listening')
        await running.expect('is listening')
        first, _ = running.children()
        await service.emit(*range(100))
        await running.expect('handled 20')
        os.kill(first, signal.SIGKILL)
        await running.expect(rf'worker . \(pid {first}\) was ended by SIGKILL; the next one starts')
        await running.expect('is listening')
        await service.wait_settled()
        assert first not in running.children()
        assert len(running.children()) == 2
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
    assert {line for line in running.lines if line.startswith('handled')} == {
        f'handled {number}' for number in range(100)
    }


async def test_workers_end_their_jobs_if_the_supervisor_is_killed(service: Service) -> None:
    async with service.run(TARGET, '--processes', '2') as running:
        await running.expect('is listening')
        await running.expect('is listening')
        running.send(signal.SIGSTOP)
        await service.emit(5)
        await running.expect('handled 5')  # by then it hasn't read what they have reported
        await service.emit(10)
        await running.expect('started 10')
        children = running.children()
        running.send(signal.SIGKILL)
        await running.expect('handled 10')
        await wait_dead(*children)
    await service.wait_settled()


async def test_a_worker_that_blocks_for_ever_is_ended(service: Service) -> None:
    """By its supervisor, and by itself if that is gone."""
    service.change('await asyncio.sleep(number / 10)', 'time.sleep(600)')
    async with (
        service.run(TARGET, '--grace', '0') as stopped,
        service.run(TARGET, '--grace', '0') as killed,
    ):
        for running in (stopped, killed):
            await running.expect('is listening')
        children = [*stopped.children(), *killed.children()]
        await service.emit(*range(32))  # more than one of them takes
        for running in (stopped, killed):
            await running.expect('started')
        stopped.send(signal.SIGTERM)
        killed.send(signal.SIGKILL)
        assert await stopped.wait() == 1
        assert re.match(r'error: worker \(pid \d+\) did not end in time', stopped.lines[-1])
        await wait_dead(*children)


async def test_sigterm_to_a_worker_has_it_replaced_in_order(service: Service) -> None:
    async with service.run(TARGET) as running:
        await running.expect('is listening')
        await service.emit(5)
        await running.expect('started 5')
        os.kill(running.children()[0], signal.SIGTERM)
        await running.expect('handled 5')
        await running.expect('ended with code 0; the next one starts')
        await running.expect('is listening')


async def test_a_crash_loop_ends_it(service: Service) -> None:
    """What the other worker has begun is done."""
    service.write(ONE_OF_THEM_CRASHES + service.path.read_text())
    async with service.run(TARGET, '--processes', '2') as running:
        await running.expect('is listening')
        await service.emit(*[50] * 4)
        assert await running.wait() == 1
    output = '\n'.join(running.lines)
    assert output.count('ended with code 3; the next one starts') == 4
    assert output.count('handled 50') == 4
    end = r'worker . \(pid \d+\) ended with code 3; .* within 60 s'
    assert re.search(f'shutting down: {end}', output)
    assert re.fullmatch(f'error: {end}', running.lines[-1])
    await service.wait_settled()


async def test_a_consumer_that_is_removed_is_made_again(service: Service, unique: str) -> None:
    async with service.run(TARGET) as running:
        await running.expect('is listening')
        await service.remove_consumer()
        await running.expect("actor 'actor' of event .* has no consumer.*; the next one starts")
        await running.expect('is listening')
        await service.emit(0)
        await running.expect('handled 0')


async def test_without_registering_a_missing_consumer_is_an_error(service: Service) -> None:
    async with service.run(TARGET, '--no-register') as running:
        assert await running.wait() == 1
    assert re.fullmatch("error: actor 'actor' of event .* has no consumer .*", running.lines[-1])


async def test_a_burst_ends_when_all_processes_are_done(service: Service) -> None:
    await service.register()
    await service.emit(*range(10))
    async with service.run(TARGET, '--burst', '--processes', '2') as running:
        assert await running.wait() == 0
    assert sum(line.startswith('handled') for line in running.lines) == 10
    await service.wait_settled()


async def test_a_burst_whose_worker_dies_fails(service: Service) -> None:
    await service.register()
    await service.emit(0)
    service.change("say('handled', number)", 'os._exit(7)')
    async with service.run(TARGET, '--burst') as running:
        assert await running.wait() == 1
    assert re.fullmatch(r'error: worker \(pid \d+\) ended with code 7', running.lines[-1])


async def test_what_the_target_opens_is_closed_at_the_end(service: Service) -> None:
    service.write(CONTEXT)
    # asyncio imports a module of this name.
    (service.path.parent / 'queue.py').write_text('raise ImportError')
    # The handler emits to the NATS of --server, too.
    url = service.environment.pop('NATS_SERVER')
    async with service.run('service:worker', '--server', f'{url},{url}') as running:
        await running.expect('is listening')
        await service.emit(1)
        await running.expect('handled 0')
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
    told = [line for line in running.lines if ' ' not in line or line.startswith('handled')]
    assert (told[0], told[-1]) == ('opened', 'closed')


async def test_a_target_that_gives_no_actors(service: Service) -> None:
    service.write(WRONG_TARGETS)

    async def run(name: str) -> str:
        async with service.run(f'service:{name}') as running:
            assert await running.wait() == 1
        return running.lines[-1]

    errors = await asyncio.gather(*map(run, ['number', 'needy', 'plain', 'three', 'failing']))
    for error, expected in zip(errors, WRONG, strict=True):
        assert re.fullmatch(expected, error), error


async def test_an_error_may_be_of_any_text(service: Service, commands: Commands) -> None:
    service.write(WRONG_TARGETS.replace("'by what?'", "'\\udcff' + 'x' * 1_000_000"))
    result = await commands.run('run', 'service:failing')
    error = result.err.splitlines()[-1]
    assert (result.code, len(error) < 5000) == (1, True)
    assert error.startswith(r"error: 'service:failing': ZeroDivisionError: \udcffxxx")


async def test_no_password_is_shown(service: Service) -> None:
    url = service.environment['NATS_SERVER'].replace('://', '://someone:secret@')
    async with service.run(TARGET, '--server', url, '--log-level', 'debug') as running:
        await running.expect('is listening')
        assert [b'secret' in cmdline(pid) for pid in running.children()] == [False]
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
    assert 'secret' not in '\n'.join(running.lines)
