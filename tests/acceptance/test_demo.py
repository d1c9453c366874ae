"""The demo, run as a user runs it: what it counts is what the file has."""

from __future__ import annotations

import csv
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

import pytest
from examples.flights.audit import (
    count_repeats,
    expect,
    expect_letters,
    find_letter_problems,
    find_problems,
    trace_rescue,
)
from examples.flights.ledger import Entry, Job, Ledgers, Line, Step, open_ledger
from examples.flights.letters import Letter, Mending
from examples.flights.worker import is_no_refusal

import walnats

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FLIGHTS = Path('examples/flights')
COMMAND = [sys.executable, '-m', 'examples.flights']

# What a user may have set to say how a terminal is to be treated.
TERMINAL = {'COLUMNS', 'FORCE_COLOR', 'LINES', 'NO_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE'}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in TERMINAL}


class Result(NamedTuple):
    status: int
    output: str
    errors: str

    def table(self, title: str) -> dict[str, list[str]]:
        """Give the rows of a table by their first cell."""
        lines = self.output.partition(title)[2].partition('\n\n')[0].splitlines()
        rows = [line.strip('│').split('│') for line in lines if line.startswith('│')]
        return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def run(folder: Path) -> Result:
    """Run the demo that is in a folder, with its output going into pipes."""
    done = subprocess.run(
        COMMAND, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope='module')
def result() -> Result:
    return run(ROOT)


@pytest.fixture(scope='module')
def rows() -> list[dict[str, str]]:
    return read_csv('flights-2013-01.csv')


@pytest.fixture
def small_demo(tmp_path: Path) -> Path:
    """A copy of the demo with fewer flights: it takes less time, and can be broken.

    Of these, 6 were diverted, and 1 has no arrival time.
    """
    shutil.copytree(ROOT / FLIGHTS, tmp_path / FLIGHTS)
    path = tmp_path / FLIGHTS / 'data/flights-2013-01.csv'
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join([lines[0], *lines[472:772]]))
    return tmp_path


def read_csv(name: str) -> list[dict[str, str]]:
    with (ROOT / FLIGHTS / 'data' / name).open(newline='') as file:
        return list(csv.DictReader(file))


def test_it_succeeds_without_a_word_on_stderr(result: Result) -> None:
    assert (result.status, result.errors) == (0, ''), result.output


def test_its_output_in_a_pipe_is_plain_text(result: Result) -> None:
    assert re.findall(r'[\x00-\x09\x0b-\x1f\x7f]', result.output) == []
    assert max(map(len, result.output.splitlines())) <= 80


def test_the_progress_ends_with_everything(result: Result) -> None:
    assert re.search(r'^published .* 1785/1785 ', result.output, re.MULTILINE)
    assert re.search(r'^handled .* 7500/7500 ', result.output, re.MULTILINE)


def test_the_board_shows_each_airport(result: Result, rows: list[dict[str, str]]) -> None:
    departed = Counter(row['origin'] for row in rows if row['dep_time'] != 'NA')
    cancelled = Counter(row['origin'] for row in rows if row['dep_time'] == 'NA')
    delayed = Counter(
        row['origin'] for row in rows if row['dep_delay'] != 'NA' and int(row['dep_delay']) >= 15
    )
    assert result.table('Departure board') == {
        airport: [str(count[airport]) for count in (departed, delayed, cancelled)]
        for airport in ('EWR', 'JFK', 'LGA')
    }


def test_the_statistics_name_each_airline(result: Result, rows: list[dict[str, str]]) -> None:
    names = {row['carrier']: row['name'] for row in read_csv('airlines.csv')}
    statistics: dict[str, list[str]] = {}
    for carrier in {row['carrier'] for row in rows}:
        delays = [row['dep_delay'] for row in rows if row['carrier'] == carrier]
        minutes = [int(delay) for delay in delays if delay != 'NA']
        cancelled = delays.count('NA')
        delay = f'{mean(minutes):.1f} min'
        statistics[names[carrier]] = [str(len(minutes)), str(cancelled), delay]
    assert result.table('Carrier statistics') == statistics


