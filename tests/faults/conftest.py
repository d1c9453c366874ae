"""What the scenarios share: a ledger each, and the table of all ledgers at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import walnats

from .ledger import Ledger, Row
from .scene import Scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

_ROWS = pytest.StashKey[list[Row]]()
_HAS_FAILED = pytest.StashKey[bool]()
_HEADINGS = 'scenario', 'acked', 'handled', 'dead', 'twice', 'stall', 'memory', ''


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the ledger's fixture how the scenario itself went."""
    report = yield
    if call.when == 'call':
        item.stash[_HAS_FAILED] = report.failed
    return report


@pytest.fixture
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """The ledger of the scenario, which has to have it checked."""
    scenario = request.node.name.removeprefix('test_').replace('_', ' ')
    before = asyncio.all_tasks()
    async with Ledger(scenario).watching() as one:
        yield one
    has_failed = request.node.stash.get(_HAS_FAILED, None)
    if has_failed is not None:
        request.config.stash[_ROWS].append(one.row())
    if has_failed is not False:
        return
    assert one.is_checked, 'the scenario ended without a look into its ledger'
    for _ in range(20):  # what was cancelled a moment ago needs its turn to end
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not left, f'tasks were left behind: {left}'


@pytest.fixture
def scene(ledger: Ledger) -> Scene:
    """An event and an actor that tells the ledger what it handles."""
    return Scene(ledger)


@pytest.fixture
async def server() -> AsyncIterator[walnats.EmbeddedServer]:
    """A server of the scenario's own."""
    async with walnats.EmbeddedServer() as one:
        yield one


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the ledgers. Where tests run in several processes, each has its own: none is shown."""
    rows = config.stash[_ROWS]
    if not rows:
        return
    width = max(len(row.scenario) for row in rows)
    terminalreporter.section('ledgers')
    terminalreporter.line(_line(width, *_HEADINGS))
    for row in rows:
        terminalreporter.line(
            _line(
                width,
                row.scenario,
                *map(str, (row.acknowledged, row.handled, row.dead, row.duplicates)),
                f'{row.longest_stall:.1f} s',
                f'{row.peak_memory:.0f} MB',
                'held' if row.has_held else 'BROKEN',
            )
        )


def _line(width: int, scenario: str, *cells: str) -> str:
    return f'{scenario:<{width}}' + ''.join(f'  {cell:>8}' for cell in cells)
