"""Diagrams as Mermaid flowcharts, https://mermaid.js.org."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ._service import schema_name
from .diagram import ACTOR, ARROW, EVENT, SERVICE, check_direction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ._service import Service
    from .diagram import Direction, Paint

_DIRECTIONS = {'right': 'LR', 'left': 'RL', 'up': 'BT', 'down': 'TB'}
_SPECIAL = re.compile(r'[^\w ,.()\[\]-]')


def draw(services: Collection[Service], direction: Direction, *, colors: bool) -> str:
    """Draw the services, without a line break at the end."""
    check_direction(direction)
    drawing = _Drawing(services)
    lines = [*drawing.boxes(), *drawing.arrows(), *(drawing.colors() if colors else ())]
    return '\n    '.join([f'flowchart {_DIRECTIONS[direction]}', *lines])


class _Drawing:
    """Boxes have ids of their own, so names may be anything, and may be the same."""

    def __init__(self, services: Collection[Service]) -> None:
        self._services = services
        names = (event.name for service in services for event in service.events())
        self._events = {name: f'event{i}' for i, name in enumerate(dict.fromkeys(names))}
        self._actors: dict[tuple[str, str], str] = {}
        for service in services:
            for actor in service.defines or ():
                key = (service.name, actor.name)
                self._actors.setdefault(key, f'actor{len(self._actors)}')

    def boxes(self) -> Iterator[str]:
        for name, box in self._events.items():
            yield f'{box}([{_quote(name)}])'
        for i, service in enumerate(self._services):
            label = f'service{i}[{_quote(service.name)}]'
            actors = [
                f'    {box}[{_quote(name)}]'
                for (owner, name), box in self._actors.items()
                if owner == service.name
            ]
            # A subgraph must not be empty.
            yield from [f'subgraph {label}', *actors, 'end'] if actors else [label]

    def arrows(self) -> Iterator[str]:
        for i, service in enumerate(self._services):
            for event in service.emits or ():
                label = _quote(schema_name(event.schema))
                yield f'service{i} -->|{label}| {self._events[event.name]}'
        for service in self._services:
            for actor in service.defines or ():
                box = self._actors[service.name, actor.name]
                yield f'{self._events[actor.event.name]} --> {box}'

    def colors(self) -> Iterator[str]:
        services = [f'service{i}' for i in range(len(self._services))]
        yield from _paint('service', services, SERVICE)
        yield from _paint('event', self._events.values(), EVENT)
        yield from _paint('actor', self._actors.values(), ACTOR)
        emits = sum(len(service.emits or ()) for service in self._services)
        handles = sum(len(service.defines or ()) for service in self._services)
        if handles:
            arrows = ','.join(map(str, range(emits, emits + handles)))
            yield f'linkStyle {arrows} stroke:{ARROW}'


def _paint(kind: str, boxes: Collection[str], paint: Paint) -> Iterator[str]:
    if boxes:
        yield f'classDef {kind} stroke:{paint.stroke},fill:{paint.fill}'
        yield f'class {",".join(boxes)} {kind}'


def _quote(text: str) -> str:
    """Give the text as a label: what Mermaid or HTML could take for more is written as a code."""
    escaped = _SPECIAL.sub(lambda found: f'#{ord(found.group())};', text)
    return f'"{escaped}"'
