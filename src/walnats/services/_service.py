"""One service: what it emits and what it handles."""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._checks import Fields, show
from .._names import MAX_LENGTH
from .._registry import Actors, Events
from ..errors import DeclarationTypeError, InvalidNameError
from ..serializers._tree import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._event import BaseEvent

_NAME = re.compile(r'[!-~]+')
_LOCAL = re.compile(r'[\w.]+\.<locals>\.')


@dataclass(frozen=True)
class Service:
    """A service as `Services.add` was told of it."""

    name: str
    version: str
    emits: Events | None
    defines: Actors | None

    def __post_init__(self) -> None:
        """Check the values."""
        _check_name(self.name)
        rules = Fields(f'service {self.name!r}', self)
        if not isinstance(self.version, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
            rules.reject_type('version', self.version, "must be a string, such as '1.2.0'")
        if not self.version:
            rules.reject('version', self.version, "must not be empty: leave it out for '0.0.0'")
        if self.emits is not None:
            rules.instance('emits', Events, 'Events(USER_CREATED), or None')
        if self.defines is not None:
            rules.instance('defines', Actors, 'Actors(SEND_EMAIL), or None')

    def events(self) -> Iterator[BaseEvent[Any, Any]]:
        """Give what it emits, then what its actors handle; an event may come several times."""
        yield from self.emits or ()
        yield from (actor.event for actor in self.defines or ())


def schema_name(schema: Any) -> str:
    """Name a schema for people: a class by its name alone, `list[User]` as one would write it."""
    is_named = isinstance(schema, (type, typing.NewType)) and schema is not type(None)
    return schema.__name__ if is_named else _LOCAL.sub('', name_of(schema))


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise DeclarationTypeError(f'service name must be a string, not {kind}: {show(name)}')
    if not _NAME.fullmatch(name):
        problem = 'be printable ASCII without white space' if name else 'not be empty'
        raise InvalidNameError(f'service name {show(name)} must {problem}')
    if len(name) > MAX_LENGTH:
        raise InvalidNameError(
            f'service name {show(name)} must be at most {MAX_LENGTH} characters long,'
            f' it has {len(name)}'
        )
