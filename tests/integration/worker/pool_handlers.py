"""Handlers for the tests of pools: importable, and doing what their message says.

They tell what they do by files in the folder of the message, because they may run in a
process of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Task:
    """The message."""

    n: int
    folder: str
    do: str = 'nothing'

    def path(self, name: str) -> Path:
        return Path(self.folder) / name


class TwoArgumentsError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f'{one} and {two}')


def work(task: Task) -> Any:
    """Note the start with who runs it, do what is to be done, note the end."""
    attempt = 1 + sum(1 for _ in Path(task.folder).glob(f'{task.n}.start.*[0-9]'))
    who = f'{os.getpid()} {threading.current_thread().name}'
    write(task.path(f'{task.n}.start.{attempt}'), who)
    result = DEEDS[task.do](task, attempt)
    write(task.path(f'{task.n}.end.{attempt}'), who)
    return result


def write(path: Path, text: str) -> None:
    """Have the file appear with all that is in it."""
    draft = path.with_name(f'{path.name}.draft')
    draft.write_text(text)
    draft.rename(path)


def wait(task: Task, _attempt: int) -> None:
    deadline = time.monotonic() + 30
    while not task.path('go').exists():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def wait_first(task: Task, attempt: int) -> None:
    if attempt == 1:
        wait(task, attempt)


def exit_first(_task: Task, attempt: int) -> None:
    if attempt == 1:
        os._exit(3)


def fail_first(error: BaseException) -> Any:
    def fail(_task: Task, attempt: int) -> None:
        if attempt == 1:
            raise error

    return fail


def fail_oddly(_task: Task, attempt: int) -> None:
    if attempt == 1:
        error = ValueError('odd')
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error


def fail_locally(_task: Task, attempt: int) -> None:
    class LocalError(Exception):
        pass

    if attempt == 1:
        raise LocalError('here')


def fail_with_two(_task: Task, _attempt: int) -> None:
    raise TwoArgumentsError('salt', 'pepper')


async def nothing() -> None: ...


def give_coroutine(_task: Task, attempt: int) -> Any:
    return nothing() if attempt == 1 else None


def give_lock(_task: Task, _attempt: int) -> Any:
    return threading.Lock()


def signal_child(task: Task, _attempt: int) -> None:
    """A program that a handler starts can be ended as usual."""
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])
    child.terminate()
    write(task.path('child'), str(child.wait(10) == -signal.SIGTERM))


DEEDS: dict[str, Any] = {
    'nothing': lambda _task, _attempt: None,
    'wait': wait,
    'wait first': wait_first,
    'exit': exit_first,
    'SystemExit': fail_first(SystemExit(3)),
    'KeyboardInterrupt': fail_first(KeyboardInterrupt()),
    'StopIteration': fail_first(StopIteration(3)),
    'odd error': fail_oddly,
    'local error': fail_locally,
    'two arguments': fail_with_two,
    'coroutine': give_coroutine,
    'lock': give_lock,
    'child': signal_child,
}


class Unpicklable:
    """A handler that can't be sent to a process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, task: Task) -> None: ...


def count_letters(text: str) -> int:
    return len(text)
