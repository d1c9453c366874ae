"""Handlers in threads and processes: off the loop, and none of them harms the others."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import signal
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.worker import pool_handlers
from tests.integration.worker.pool_handlers import Task, work

import walnats
from walnats import ExecuteIn
from walnats.errors import DeclarationError
from walnats.middlewares import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.worker.conftest import Stage

    from walnats.types import ConnectedActors

PATIENCE = 15.0
POOLS = [ExecuteIn.THREAD, ExecuteIn.PROCESS]
each_pool = pytest.mark.parametrize('pool', POOLS, ids=lambda pool: pool.name)


class Place:
    """An event whose messages are tasks, and the folder in which handlers tell what they do."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.event = walnats.Event(stage.event.name, Task)

    def actor(self, pool: ExecuteIn, name: str = 'actor', **options: Any) -> Any:
        handler = options.pop('handler', work)
        options = {'retry_delay': (0,), 'ack_wait': 30, **options}
        return walnats.Actor(name, self.event, handler, execute_in=pool, **options)

    async def publish(self, *deeds: str, first: int = 1) -> None:
        for number, deed in enumerate(deeds, first):
            task = {'n': number, 'folder': str(self.folder), 'do': deed}
            await self.stage.publish_raw(json.dumps(task).encode())

    def go(self) -> None:
        (self.folder / 'go').touch()

    async def wait(self, pattern: str, count: int = 1) -> list[tuple[int, str]]:
        """Wait for so many files, and give what they say: process and thread."""
        async with asyncio.timeout(PATIENCE):
            while len(self.files(pattern)) < count:
                await asyncio.sleep(0.005)
        lines = [path.read_text().split(' ', 1) for path in self.files(pattern)]
        return [(int(pid), thread) for pid, thread in lines]

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern))

    def names(self, pattern: str) -> list[str]:
        return [path.name for path in self.files(pattern)]

    @contextlib.asynccontextmanager
    async def listening(self, *actors: Any, **options: Any) -> AsyncIterator[ConnectedActors]:
        async with self.stage.listening(*actors, **options) as conn:
            yield conn


@pytest.fixture
def place(stage: Stage, tmp_path: Path) -> Place:
    return Place(stage, tmp_path)


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == 'walnats.actor']


async def wait_gone(pid: int) -> None:
    """Wait until the process is no more."""
    async with asyncio.timeout(PATIENCE):
        while is_alive(pid):
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'


# --- Where handlers run ------------------------------------------------------------------


async def test_a_thread_is_not_that_of_the_loop(place: Place) -> None:
    async with place.listening(place.actor(ExecuteIn.THREAD)):
        await place.publish('nothing')
        ((pid, thread),) = await place.wait('1.end.1')
        await place.stage.wait_settled()
    assert pid == os.getpid()
    assert thread.startswith('walnats')


async def test_a_process_is_another_one_and_is_used_again(place: Place) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS, max_jobs=1)):
        await place.publish(*['nothing'] * 5)
        found = await place.wait('*.end.1', 5)
        await place.stage.wait_settled()
    ((pid, _),) = set(found)
    assert pid != os.getpid()


async def test_actors_of_all_kinds_in_one_worker(place: Place) -> None:
    seen: list[int] = []
    actors = [
        place.actor(ExecuteIn.MAIN, 'main', handler=lambda task: seen.append(task.n)),
        place.actor(ExecuteIn.THREAD, 'thread', handler=lambda task: seen.append(-task.n)),
        place.actor(ExecuteIn.PROCESS, 'process'),
    ]
    async with place.listening(*actors):
        await place.publish(*['nothing'] * 20)
        for actor in actors:
            await place.stage.wait_settled(actor.name)
    assert sorted(seen) == sorted([*range(1, 21), *range(-20, 0)])
    assert len(place.files('*.end.1')) == 20


