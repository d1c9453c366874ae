"""What the demo says in the end. It is all counted from the ledgers."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean
from typing import TYPE_CHECKING

from rich.table import Table

from .actors import ARRIVALS, BOARD, STATISTICS
from .audit import count_repeats, read_lines, trace_rescue
from .events import DELAY_ANNOUNCED, FLIGHT_CANCELLED, FLIGHT_DEPARTED
from .publisher import PUBLISHER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rich.console import Console

    from .audit import Lines, Rescue
    from .ledger import Entry, Job
    from .letters import Letter, Mending


def print_report(
    console: Console,
    expected: Lines,
    entries: Collection[Entry],
    *,
    victim: str,
) -> None:
    """Print what the actors saw, and what became of the victim's jobs."""
    lines = read_lines(entries)
    for table in (
        _draw_board(lines),
        _draw_statistics(lines),
        _draw_actors(expected, entries),
        _draw_rescue(trace_rescue(victim, entries), victim),
    ):
        console.print()
        console.print(table)


def print_letters(console: Console, expected: Counter[Letter], mending: Mending) -> None:
    """Print what the arrival log refused, by reason, and which letter was replayed."""
    console.print()
    console.print(_draw_letters(expected, mending))
    handled = ', '.join(sorted(mending.handled)) or 'nothing'
    console.print(f'Replayed: {mending.replayed.flight}. Done by a mended handler: {handled}.')


def print_verdict(console: Console, expected: Lines, problems: Collection[str]) -> None:
    """Print whether all adds up."""
    console.print()
    if problems:
        console.print('It does not add up:', *(f'- {each}' for each in problems), sep='\n')
    else:
        console.print(_tell_sums(expected))


def _draw_board(lines: Lines) -> Table:
    """Draw, for each airport, how many flights left, were announced late, were cancelled."""
    columns = (FLIGHT_DEPARTED, DELAY_ANNOUNCED, FLIGHT_CANCELLED)
    events: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for job, line in lines.items():
        if job.actor == BOARD and line is not None:
            events[line.about][job.event] += 1
    table = _make_table('Departure board', ('airport',), ('departed', 'delayed', 'cancelled'))
    for airport, counts in sorted(events.items()):
        table.add_row(airport, *(f'{counts[event.name]:,}' for event in columns))
    return table


def _draw_statistics(lines: Lines) -> Table:
    """Draw, for each airline, its flights and how many minutes late they left."""
    delays: defaultdict[str, list[int]] = defaultdict(list)
    cancelled: Counter[str] = Counter()
    for job, line in lines.items():
        if job.actor == STATISTICS and line is not None:
            if job.event == FLIGHT_CANCELLED.name:
                cancelled[line.about] += 1
            else:
                delays[line.about].append(line.minutes)
    numbers = ('departed', 'cancelled', 'mean delay')
    table = _make_table('Carrier statistics', ('airline',), numbers)
    for airline in sorted(delays.keys() | cancelled.keys()):
        minutes = delays[airline]
        delay = f'{mean(minutes):.1f} min' if minutes else '-'
        table.add_row(airline, f'{len(minutes):,}', f'{cancelled[airline]:,}', delay)
    return table


def _draw_actors(expected: Lines, entries: Collection[Entry]) -> Table:
    """Draw how much each actor had to see, how much it saw, and what of that once more."""
    counts = (
        _count(expected),
        _count(read_lines(entries)),
        _count(count_repeats(entries).elements()),
    )
    numbers = ('in the file', 'seen', 'repeats')
    table = _make_table('What each actor saw', ('actor', 'event'), numbers)
    for kind in sorted({kind for count in counts for kind in count}):
        table.add_row(*kind, *(f'{count[kind]:,}' for count in counts))
    table.add_section()
    table.add_row('all', '', *(f'{count.total():,}' for count in counts))
    return table


def _draw_rescue(rescue: Rescue, victim: str) -> Table:
    table = _make_table(f'What became of the jobs of {victim}', ('jobs',), ('number',))
    for text, jobs in (
        ('done when it was killed', rescue.finished),
        ('- of these, done again, as the acknowledgement was lost', rescue.repeated),
        ('begun when it was killed', rescue.cut_off),
        ('- of these, done by the other worker', rescue.taken_over),
    ):
        table.add_row(text, f'{len(jobs):,}')
    return table


def _draw_letters(expected: Counter[Letter], mending: Mending) -> Table:
    counts = [
        Counter(letter.reason for letter in letters)
        for letters in (expected.elements(), mending.found, mending.left)
    ]
    numbers = ('in the file', 'letters', 'after the replay')
    table = _make_table(f'Dead letters of {ARRIVALS}', ('reason',), numbers)
    for reason in sorted({reason for count in counts for reason in count}):
        table.add_row(reason, *(f'{count[reason]:,}' for count in counts))
    table.add_section()
    table.add_row('all', *(f'{count.total():,}' for count in counts))
    return table


def _tell_sums(expected: Lines) -> str:
    flights = sum(job.actor == PUBLISHER for job in expected)
    return (
        f'Nothing was lost: all {flights:,} flights of the file were published, all\n'
        f'{len(expected) - flights:,} jobs that they make were done, or refused and kept as dead '
        'letters, and\n'
        'NATS has nothing left to deliver.\n'
        'A message is handled at least once. A repeat changes nothing here, because\n'
        'what the actors write is counted by flight.'
    )


def _count(jobs: Iterable[Job]) -> Counter[tuple[str, str]]:
    return Counter((job.actor, job.event) for job in jobs if job.actor != PUBLISHER)


def _make_table(title: str, names: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(title=title, title_justify='left')
    for column in names:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify='right')
    return table
