"""All codes of the linter, and what a problem is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ast

CODES = {
    'WNS001': 'event name is empty',
    'WNS002': 'event name is too long',
    'WNS003': 'event name has invalid symbols',
    'WNS004': 'event name should use kebab-case',
    'WNS005': 'event description is empty',
    'WNS006': 'event description is too long',
    'WNS011': 'limit must be positive',
    'WNS012': 'age must be in seconds',
    'WNS021': 'actor name is empty',
    'WNS022': 'actor name is too long',
    'WNS023': 'actor name has invalid symbols',
    'WNS024': 'actor name should use kebab-case',
    'WNS025': 'actor description is empty',
    'WNS026': 'actor description is too long',
    'WNS031': 'event name is declared twice',
    'WNS032': 'actor name is declared twice for the event',
    'WNS041': 'async handler must be executed in MAIN',
    'WNS042': 'max_attempts is left open',
    'WNS051': 'coroutine is not awaited',
}
"""What each code says; the text of a problem may add to it."""


class Problem(NamedTuple):
    """What is wrong at one place of a file. Problems sort by their place."""

    line: int
    """From 1."""
    column: int
    """From 0, in bytes of UTF-8: as `ast` counts."""
    code: str
    text: str


def problem(code: str, node: ast.expr, more: str = '') -> Problem:
    """Make a problem of what is at the node; `more` follows the text of the code."""
    return Problem(node.lineno, node.col_offset, code, CODES[code] + more)
