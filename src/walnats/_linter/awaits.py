"""The rule for coroutines of connections and clocks that are never awaited: WNS051.

Only where the name surely is one: by `async with events.connect() as conn`, or by its annotation.
"""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

from .._publisher.publisher import ConnectedEvents
from .._worker.worker import ConnectedActors
from .codes import problem
from .resolve import View, class_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .codes import Problem
    from .walk import Site


def _coroutines(cls: type) -> set[str]:
    return {name for name, value in vars(cls).items() if inspect.iscoroutinefunction(value)}


_COROUTINES = {
    'walnats.types.ConnectedEvents': _coroutines(ConnectedEvents),
    'walnats.types.ConnectedActors': _coroutines(ConnectedActors),
    'walnats.Clock': {'run'},
}


def check_awaits(dropped: Iterable[Site]) -> Iterator[Problem]:
    """Check calls whose result nobody looks at."""
    for call, place in dropped:
        match call.func:
            case ast.Attribute(value=owner, attr=name):
                path = class_of(owner, View(place.scope))
                if name in _COROUTINES.get(path or '', ()):
                    yield problem('WNS051', call, f": without 'await', '{name}' does nothing")
