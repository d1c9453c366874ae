"""Tells what was measured: as text for a terminal, and as tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .results import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .results import Results, Row, ScenarioResult, Spread

_RATE_DIGITS = 100
"""A value above this needs no digits after the point."""


def render_text(scenario: ScenarioResult, cores: int) -> str:
    """Give the table of a scenario, with the bars and whether they are met."""
    lines = [scenario.name]
    for metric in scenario.metrics:
        lines += [
            _text_head(metric),
            *(_text_row(scenario, row, metric, cores) for row in scenario.rows),
        ]
    return '\n'.join([*lines, ''])


def render_markdown(results: Results) -> str:
    """Give all tables for the documentation."""
    return '\n'.join([_intro(results), *(_markdown(scenario) for scenario in results.scenarios)])


def count_bars(results: Results) -> str:
    """Say how many of the bars are met."""
    judged = [
        bar.judge(scenario.ratio(row, bar.metric).median, results.machine.cores)
        for scenario in results.scenarios
        for row in scenario.rows[1:]
        for bar in row.bars
    ]
    met, missed = judged.count('met'), judged.count('NOT MET')
    other = (
        f', {len(judged) - met - missed} could not be judged here'
        if met + missed < len(judged)
        else ''
    )
    return f'bars: {met} met, {missed} not met{other}'


def format_value(value: float) -> str:
    return f'{value:,.0f}' if value >= _RATE_DIGITS else f'{value:,.2f}'


def _text_head(metric: Metric) -> str:
    return (
        f'  {metric.value:<44}{"median":>10}{"least to most":>20}{"ratio":>8}{"from to":>16}'
        f'{"cpu µs":>9}{"server":>8}  bar'
    )


def _text_row(scenario: ScenarioResult, row: Row, metric: Metric, cores: int) -> str:
    value = row.spread(metric)
    line = f'  {row.label:<44}{format_value(value.median):>10}{_range(value):>20}'
    if row is scenario.rows[0]:
        return f'{line}{"":>24}{_costs(row, metric)}'
    ratio = scenario.ratio(row, metric)
    bars = [f'  {bar} {bar.judge(ratio.median, cores)}' for bar in row.bars if bar.metric is metric]
    span = f'{ratio.least:.2f} to {ratio.most:.2f}'
    return f'{line}{ratio.median:>8.2f}{span:>16}{_costs(row, metric)}{"".join(bars)}'


def _costs(row: Row, metric: Metric) -> str:
    """Give what a message costs in time of CPU, where a row is about messages."""
    if metric in {Metric.TIME, Metric.MEMORY, Metric.MEMORY_PER_ACTOR}:
        return f'{"":17}'
    server = row.server_cpu()
    return f'{row.cpu():>9.1f}' + (f'{server:>8.1f}' if server is not None else '')


def _range(value: Spread) -> str:
    return f'{format_value(value.least)} to {format_value(value.most)}'


def _intro(results: Results) -> str:
    machine = results.machine
    versions = sorted(
        {
            f'{name} {version}'
            for packages in results.versions.values()
            for name, version in packages.items()
        }
    )
    quick = ' It was a quick run, with few messages and rounds.' if results.quick else ''
    return (
        f'Measured on {results.date[:10]}: {machine.processor}, {machine.cores} cores, '
        f'{machine.system}, Python {machine.python}, nats-server {machine.server}; '
        f'{", ".join(versions)}.{quick}\n'
    )


def _markdown(scenario: ScenarioResult) -> str:
    return '\n'.join(line for metric in scenario.metrics for line in _table(scenario, metric))


def _table(scenario: ScenarioResult, metric: Metric) -> Iterator[str]:
    cells = [_cells(scenario, row, metric) for row in scenario.rows]
    yield f'**{scenario.name}**'
    yield ''
    yield f'| | {metric.value} | least to most | ratio | CPU µs | server CPU µs |'
    yield '| --- | ---: | ---: | ---: | ---: | ---: |'
    yield from (f'| {" | ".join(row)} |' for row in cells)
    yield ''


def _cells(scenario: ScenarioResult, row: Row, metric: Metric) -> list[str]:
    value = row.spread(metric)
    ratio = '' if row is scenario.rows[0] else f'{scenario.ratio(row, metric).median:.2f}'
    costs = [*_costs(row, metric).split(), '', ''][:2]
    return [row.label, format_value(value.median), _range(value), ratio, *costs]
