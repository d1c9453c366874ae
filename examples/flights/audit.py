"""The audit: what had to happen, as the file says, against what did, as the ledgers say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .actors import (
    ALERT,
    ANNOUNCED_FROM,
    ARRIVALS,
    BOARD,
    DIVERTED,
    NO_ARRIVAL,
    STATISTICS,
)
from .dataset import MISSING
from .events import DELAY_ANNOUNCED, FLIGHT_CANCELLED, FLIGHT_DEPARTED
from .ledger import Job, Line
from .letters import Letter
from .publisher import PUBLISHER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .dataset import Row
    from .ledger import Entry
    from .letters import Mending

Lines: TypeAlias = 'Mapping[Job, Line | None]'


def expect(flights: Iterable[Row], airlines: Mapping[str, str]) -> Lines:
    """Tell which jobs the rows of the file make, and which line each of them has to write."""
    return {
        Job(actor, event, _key(row)): line
        for row in flights
        for actor, event, line in _expect_of(row, airlines[row['carrier']])
    }


def expect_letters(flights: Iterable[Row]) -> Counter[Letter]:
    """Tell which dead letters the rows of the file make: each of them once."""
    return Counter(
        Letter(_key(row), reason)
        for row in flights
        if row['dep_time'] != MISSING and (reason := _refusal_of(row))
    )


def _key(row: Row) -> str:
    return '{year}-{month:0>2}-{day:0>2} {carrier}{flight}'.format_map(row)


def _expect_of(row: Row, airline: str) -> Iterator[tuple[str, str, Line | None]]:
    airport = row['origin']
    if row['dep_time'] == MISSING:
        yield PUBLISHER, FLIGHT_CANCELLED.name, None
        yield BOARD, FLIGHT_CANCELLED.name, Line(airport)
        yield STATISTICS, FLIGHT_CANCELLED.name, Line(airline)
        return
    minutes = int(row['dep_delay'])
    yield PUBLISHER, FLIGHT_DEPARTED.name, None
    yield BOARD, FLIGHT_DEPARTED.name, Line(airport, minutes)
    yield STATISTICS, FLIGHT_DEPARTED.name, Line(airline, minutes)
    yield ALERT, FLIGHT_DEPARTED.name, Line(airport, minutes)
    if refusal := _refusal_of(row):
        yield ARRIVALS, FLIGHT_DEPARTED.name, Line(refusal)
    else:
        yield ARRIVALS, FLIGHT_DEPARTED.name, Line(row['dest'], int(row['arr_delay']))
    if minutes >= ANNOUNCED_FROM:
        yield BOARD, DELAY_ANNOUNCED.name, Line(airport, minutes)


def _refusal_of(departure: Row) -> str | None:
    if departure['arr_time'] == MISSING:
        return NO_ARRIVAL
    return DIVERTED if departure['arr_delay'] == MISSING else None


def find_problems(expected: Lines, entries: Collection[Entry]) -> list[str]:
    """Say where the ledgers don't agree with the file. If nowhere, it adds up."""
    lines = read_lines(entries)
    cases = {
        'not done': expected.keys() - lines.keys(),
        'done, and not in the file': lines.keys() - expected.keys(),
        'done otherwise than the file says': {
            entry.job
            for entry in _done(entries)
            if entry.line != expected.get(entry.job, entry.line)
        },
    }
    return [
        f'{len(jobs):,} jobs were {what}, such as {" ".join(min(jobs))}'
        for what, jobs in cases.items()
        if jobs
    ]


def find_letter_problems(expected: Counter[Letter], mending: Mending) -> list[str]:
    """Say where the dead letters don't agree with the file, and if the replay was no use."""
    found, left = Counter(mending.found), Counter(mending.left)
    replayed = Counter([mending.replayed])
    cases = {
        'not there': expected - found,
        'there, and not in the file': found - expected,
        'gone, and not replayed': found - replayed - left,
        'there after the replay, and should not be': left - (found - replayed),
    }
    problems = [
        f'{letters.total():,} dead letters were {what}, such as {": ".join(min(letters))}'
        for what, letters in cases.items()
        if letters
    ]
    if mending.handled != {mending.replayed.flight}:
        handled = ', '.join(sorted(mending.handled)) or 'nothing'
        problems.append(f'{mending.replayed.flight} was replayed, and {handled} was handled then')
    return problems


def read_lines(entries: Iterable[Entry]) -> Lines:
    """Give what was written about each job. One that was done twice is there once."""
    return {entry.job: entry.line for entry in _done(entries)}


def count_repeats(entries: Iterable[Entry]) -> Counter[Job]:
    """Count how often jobs were done once more."""
    times = Counter(entry.job for entry in _done(entries))
    return times - Counter(times.keys())


@dataclass(frozen=True)
class Rescue:
    """What became of the jobs of a worker that was killed."""

    finished: set[Job]
    cut_off: set[Job]
    """Begun, and not finished."""
    taken_over: set[Job]
    """Of those cut off, what another one has done."""
    repeated: set[Job]
    """Of those finished, what another one has done too."""


def trace_rescue(victim: str, entries: Collection[Entry]) -> Rescue:
    """Find what the victim left, and who did it."""
    begun = {entry.job for entry in entries if entry.process == victim}
    finished = {entry.job for entry in _done(entries) if entry.process == victim}
    by_others = {entry.job for entry in _done(entries) if entry.process != victim}
    cut_off = begun - finished
    return Rescue(finished, cut_off, cut_off & by_others, finished & by_others)


def _done(entries: Iterable[Entry]) -> Iterator[Entry]:
    return (entry for entry in entries if entry.is_last)