def test_what_each_actor_saw_adds_up(result: Result, rows: list[dict[str, str]]) -> None:
    delays = [int(row['dep_delay']) for row in rows if row['dep_delay'] != 'NA']
    departed, cancelled = len(delays), len(rows) - len(delays)
    delayed = sum(delay >= 15 for delay in delays)
    counts = {
        'arrival-log flight-departed': departed,
        'carrier-statistics flight-cancelled': cancelled,
        'carrier-statistics flight-departed': departed,
        'delay-alert flight-departed': departed,
        'departure-board delay-announced': delayed,
        'departure-board flight-cancelled': cancelled,
        'departure-board flight-departed': departed,
        'all ': 4 * departed + 2 * cancelled + delayed,
    }
    lines = result.output.partition('What each actor saw')[2].partition('\n\n')[0].splitlines()
    cells = [line.replace(' ', '').split('│')[1:-1] for line in lines if line.startswith('│')]
    assert {f'{actor} {event}': (file, seen) for actor, event, file, seen, _ in cells} == {
        kind: (f'{count:,}', f'{count:,}') for kind, count in counts.items()
    }


def test_the_worker_that_was_killed_lost_nothing(result: Result) -> None:
    (done, repeated, begun, taken_over) = (
        int(cells[0].replace(',', ''))
        for cells in result.table('What became of the jobs of worker-1').values()
    )
    (killed_at,) = re.findall(r'^worker-1 was killed by SIGKILL when (\S+) jobs', result.output)
    assert 7500 // 3 <= int(killed_at.replace(',', '')) < 7500
    assert done > 0
    assert 0 <= repeated <= done
    assert taken_over == begun > 0
    assert 'Nothing was lost: all 1,785 flights of the file were published' in result.output


def test_what_was_refused_is_there_by_reason(result: Result, rows: list[dict[str, str]]) -> None:
    departed = [row for row in rows if row['dep_time'] != 'NA']
    unknown = sum(row['arr_time'] == 'NA' for row in departed)
    diverted = sum(row['arr_delay'] == 'NA' for row in departed) - unknown
    assert result.table('Dead letters of arrival-log') == {
        'it has no arrival time': [str(unknown)] * 3,
        'it was diverted': [str(diverted), str(diverted), str(diverted - 1)],
        'all': ['14', '14', '13'],
    }


def test_a_letter_is_replayed_and_handled(result: Result, rows: list[dict[str, str]]) -> None:
    ((replayed, handled),) = re.findall(
        r'^Replayed: (.*)\. Done by a mended handler: (.*)\.$', result.output, re.MULTILINE
    )
    assert replayed == handled
    assert Letter(replayed, 'it was diverted') in expect_letters(rows)


def test_it_runs_in_a_terminal(small_demo: Path) -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        COMMAND, cwd=small_demo, env={**ENVIRONMENT, 'TERM': 'xterm'}, stdout=its, stderr=its
    ) as process:
        os.close(its)
        output = read_terminal(ours)
    assert process.returncode == 0, output
    assert '\x1b[' in output
    assert 'Nothing was lost: all 300 flights' in output


def test_it_fails_if_a_handler_leaves_something_out(small_demo: Path) -> None:
    edit(small_demo / FLIGHTS / 'actors.py', '>= ANNOUNCED_FROM', '> ANNOUNCED_FROM')
    result = run(small_demo)
    assert result.status == 1
    assert 'It does not add up:' in result.output
    assert 'jobs were not done, such as departure-board delay-announced' in result.output
    assert 'Nothing was lost' not in result.output


