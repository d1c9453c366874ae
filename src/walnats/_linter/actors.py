"""The rules for how the jobs of an actor run: WNS041 and WNS042."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .codes import problem
from .resolve import callee_of, function_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .codes import Problem
    from .declarations import Declaration
    from .resolve import View
    from .scopes import Function

_POOLS = ('walnats.ExecuteIn.THREAD', 'walnats.ExecuteIn.PROCESS')
_KEEPS_KIND = ('walnats.decorators.filter_time', 'walnats.decorators.suppress')
_MAKES_ASYNC = ('walnats.decorators.rate_limit', 'walnats.decorators.require')


def check_actor(declaration: Declaration) -> Iterator[Problem]:
    """Check one declaration, if it is that of an actor."""
    if declaration.path == 'walnats.Actor':
        yield from _check_pool(declaration)
        yield from _check_attempts(declaration)


def _check_pool(declaration: Declaration) -> Iterator[Problem]:
    where = declaration.arguments.get('execute_in')
    handler = declaration.arguments.get('handler')
    if where is None or handler is None or path_of(where, declaration.view) not in _POOLS:
        return
    found = function_of(handler, declaration.view)
    if found is not None and _is_async(*found):
        yield problem('WNS041', where, f": '{found[0].name}' needs the event loop")


def _is_async(function: Function, view: View) -> bool:
    """Tell whether what the decorators leave of it is async for certain."""
    is_async = isinstance(function, ast.AsyncFunctionDef)
    for node in reversed(function.decorator_list):
        path = callee_of(node, view) if isinstance(node, ast.Call) else None
        if path in _MAKES_ASYNC:
            is_async = True
        elif path not in _KEEPS_KIND:
            return False
    return is_async


def _check_attempts(declaration: Declaration) -> Iterator[Problem]:
    """Without it there is no end: who wants that may say so, by None."""
    if 'max_attempts' not in declaration.arguments and not declaration.has_more_arguments:
        more = ': what always fails, or kills its process, is tried for ever'
        yield problem('WNS042', declaration.call, f'{more}; set a number, or None if that is meant')