async def test_a_thread_sees_what_start_hooks_set_and_keeps_what_it_sets(place: Place) -> None:
    color: ContextVar[str] = ContextVar('color', default='none')
    seen: list[str] = []

    class Paint(Middleware):
        def on_start(self, ctx: Any, /) -> None:
            color.set('red')

        def on_success(self, ctx: Any, /) -> None:
            seen.append(f'after: {color.get()}')

    def handler(_: Task) -> None:
        seen.append(color.get())
        color.set('blue')

    actor = place.actor(ExecuteIn.THREAD, handler=handler, middlewares=(Paint(),), max_jobs=1)
    async with place.listening(actor):
        await place.publish('nothing', 'nothing')
        await place.stage.wait_settled()
    assert seen == ['red', 'after: red'] * 2


async def test_the_bound_of_threads_and_the_loop_stays_free(place: Place) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def handler(task: Task) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        work(task)
        with lock:
            running -= 1

    async with place.listening(place.actor(ExecuteIn.THREAD, handler=handler), max_threads=2):
        await place.publish(*['wait'] * 6)
        await place.wait('*.start.1', 2)
        await place.stage.until(holds, place.stage, 6)
        place.go()
        await place.stage.wait_settled()
    assert most == 2


async def holds(stage: Stage, count: int) -> bool:
    return (await stage.info()).num_ack_pending == count


async def test_the_bound_of_processes(place: Place) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS), max_processes=2):
        await place.publish(*['wait'] * 6)
        await place.wait('*.start.1', 2)
        await place.stage.until(holds, place.stage, 6)
        assert len(place.files('*.start.1')) == 2
        place.go()
        await place.stage.wait_settled()
        found = await place.wait('*.end.1', 6)
    assert len(set(found)) == 2


# --- What can't be sent to a process -----------------------------------------------------


@pytest.mark.parametrize(
    'handler',
    [
        lambda _: None,
        pool_handlers.Unpicklable(),
        functools.partial(print, threading.Lock()),
    ],
    ids=['lambda', 'lock', 'partial'],
)
async def test_a_handler_that_can_not_be_sent_is_refused_at_listen(
    place: Place, handler: Any
) -> None:
    actor = place.actor(ExecuteIn.PROCESS, 'send-mail', handler=handler)
    async with place.stage.connect(actor) as conn:
        with pytest.raises(DeclarationError, match=r"'send-mail'.*importable"):
            await conn.listen()


@each_pool
def test_an_async_handler_is_refused_when_declared(pool: ExecuteIn) -> None:
    async def handler(_: int) -> None: ...

    with pytest.raises(DeclarationError, match=r"'actor'.*MAIN"):
        walnats.Actor('actor', walnats.Event('e', int), handler, execute_in=pool)


async def test_what_is_returned_to_nobody_need_not_be_picklable(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS)):
        await place.publish('lock')
        await place.stage.wait_settled()
    assert failures(caplog) == []
    assert place.names('*.end.*') == ['1.end.1']


# --- Failures ----------------------------------------------------------------------------


@each_pool
@pytest.mark.parametrize(
    ('deed', 'name'),
    [
        ('SystemExit', 'SystemExit'),
        ('KeyboardInterrupt', 'KeyboardInterrupt'),
        ('StopIteration', 'RuntimeError'),
        ('odd error', 'ValueError'),
        ('coroutine', 'TypeError'),
    ],
)
async def test_what_a_handler_in_a_pool_raises_is_a_failure(
    place: Place, caplog: pytest.LogCaptureFixture, pool: ExecuteIn, deed: str, name: str
) -> None:
    async with place.listening(place.actor(pool)):
        await place.publish(deed)
        await place.wait('1.end.2' if deed != 'coroutine' else '1.start.2')
        await place.stage.wait_settled()
        await place.publish('nothing', first=2)
        await place.wait('2.end.1')
    assert failures(caplog) == [f'Unhandled {name} in "actor" actor']
    assert 'pool_handlers.py' in caplog.text or deed == 'coroutine'