def test_it_fails_if_the_strict_actor_gives_another_reason(small_demo: Path) -> None:
    edit(small_demo / FLIGHTS / 'actors.py', 'GiveUp(DIVERTED)', 'GiveUp(NO_ARRIVAL)')
    result = run(small_demo)
    assert result.status == 1
    assert '- none of the 7 dead letters is about a diverted flight' in result.output
    assert '- 6 jobs were done otherwise than the file says, such as arrival-log' in result.output


def test_it_fails_if_the_mended_handler_refuses_too(small_demo: Path) -> None:
    edit(
        small_demo / FLIGHTS / 'actors.py',
        'return Line(departure.flight.destination)\n',
        'raise walnats.GiveUp(DIVERTED)\n',
    )
    result = run(small_demo)
    assert result.status == 1
    assert 'was replayed, and nothing was handled then' in result.output
    assert '- 1 dead letters were there after the replay, and should not be' in result.output
    assert result.table('Dead letters of arrival-log')['all'] == ['7', '7', '7']


def test_it_fails_if_a_worker_fails(small_demo: Path) -> None:
    edit(small_demo / FLIGHTS / 'worker.py', 'await actors.register()', 'raise SystemExit(3)')
    result = run(small_demo)
    assert result.status == 1
    assert '- worker-1 has not become ready' in result.output


def read_terminal(file: int) -> str:
    output = b''
    try:
        while chunk := os.read(file, 65536):
            output += chunk
    except OSError:  # that is how Linux says that nobody has the other end any more
        pass
    finally:
        os.close(file)
    return output.decode()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


# What the demo takes for an error, on ledgers that are made up.

ONE = Job('departure-board', 'flight-departed', '2013-01-01 UA1545')
TWO = Job('departure-board', 'flight-departed', '2013-01-02 UA1714')
EXPECTED = {ONE: Line('EWR', 2), TWO: Line('LGA', 4)}


def done(process: str, job: Job, line: Line | None = None) -> Entry:
    return Entry(process, Step.DONE, job, line or EXPECTED[job])


def begun(process: str, job: Job) -> Entry:
    return Entry(process, Step.BEGUN, job)


def test_all_done_is_no_problem() -> None:
    assert find_problems(EXPECTED, [done('a', ONE), done('b', TWO)]) == []


def test_a_repeat_is_no_problem_and_is_counted() -> None:
    entries = [done('a', ONE), done('b', ONE), done('b', ONE), done('b', TWO)]
    assert find_problems(EXPECTED, entries) == []
    assert count_repeats(entries) == {ONE: 2}


@pytest.mark.parametrize(
    ('change', 'problem'),
    [
        (
            lambda entries: entries[:-1],
            '1 jobs were not done, such as departure-board flight-departed 2013-01-02 UA1714',
        ),
        (
            lambda entries: [*entries[:-1], begun('b', TWO)],
            '1 jobs were not done, such as departure-board flight-departed 2013-01-02 UA1714',
        ),
        (
            lambda entries: [*entries, done('b', Job('x', 'y', 'z'), Line('EWR'))],
            '1 jobs were done, and not in the file, such as x y z',
        ),
        (
            lambda entries: [*entries, done('b', ONE, Line('EWR', 3))],
            (
                '1 jobs were done otherwise than the file says, such as departure-board '
                'flight-departed 2013-01-01 UA1545'
            ),
        ),
    ],
    ids=['missing', 'only-begun', 'unexpected', 'other-line'],
)
def test_what_differs_from_the_file_is_a_problem(
    change: Callable[[list[Entry]], list[Entry]], problem: str
) -> None:
    assert find_problems(EXPECTED, change([done('a', ONE), done('b', TWO)])) == [problem]


LOST, DIVERTED = Letter('2013-01-01 EV4204', 'unknown'), Letter('2013-01-01 MQ4525', 'diverted')
LETTERS = Counter([LOST, DIVERTED])
MENDING = Mending([LOST, DIVERTED], DIVERTED, {DIVERTED.flight}, [LOST])


