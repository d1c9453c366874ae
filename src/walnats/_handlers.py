"""What can be the handler of an actor, and whether it is an async one."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def is_async(handler: Callable[..., Any]) -> bool:
    """Tell whether calling the handler gives a coroutine.

    It sees through partials, bound methods and callable objects. A plain function that
    returns an awaitable can't be told from its looks: it isn't one.
    """
    return any(map(inspect.iscoroutinefunction, _find_functions(handler)))


def find_handler_problem(handler: object) -> str | None:
    """Say what keeps the object from being a handler, as the end of a sentence, if anything."""
    problem = find_callable_problem(handler)
    if problem is None and callable(handler) and not takes(handler, 1):
        return f'must take one positional argument, the message, not {_find_signature(handler)}'
    return problem


def find_callable_problem(handler: object) -> str | None:
    """Say the same, whatever arguments it takes."""
    if isinstance(handler, type):
        return f'must not be a class: pass a method or an instance of {handler.__name__}'
    if not callable(handler):
        return 'must be a function or another callable'
    functions = _find_functions(handler)
    if any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in functions):
        return "must not be a generator, because nobody iterates over it: take the 'yield' out"
    return None


def takes(function: Callable[..., Any], count: int) -> bool:
    """Tell whether so many positional arguments will do, as far as that can be known."""
    signature = _find_signature(function)
    if signature is None:
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _find_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        # What a decorator gives is what is called, whatever it wraps.
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # some builtins have none
        return None


def _find_functions(handler: Callable[..., Any]) -> tuple[Any, Any]:
    """Find what holds the code: what a partial wraps, and the method that a call goes to."""
    while isinstance(handler, partial):
        handler = handler.func
    return handler, type(handler).__call__
