"""From the tree of a module to its problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .actors import check_actor
from .awaits import check_awaits
from .declarations import find_declarations
from .duplicates import check_duplicates
from .literals import check_literals
from .walk import read_module

if TYPE_CHECKING:
    import ast

    from .codes import Problem


def find_problems(tree: ast.Module) -> list[Problem]:
    """Find what is wrong in a module, in the order of its lines."""
    module = read_module(tree)
    if not module.imports_walnats:
        return []  # as in most modules: nothing can be found, so don't look
    sites = sorted(module.calls, key=lambda site: (site.call.lineno, site.call.col_offset))
    problems = [*check_awaits(module.dropped)]
    declarations = list(find_declarations(sites))
    for declaration in declarations:
        problems += check_literals(declaration)
        problems += check_actor(declaration)
    problems += check_duplicates(declarations)
    return sorted(problems)