def test_letters_as_in_the_file_are_no_problem() -> None:
    assert find_letter_problems(LETTERS, MENDING) == []


@pytest.mark.parametrize(
    ('mending', 'problem'),
    [
        (
            replace(MENDING, found=[DIVERTED], left=[]),
            '1 dead letters were not there, such as 2013-01-01 EV4204: unknown',
        ),
        (
            replace(MENDING, found=[LOST, LOST, DIVERTED], left=[LOST, LOST]),
            ('1 dead letters were there, and not in the file, such as 2013-01-01 EV4204: unknown'),
        ),
        (
            replace(MENDING, left=[]),
            '1 dead letters were gone, and not replayed, such as 2013-01-01 EV4204: unknown',
        ),
        (
            replace(MENDING, left=[LOST, DIVERTED]),
            (
                '1 dead letters were there after the replay, and should not be, such as '
                '2013-01-01 MQ4525: diverted'
            ),
        ),
        (
            replace(MENDING, handled=set()),
            '2013-01-01 MQ4525 was replayed, and nothing was handled then',
        ),
        (
            replace(MENDING, handled={LOST.flight}),
            '2013-01-01 MQ4525 was replayed, and 2013-01-01 EV4204 was handled then',
        ),
    ],
    ids=['missing', 'twice', 'gone', 'still-there', 'not-handled', 'another-handled'],
)
def test_letters_that_differ_from_the_file_are_a_problem(mending: Mending, problem: str) -> None:
    assert find_letter_problems(LETTERS, mending) == [problem]


@pytest.mark.parametrize(('error', 'is_logged'), [(walnats.GiveUp('x'), False), (OSError(), True)])
def test_a_worker_logs_what_is_no_refusal(error: Exception, *, is_logged: bool) -> None:
    record = logging.makeLogRecord({'exc_info': (type(error), error, None)})
    assert is_no_refusal(record) is is_logged


def test_a_refused_job_of_a_killed_worker_is_finished() -> None:
    rescue = trace_rescue('a', [begun('a', ONE), Entry('a', Step.REFUSED, ONE, Line('reason'))])
    assert rescue.finished == {ONE}
    assert rescue.cut_off == set()


def test_the_jobs_of_a_killed_worker_are_traced() -> None:
    three = Job('delay-alert', 'flight-departed', '2013-01-01 UA1545')
    rescue = trace_rescue(
        'a',
        [
            begun('a', ONE),
            done('a', ONE),
            begun('a', TWO),
            begun('a', three),
            done('b', ONE),
            done('b', TWO),
            begun('b', three),
        ],
    )
    assert rescue.finished == {ONE}
    assert rescue.repeated == {ONE}
    assert rescue.cut_off == {TWO, three}
    assert rescue.taken_over == {TWO}


def test_each_row_of_the_file_makes_its_jobs(rows: list[dict[str, str]]) -> None:
    jobs = expect(rows, {row['carrier']: row['carrier'] for row in rows})
    assert Counter(job.actor for job in jobs) == {
        'publisher': 1785,
        'departure-board': 1785 + 384,
        'carrier-statistics': 1785,
        'delay-alert': 1785 - 12,
        'arrival-log': 1785 - 12,
    }
    assert len({job.flight for job in jobs}) == 1785


def test_a_line_of_the_ledger_counts_once_it_is_whole(tmp_path: Path) -> None:
    ledgers = Ledgers(tmp_path)
    with open_ledger(ledgers.path('worker-1')) as ledger:
        ledger.note(Step.BEGUN, ONE)
        ledger.note(Step.DONE, ONE, Line('EWR', 2))
    path = ledgers.path('worker-1')
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert ledgers.read() == [begun('worker-1', ONE)]
    path.write_bytes(whole)
    assert ledgers.read() == [done('worker-1', ONE)]
    assert ledgers.read() == []
