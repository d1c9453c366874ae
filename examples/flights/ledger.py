"""The ledger: what each process did, in files that outlive the processes.

It stands for the database of a real service, and it is what gets counted in the end.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Step(Enum):
    BEGUN = 'begun'
    DONE = 'done'
    REFUSED = 'refused'


class Job(NamedTuple):
    """What an actor does about one flight. The same job twice is a repeat."""

    actor: str
    event: str
    flight: str


class Line(NamedTuple):
    """What a handler writes down: which airport or airline it is about, and the delay.

    If the job was refused, it is about the reason.
    """

    about: str
    minutes: int = 0


@dataclass(frozen=True)
class Entry:
    """A step that a process has made."""

    process: str
    step: Step
    job: Job
    line: Line | None = None

    @property
    def is_last(self) -> bool:
        """If the job was over with it."""
        return self.step is not Step.BEGUN


class Ledger:
    """The file that one process writes."""

    def __init__(self, process: str, file: BinaryIO) -> None:
        self._process = process
        self._file = file

    def note(self, step: Step, job: Job, line: Line | None = None) -> None:
        entry = Entry(self._process, step, job, line)
        self._file.write(msgspec.json.encode(entry) + b'\n')


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    # Without a buffer: what was written is in the file even if the process is killed.
    with path.open('ab', buffering=0) as file:
        yield Ledger(path.stem, file)


class Ledgers:
    """The files of all processes, read while they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def path(self, process: str) -> Path:
        return self._folder / f'{process}.jsonl'

    def read(self) -> list[Entry]:
        """Read what is new since the last time."""
        lines = [line for path in self._folder.iterdir() for line in self._read_lines(path)]
        return [msgspec.json.decode(line, type=Entry) for line in lines]

    def _read_lines(self, path: Path) -> list[bytes]:
        """Read the lines that are whole: the last one may still be in the making."""
        offset = self._offsets.get(path, 0)
        with path.open('rb') as file:
            file.seek(offset)
            lines = [line for line in file if line.endswith(b'\n')]
        self._offsets[path] = offset + sum(map(len, lines))
        return lines
