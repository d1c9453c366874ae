"""Diagrams in the language D2, https://d2lang.com."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ._service import schema_name
from .diagram import ACTOR, ARROW, EVENT, SERVICE, check_direction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ._service import Service
    from .diagram import Direction, Paint


def draw(services: Collection[Service], direction: Direction, *, colors: bool) -> str:
    """Draw the services, without a line break at the end."""
    check_direction(direction)
    boxes = {service.name.lower() for service in services}
    lines = [f'direction: {direction}']
    for service in services:
        drawing = _Drawing(_quote(service.name), boxes, colors=colors)
        lines += drawing.lines(service)
    return '\n'.join(lines)


class _Drawing:
    """The lines of one service."""

    def __init__(self, name: str, boxes: set[str], *, colors: bool) -> None:
        self._name = name
        self._boxes = boxes
        self._colors = colors

    def lines(self, service: Service) -> Iterator[str]:
        yield from self._paint(self._name, SERVICE)
        for event in service.emits or ():
            key = self._event_key(event.name)
            yield f'{key}.shape: oval'
            yield from self._paint(key, EVENT)
            yield f'{self._name} -> {key}: {_quote(schema_name(event.schema))}'
        for actor in service.defines or ():
            key = f'{self._name}.{_quote(actor.name)}'
            arrow = f'{self._event_key(actor.event.name)} -> {key}'
            yield arrow + (f': {{style: {{stroke: "{ARROW}"}}}}' if self._colors else '')
            yield from self._paint(key, ACTOR)

    def _event_key(self, name: str) -> str:
        # For D2 the two would be one box; it takes no notice of case.
        return _quote(f'{name} (event)' if name.lower() in self._boxes else name)

    def _paint(self, key: str, paint: Paint) -> Iterable[str]:
        if self._colors:
            yield f'{key}.style: {{stroke: "{paint.stroke}"; fill: "{paint.fill}"}}'


# A dot would make a box inside of another one, `--` or `->` an arrow, and so on.
_PLAIN = re.compile(r'[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*')
# What D2 takes for a setting, not for a name, unless it's quoted.
_KEYWORDS = frozenset(
    """
    _ 3d animated bold border-radius class classes constraint direction double-border fill
    fill-pattern filled font font-color font-size grid-columns grid-gap grid-rows height
    horizontal-gap icon italic label layers left link multiple near null opacity scenarios shadow
    shape source-arrowhead steps stroke stroke-dash stroke-width style target-arrowhead
    text-transform tooltip top underline vars vertical-gap width
    """.split()  # noqa: SIM905 -- as a list it would take fifty lines
)


def _quote(text: str) -> str:
    """Give the text as D2 takes it for a name or a label."""
    if _PLAIN.fullmatch(text) and text.lower() not in _KEYWORDS:
        return text
    escaped = re.sub(r'["$\\]', r'\\\g<0>', text)
    return f'"{escaped}"'