@pytest.mark.parametrize(
    ('pool', 'name'),
    [(ExecuteIn.THREAD, 'LocalError'), (ExecuteIn.PROCESS, 'RuntimeError')],
)
async def test_the_type_of_an_error_is_kept_where_that_is_possible(
    place: Place, caplog: pytest.LogCaptureFixture, pool: ExecuteIn, name: str
) -> None:
    async with place.listening(place.actor(pool)):
        await place.publish('local error')
        await place.stage.wait_settled()
    assert failures(caplog) == [f'Unhandled {name} in "actor" actor']
    assert 'LocalError: here' in caplog.text


@each_pool
async def test_give_up_on_knows_the_errors_of_a_pool(
    place: Place, caplog: pytest.LogCaptureFixture, pool: ExecuteIn
) -> None:
    actor = place.actor(pool, give_up_on=(pool_handlers.TwoArgumentsError,))
    async with place.listening(actor):
        await place.publish('two arguments')
        await place.stage.wait_settled()
    assert failures(caplog) == ['Unhandled TwoArgumentsError in "actor" actor']
    assert 'salt and pepper' in caplog.text
    assert 'TwoArgumentsError is not worth a retry' in caplog.text


async def test_a_process_that_exits_fails_its_own_job_only(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS), max_processes=3):
        await place.publish('wait', 'wait')
        await place.wait('*.start.1', 2)
        await place.publish('exit', first=3)
        await place.wait('3.end.2')
        place.go()
        await place.stage.wait_settled()
    assert failures(caplog) == ['Unhandled BrokenProcessPool in "actor" actor']
    assert place.names('*.end.*') == ['1.end.1', '2.end.1', '3.end.2']


async def test_a_process_that_is_killed_fails_its_own_job_only(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS), max_processes=3):
        await place.publish('wait', 'wait', 'wait first')
        ((pid, _),) = await place.wait('3.start.1')
        await place.wait('*.start.1', 3)
        os.kill(pid, signal.SIGKILL)
        await place.wait('3.end.2')
        place.go()
        await place.stage.wait_settled()
    assert failures(caplog) == ['Unhandled BrokenProcessPool in "actor" actor']
    assert place.names('*.end.*') == ['1.end.1', '2.end.1', '3.end.2']


async def test_a_process_that_is_killed_while_idle_fails_no_job(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS), max_processes=1):
        await place.publish('nothing')
        ((pid, _),) = await place.wait('1.end.1')
        await place.stage.wait_settled()
        os.kill(pid, signal.SIGKILL)
        await wait_gone(pid)
        await asyncio.sleep(0.2)  # the executor's thread gives no signal that it knows
        await place.publish('nothing', first=2)
        ((other, _),) = await place.wait('2.end.1')
    assert other != pid
    assert failures(caplog) == []


LAST_PID = '/proc/sys/kernel/ns_last_pid'


@pytest.mark.skipif(not os.access(LAST_PID, os.W_OK), reason='ids of processes can not be chosen')
async def test_who_has_the_id_of_a_process_that_is_gone_is_left_alone(place: Place) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS), max_processes=1):
        await place.publish('nothing')
        ((pid, _),) = await place.wait('1.end.1')
        os.kill(pid, signal.SIGKILL)
        await wait_reaped(pid)
        Path(LAST_PID).write_text(str(pid - 1))
        stranger = await asyncio.create_subprocess_exec('sleep', '60')
        try:
            if stranger.pid != pid:
                pytest.skip('another program was faster')
            await place.publish('nothing', first=2)
            await place.wait('2.end.1')
            assert is_alive(pid)
        finally:
            stranger.kill()
            await stranger.wait()


async def wait_reaped(pid: int) -> None:
    """Wait until the id may be given to another process."""
    async with asyncio.timeout(PATIENCE):
        while Path(f'/proc/{pid}').exists():
            await asyncio.sleep(0.01)


