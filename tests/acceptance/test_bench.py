"""The benchmark: it measures, tells and keeps what it measured, also where peers are missing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import msgspec
import pytest
from bench.results import Bar, Metric, Results, Row, Sample, ScenarioResult

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
# Stands in for a peer's interpreter: it has no packages, and whatever it's to run fails.
BROKEN = """#!/bin/sh
[ "$1" = -c ] && echo '{}' && exit
echo 'it does not work' >&2
exit 3
"""


class Run(NamedTuple):
    status: int
    output: str
    errors: str


async def run_bench(*args: str) -> Run:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, '-m', 'bench', *args),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return Run(process.returncode or 0, output.decode(), errors.decode())


async def test_it_measures_and_keeps_what_it_measured(tmp_path: Path) -> None:
    places = ('--environments', str(tmp_path / 'none'), '--out', str(tmp_path / 'out'))
    run = await run_bench('--quick', '1', 'emit, sync', 'uvloop: handle', *places)
    assert run.status == 0, run.errors
    assert 'FastStream, publish to a stream: left out, it has no environment' in run.errors

    encoded = (tmp_path / 'out' / 'performance.json').read_bytes()
    results = msgspec.json.decode(encoded, type=Results)
    assert [
        (scenario.name, [row.label for row in scenario.rows]) for scenario in results.scenarios
    ] == [
        ('emit, sync, one by one', ['walnats', 'nats-py, js.publish']),
        (
            'uvloop: handle, max_jobs=256',
            ['walnats, uvloop', 'walnats, asyncio', 'nats-py, fetch(256), uvloop'],
        ),
    ]
    rows = [row for scenario in results.scenarios for row in scenario.rows]
    assert all(row.spread(Metric.RATE).least > 0 and row.cpu() > 0 for row in rows)
    assert results.versions['walnats']['nats-py']

    tables = (tmp_path / 'out' / 'performance-tables.md').read_text(encoding='utf-8')
    chart = ET.parse(tmp_path / 'out' / 'performance.svg')  # noqa: S314 -- it is ours
    drawn = ''.join(chart.getroot().itertext())
    for scenario in results.scenarios:
        assert scenario.name in run.output
        assert f'**{scenario.name}**' in tables
        assert (scenario.name in drawn) is scenario.is_charted
    assert 'bars: ' in run.output


async def test_a_contender_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    python = tmp_path / 'faststream' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text(BROKEN)
    python.chmod(0o755)
    run = await run_bench(
        *('--quick', '--environments', str(tmp_path), '--out', str(tmp_path / 'out')),
        *('1', '10 idle actors', 'idle latency'),
    )
    assert run.status == 1
    assert 'FAILED: 10 idle actors: FastStream, pull of 256: exit status 3' in run.errors
    assert 'it does not work' in run.errors
    assert 'idle latency' in run.output


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (['no such scenario'], 'No scenario is named like that. There are:\n  emit\n'),
        (['--docs', 'emit'], 'The documentation tells of all scenarios: leave out the names.'),
    ],
    ids=['an unknown scenario', 'a part of the documentation'],
)
async def test_what_cannot_be_meant_is_refused(args: list[str], said: str) -> None:
    run = await run_bench(*args)
    assert (run.status, run.output) == (1, '')
    assert said in run.errors


def make_row(*seconds: float, bars: Iterable[Bar] = ()) -> Row:
    samples = [Sample(messages=100, seconds=one, cpu=1, server_cpu=None) for one in seconds]
    return Row('contender', samples, list(bars))


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    # The third round was slow for both: that is no gain of either.
    ours, theirs = make_row(1, 2, 10), make_row(2, 4, 30)
    scenario = ScenarioResult('s', [Metric.RATE, Metric.TIME], [ours, theirs])
    assert scenario.ratio(theirs, Metric.RATE) == pytest.approx((2, 2, 3))
    assert scenario.ratio(theirs, Metric.TIME) == pytest.approx((1 / 2, 1 / 3, 1 / 2))


@pytest.mark.parametrize(
    ('bar', 'ratio', 'said'),
    [
        (Bar(Metric.RATE, 2), 2.0, 'met'),
        (Bar(Metric.RATE, 2), 1.99, 'NOT MET'),
        (Bar(Metric.P50, at_most=1.25), 1.25, 'met'),
        (Bar(Metric.P50, at_most=1.25), 1.26, 'NOT MET'),
        (Bar(Metric.RATE, 0.9, 1.1), 0.8, 'NOT MET'),
        (Bar(Metric.RATE, 0.9, 1.1), 1.2, 'NOT MET'),
        (Bar(Metric.RATE, 1.6, cores=3), 9.0, 'needs 3 cores'),
    ],
    ids=str,
)
def test_a_bar_is_judged(bar: Bar, ratio: float, said: str) -> None:
    assert bar.judge(ratio, cores=2) == said
