"""The plugin of flake8, which finds it by the entry point in pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check import find_problems

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator


class Flake8Checker:
    """Checks one file."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    def run(self) -> Iterator[tuple[int, int, str, type[Flake8Checker]]]:
        """Give a line from 1, a column from 0 and `CODE text` for each problem."""
        for problem in find_problems(self._tree):
            yield problem.line, problem.column, f'{problem.code} {problem.text}', type(self)
