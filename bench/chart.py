"""Draws what was measured: bars in an SVG, one group for each scenario."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .report import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .results import Results, ScenarioResult

_WIDTH = 760
_LABELS = 290
_VALUES = 90
_BAR = 14
_STEP = 20
_HEAD = 26
_GAP = 14

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.page { fill: #ffffff }
.head { font-weight: 600; font-size: 13px }
.unit { fill: #6e7781 }
.ours { fill: #2d8f6f }
.peer { fill: #b6bec7 }
"""


def draw(results: Results) -> str:
    """Give an SVG with the first metric of the scenarios that are charted."""
    groups: list[str] = []
    top = _GAP
    for scenario in results.scenarios:
        if not scenario.is_charted:
            continue
        groups.extend(_group(scenario, top))
        top += _HEAD + _STEP * len(scenario.rows) + _GAP
    body = '\n'.join(groups)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="-{_GAP} 0 {_WIDTH + 2 * _GAP} {top}">\n'
        f'<title>walnats beside its peers</title>\n<style>{_STYLE}</style>\n'
        f'<rect class="page" x="-{_GAP}" width="100%" height="100%" rx="6"/>\n{body}\n</svg>\n'
    )


def _group(scenario: ScenarioResult, top: int) -> Iterator[str]:
    metric = scenario.metrics[0]
    better = 'longer is better' if metric.is_better_when_more else 'shorter is better'
    unit = f'<tspan class="unit" dx="8">{escape(metric.value)}, {better}</tspan>'
    yield f'<text class="head" x="0" y="{top + 12}">{escape(scenario.name)}{unit}</text>'
    values = [row.spread(metric).median for row in scenario.rows]
    scale = (_WIDTH - _LABELS - _VALUES) / (max(values) or 1)
    for number, (row, value) in enumerate(zip(scenario.rows, values, strict=True)):
        y, width = top + _HEAD + _STEP * number, max(1, value * scale)
        kind = 'peer' if number else 'ours'
        yield f'<text x="{_LABELS - 8}" y="{y + 11}" text-anchor="end">{escape(row.label)}</text>'
        yield f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'
        yield f'<text x="{_LABELS + width + 6:.1f}" y="{y + 11}">{format_value(value)}</text>'
