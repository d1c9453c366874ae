"""Scopes: what each name of a module is bound to, and where."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Binding: TypeAlias = str | ast.expr | ast.AnnAssign | ast.arg | ast.withitem | Function | None
"""What gives a name its value.

The dotted path of an import, a value that is assigned, an annotation, a parameter, what an
`async with` enters, or a function. None is anything else.
"""


class Scope:
    """The names of a module, a function, a class or a comprehension."""

    def __init__(self, outer: Scope | None = None, *, is_class: bool = False) -> None:
        self.outer = outer
        self._is_class = is_class
        self._bindings: defaultdict[str, list[Binding]] = defaultdict(list)

    def bind(self, name: str, binding: Binding) -> None:
        """Note that the name is bound here: once more, if it was before. `*` is `import *`."""
        self._bindings[name].append(binding)

    def bind_anywhere(self, name: str) -> None:
        """Note that the name is bound to something, here or in one of the outer scopes."""
        scope: Scope | None = self
        while scope is not None:
            scope.bind(name, None)
            scope = scope.outer

    def find(self, name: str) -> tuple[Scope, list[Binding]]:
        """Give the scope that a name is looked up in, from here, and all that binds it there."""
        scope = self
        while True:
            is_visible = scope is self or not scope._is_class
            if is_visible and name in scope._bindings:
                return scope, scope._bindings[name]
            if scope.outer is None:
                return scope, self._find_in_stars(scope, name)
            scope = scope.outer

    @staticmethod
    def _find_in_stars(module: Scope, name: str) -> list[Binding]:
        """Take a name for an imported one if only one `import *` can have brought it."""
        match module._bindings.get('*'):
            case [str() as source]:
                return [source + name]
            case _:
                return []
