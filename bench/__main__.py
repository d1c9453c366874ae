"""`python -m bench [ROUNDS] [NAME…]`: measure, tell, and keep what was measured."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from .chart import draw
from .environments import DEFAULT, ROOT, Environments
from .machine import describe_machine
from .measure import Effort, run_scenario
from .process import ContenderError
from .report import count_bars, render_markdown, render_text
from .results import Results
from .scenarios import SCENARIOS, Scenario

_FULL = Effort(rounds=5, part=1, is_quick=False)
_QUICK = Effort(rounds=1, part=0.2, is_quick=True)
_DOCS = ROOT / 'docs' / '_static'


async def main() -> int:
    options = _parser().parse_args()
    names = [word for word in options.what if not word.isdigit()]
    if options.docs and names:
        sys.exit('The documentation tells of all scenarios: leave out the names.')
    rounds = [int(word) for word in options.what if word.isdigit()]
    scenarios = _chosen(names)
    effort = _QUICK if options.quick else _FULL
    effort = replace(effort, rounds=rounds[-1] if rounds else effort.rounds)
    environments = Environments(options.environments)
    results = Results(
        date=datetime.now(UTC).isoformat(timespec='seconds'),
        quick=options.quick,
        machine=await describe_machine(),
        versions=environments.versions(),
    )
    failed = await _measure(scenarios, environments, effort, results)
    print(count_bars(results))
    _save(results, _DOCS if options.docs and not failed else options.out)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('bench', description='Measure walnats beside its peers.')
    parser.add_argument(
        'what',
        nargs='*',
        help='rounds, and parts of the names of scenarios; all of them by default',
    )
    parser.add_argument('--quick', action='store_true', help='few messages and rounds: a minute')
    parser.add_argument('--docs', action='store_true', help='write into the documentation')
    parser.add_argument('--out', type=Path, default=DEFAULT, help='the folder to write into')
    parser.add_argument(
        '--environments', type=Path, default=DEFAULT, help='the folder of the environments'
    )
    return parser


def _chosen(names: list[str]) -> list[Scenario]:
    chosen = [
        scenario
        for scenario in SCENARIOS
        if not names or any(name in scenario.name for name in names)
    ]
    if not chosen:
        known = '\n'.join(f'  {scenario.name}' for scenario in SCENARIOS)
        sys.exit(f'No scenario is named like that. There are:\n{known}')
    return chosen


async def _measure(
    scenarios: list[Scenario], environments: Environments, effort: Effort, results: Results
) -> int:
    """Fill in the results, and tell how many scenarios failed."""
    failed = 0
    for scenario in scenarios:
        try:
            result = await run_scenario(scenario, environments, effort)
        except ContenderError as exc:
            failed += 1
            print(f'FAILED: {exc}', file=sys.stderr)
        else:
            results.scenarios.append(result)
            print(render_text(result, results.machine.cores), flush=True)
    return failed


def _save(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(results), indent=1)
    (folder / 'performance.json').write_bytes(encoded + b'\n')
    (folder / 'performance.svg').write_text(draw(results), encoding='utf-8')
    (folder / 'performance-tables.md').write_text(render_markdown(results), encoding='utf-8')
    print(f'{folder}: performance.json, performance.svg, performance-tables.md')


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