async def test_a_thread_that_can_not_be_started_fails_its_own_job_only(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    failed = asyncio.Event()

    class Note(Middleware):
        def on_failure(self, _: Any, /) -> None:
            threading.stack_size(0)
            failed.set()

    actor = place.actor(ExecuteIn.THREAD, middlewares=[Note()])
    async with place.listening(actor, max_threads=1) as conn:
        await place.stage.until(is_listening, conn)
        threading.stack_size(1 << 47)  # no thread can have so much
        try:
            await place.publish('nothing')
            await asyncio.wait_for(failed.wait(), PATIENCE)
        finally:
            threading.stack_size(0)
        await place.wait('1.end.*')
        await place.stage.wait_settled()
    assert failures(caplog) == ['Unhandled RuntimeError in "actor" actor']


async def is_listening(conn: ConnectedActors) -> bool:
    return conn.status.listening


async def test_signals_to_the_whole_group_are_the_workers_affair(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.listening(place.actor(ExecuteIn.PROCESS), max_processes=1):
        await place.publish('wait')
        ((pid, _),) = await place.wait('1.start.1')
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        await place.publish('child', first=2)
        place.go()
        await place.wait('2.end.1')
        await place.stage.wait_settled()
    assert failures(caplog) == []
    assert (place.folder / 'child').read_text() == 'True'


# --- Timeouts ----------------------------------------------------------------------------


@each_pool
async def test_a_job_that_runs_into_its_timeout_has_failed_but_keeps_its_slot(
    place: Place, caplog: pytest.LogCaptureFixture, pool: ExecuteIn
) -> None:
    stage = place.stage
    actor = place.actor(pool, max_jobs=1, job_timeout=0.3)
    async with place.listening(actor):
        await place.publish('wait first')
        await stage.until(has_failed, caplog)
        await place.publish('nothing', first=2)
        # The worker can run neither now, so it leaves both to others.
        assert sorted(await stage.take(2, PATIENCE)) == [1, 2]
        assert (await stage.info()).num_waiting == 0
        assert place.names('*.start.*') == ['1.start.1']
        place.go()
        await place.wait('1.end.1')
        await place.publish('nothing', first=3)
        await place.wait('3.end.1')
        await stage.wait_settled()
    assert failures(caplog) == ['Unhandled TimeoutError in "actor" actor']
    assert place.names('*.end.*') == ['1.end.1', '3.end.1']


async def has_failed(caplog: pytest.LogCaptureFixture) -> bool:
    return bool(failures(caplog))


async def test_stuck_threads_leave_the_messages_of_all_actors_to_other_workers(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    stage = place.stage
    stuck = place.actor(ExecuteIn.THREAD, 'stuck', job_timeout=0.2, max_jobs=2)
    seen: list[int] = []
    actor = place.actor(ExecuteIn.MAIN, handler=lambda task: seen.append(task.n))
    async with place.listening(stuck, actor, max_jobs=2):
        await place.publish('wait', 'wait')
        async with asyncio.timeout(PATIENCE):
            while len(failures(caplog)) < 2:
                await asyncio.sleep(0.01)
        await place.publish('nothing', first=3)
        # What was asked for before is held for a moment, but not for good.
        await stage.until(other_worker_gets, stage, 'actor', seen)
        place.go()
        await stage.wait_settled('stuck')


async def other_worker_gets(stage: Stage, name: str, seen: list[int]) -> bool:
    return bool(await stage.take(1, 1, name)) or 3 in seen


# --- Ending ------------------------------------------------------------------------------


async def test_a_thread_that_goes_on_does_not_keep_the_loop_from_its_end(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr('walnats._worker.run._HAND_BACK_TIMEOUT', 0.1)
    before = asyncio.all_tasks()
    async with place.stage.connect(place.actor(ExecuteIn.THREAD)) as conn:
        await place.publish('wait')
        listening = asyncio.create_task(conn.listen())
        await place.wait('1.start.1')
        listening.cancel()
        await asyncio.wait({listening})
    left = asyncio.all_tasks() - before
    for task in left:  # as `asyncio.run` does it at the end
        task.cancel()
    _, going_on = await asyncio.wait(left, timeout=1)
    place.go()
    assert left
    assert not going_on
    assert 'but not by the worker' not in caplog.text


@each_pool
async def test_shutdown_waits_for_jobs_in_pools(place: Place, pool: ExecuteIn) -> None:
    async with place.stage.connect(place.actor(pool)) as conn:
        await place.publish('wait')
        task = asyncio.create_task(conn.listen())
        await place.wait('1.start.1')
        ending = asyncio.create_task(conn.shutdown())
        await asyncio.sleep(0.05)
        assert not task.done()
        place.go()
        await ending
        await task
        await place.stage.until(is_settled, place.stage)
    assert place.names('*.end.*') == ['1.end.1']


async def is_settled(stage: Stage) -> bool:
    return await stage.unsettled() == 0


@each_pool
async def test_cancelling_hands_the_message_back_once_its_job_in_a_pool_ends(
    place: Place, pool: ExecuteIn
) -> None:
    async with place.stage.connect(place.actor(pool)) as conn:
        await place.publish('wait')
        task = asyncio.create_task(conn.listen())
        await place.wait('1.start.1')
        task.cancel()
        others = asyncio.create_task(place.stage.take(1, PATIENCE))
        await asyncio.sleep(0.2)
        assert not others.done()  # the job still runs: another one beside it is too early
        assert not task.done()
        place.go()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1):
            assert await others == [1]
    assert place.names('*.end.*') == ['1.end.1']


@each_pool
async def test_cancelling_takes_a_bounded_time_whatever_the_pool_does(
    place: Place, pool: ExecuteIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('walnats._worker.run._HAND_BACK_TIMEOUT', 0.5)
    async with place.stage.connect(place.actor(pool)) as conn:
        await place.publish('wait')
        task = asyncio.create_task(conn.listen())
        ((pid, _),) = await place.wait('1.start.1')
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 0.4 < time.monotonic() - began < 2
        if pool is ExecuteIn.PROCESS:
            await wait_gone(pid)
        place.go()


async def test_no_process_is_left_after_listen(place: Place) -> None:
    async with place.stage.connect(place.actor(ExecuteIn.PROCESS)) as conn:
        await place.publish(*['wait'] * 2)
        task = asyncio.create_task(conn.listen(max_processes=2))
        found = await place.wait('*.start.1', 2)
        place.go()
        await place.stage.wait_settled()
        await conn.shutdown()
        await task
    for pid, _ in found:
        await wait_gone(pid)


PROGRAM = """
import asyncio, sys
import walnats
from tests.integration.worker.pool_handlers import Task, work

EVENT = walnats.Event(sys.argv[1], Task)
ACTOR = walnats.Actor('actor', EVENT, work, execute_in=walnats.ExecuteIn.PROCESS, ack_wait=1)

async def main() -> None:
    async with walnats.Actors(ACTOR, dead_letters=None).connect() as conn:
        await conn.listen()

if __name__ == '__main__':
    asyncio.run(main())
"""


async def test_no_process_is_left_when_its_worker_is_killed(place: Place, tmp_path: Path) -> None:
    program = tmp_path / 'worker.py'
    program.write_text(PROGRAM)
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, *filter(None, [os.environ.get('PYTHONPATH')])])
    async with place.stage.connect(place.actor(ExecuteIn.PROCESS, ack_wait=1)):
        await place.publish('wait')
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, program, place.event.name),
            env={**os.environ, 'NATS_SERVER': place.stage.url, 'PYTHONPATH': path},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        ((pid, _),) = await place.wait('1.start.1')
        assert pid != worker.pid
        worker.kill()
        await worker.wait()
        await wait_gone(pid)


async def test_a_thread_that_outlives_its_worker_does_no_harm(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr('walnats._worker.run._HAND_BACK_TIMEOUT', 0.2)
    threads: list[threading.Thread] = []

    def handler(task: Task) -> None:
        threads.append(threading.current_thread())
        work(task)

    async with place.stage.connect(place.actor(ExecuteIn.THREAD, handler=handler)) as conn:
        await place.publish('wait')
        task = asyncio.create_task(conn.listen())
        await place.wait('1.start.1')
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        place.go()
        threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    # Nothing from the pool or the loop: only that the message is left to others.
    assert {each.name for each in warnings} == {'walnats.worker'}
    assert all('will be delivered again' in each.getMessage() for each in warnings)
