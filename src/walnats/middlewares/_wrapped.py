"""What the middlewares share that pass on to another one only some of what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .._checks import Fields

if TYPE_CHECKING:
    from .._actor import Actor

ActorKey: TypeAlias = tuple[str, str]

_HOOKS = ('on_start', 'on_success', 'on_failure')


def check_wrapped(owner: str, middleware: object) -> None:
    """Raise DeclarationTypeError unless it is a middleware."""
    hooks = (getattr(middleware, name, None) for name in _HOOKS)
    if isinstance(middleware, type) or not all(map(callable, hooks)):
        rules = Fields(owner, middleware)
        rule = 'must be an instance with the methods on_start, on_success and on_failure'
        rules.reject_type('middleware', middleware, rule)


def key_of(actor: Actor[Any, Any]) -> ActorKey:
    """Tell actors apart: their names are unique per event."""
    return actor.event.name, actor.name
