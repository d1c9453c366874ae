"""The calls that declare something: `Event(…)`, `Limits(…)`, `Actor(…)`."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._actor import Actor
from .._event import Event, Limits
from .resolve import View, callee_of, constant_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .walk import Site


def _positional(cls: type) -> list[str]:
    parameters = inspect.signature(cls).parameters.values()
    return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]


_POSITIONAL = {f'walnats.{cls.__name__}': _positional(cls) for cls in (Event, Limits, Actor)}


@dataclass(frozen=True)
class Declaration:
    """A call that declares something."""

    path: str
    """What is called, such as `walnats.Event`."""
    call: ast.Call
    arguments: dict[str, ast.expr]
    """Those that are written out."""
    has_more_arguments: bool
    """There is a `*` or a `**`."""
    view: View
    is_certain: bool
    """See `Place.is_certain`."""

    def text(self, name: str) -> str | None:
        """Give the argument if it is a string that is written out."""
        value = self._constant(name)
        return value if isinstance(value, str) else None

    def number(self, name: str) -> float | None:
        """Give the argument if it is a number that is written out."""
        value = self._constant(name)
        return None if isinstance(value, str) else value

    def _constant(self, name: str) -> str | float | None:
        argument = self.arguments.get(name)
        return None if argument is None else constant_of(argument, self.view)


def find_declarations(sites: Iterable[Site]) -> Iterator[Declaration]:
    """Find those of the calls that declare something."""
    for call, place in sites:
        declaration = read_declaration(call, View(place.scope), is_certain=place.is_certain)
        if declaration is not None:
            yield declaration


def read_declaration(call: ast.Call, view: View, *, is_certain: bool) -> Declaration | None:
    """Read a call, if it declares something."""
    path = callee_of(call, view)
    if path is None or path not in _POSITIONAL:
        return None
    arguments, has_more = _read_arguments(call, _POSITIONAL[path])
    return Declaration(path, call, arguments, has_more, view, is_certain)


def _read_arguments(call: ast.Call, names: list[str]) -> tuple[dict[str, ast.expr], bool]:
    plain = list(call.args)
    starred = next((i for i, each in enumerate(plain) if isinstance(each, ast.Starred)), None)
    arguments = dict(zip(names, plain[:starred], strict=False))
    arguments |= {each.arg: each.value for each in call.keywords if each.arg is not None}
    has_more = starred is not None or any(each.arg is None for each in call.keywords)
    return arguments, has_more
