"""Comments that switch the linter off, with the meaning that they have in flake8.

- `# flake8: noqa` in a line of its own: for the file.
- `# noqa`: for its line; or for the whole of a string of several lines, and for all lines that are
  joined by backslashes.
- `# noqa: WNS003, WNS04`: there, and for these codes or what begins with one of them.
"""

from __future__ import annotations

import re
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FILE = re.compile(r'\s*# flake8[:=]\s*noqa', re.IGNORECASE)
_LINE = re.compile(r'# noqa(?::\s?(?P<codes>(?:[A-Z]+[0-9]+[,\s]*)+))?', re.IGNORECASE)
_NO_PART = (tokenize.ENDMARKER, tokenize.DEDENT)
_ENDS = (tokenize.NL, tokenize.NEWLINE)


def is_file_off(lines: Sequence[str]) -> bool:
    """Tell whether the file is not to be checked."""
    return any(_FILE.match(line) for line in lines)


class LineSwitches:
    """What is switched off in which lines of a file."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._ranges = {
            number: span for span in _find_spans(lines) for number in range(span[0], span[1] + 1)
        }

    def is_off(self, line: int, code: str) -> bool:
        """Tell whether a problem in that line, from 1, is not to be told."""
        first, last = self._ranges.get(line, (line, line))
        found = _LINE.search(''.join(self._lines[max(first - 1, 0) : last]))
        if found is None:
            return False
        codes = re.split(r'[,\s]+', found['codes'].strip(', \t\r\n')) if found['codes'] else ['']
        return code.startswith(tuple(codes))


def _find_spans(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give the first and the last of the lines that go together. Most go alone."""
    rest = iter(lines)
    first = last = 0
    try:
        for token in tokenize.generate_tokens(lambda: next(rest, '')):
            if token.type in _NO_PART:
                continue
            first = first or token.start[0]
            last = token.end[0]
            if token.type in _ENDS:
                yield first, last
                first = 0
    except (tokenize.TokenError, SyntaxError):
        return  # it isn't Python from here on: each line goes alone
