"""The rules for what must be there only once in a module: WNS031 and WNS032.

Only what importing the module declares for certain is compared: tests and functions may well
declare the same event, each for itself.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .codes import problem
from .declarations import read_declaration
from .resolve import call_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .codes import Problem
    from .declarations import Declaration
    from .resolve import View


def check_duplicates(declarations: Iterable[Declaration]) -> Iterator[Problem]:
    """Check the declarations of a module, in their order."""
    first_lines: dict[tuple[str, ...], int] = {}
    for declaration in declarations:
        key = _key_of(declaration) if declaration.is_certain else None
        if key is None:
            continue
        argument = declaration.arguments['name']
        if key not in first_lines:
            first_lines[key] = argument.lineno
            continue
        code = 'WNS031' if declaration.path == 'walnats.Event' else 'WNS032'
        yield problem(code, argument, f": '{key[-1]}', see line {first_lines[key]}")


def _key_of(declaration: Declaration) -> tuple[str, ...] | None:
    """Give what must be there only once."""
    name = declaration.text('name')
    if not name:
        return None
    if declaration.path == 'walnats.Event':
        return (name,)
    event = declaration.arguments.get('event')
    which = None if event is None else _find_event(event, declaration.view)
    return None if which is None else (which, name)


def _find_event(node: ast.expr, view: View) -> str | None:
    """Give the name of an event that is declared here, or where it is imported from."""
    made = call_of(node, view)
    if made is None:
        return path_of(node, view)
    match made:
        case ast.Call(func=ast.Attribute(value=event, attr='with_response')), inner:
            return _find_event(event, inner)
    call, inner = made
    declaration = read_declaration(call, inner, is_certain=False)
    return declaration.text('name') if declaration is not None else None
