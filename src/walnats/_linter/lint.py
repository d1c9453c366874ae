"""The linter for those without flake8: from paths to findings."""

from __future__ import annotations

import ast
import tokenize
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .check import find_problems
from .codes import CODES, Problem
from .files import find_files
from .noqa import LineSwitches, is_file_off

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator


_NOT_READ, _NOT_PYTHON = _FILE_CODES = 'E902', 'E999'


class Finding(NamedTuple):
    """What is wrong at one place of one file. As a string it is a line to print."""

    path: str
    line: int
    """From 1; 0 for the file as a whole."""
    column: int
    """From 1, in bytes of UTF-8, as flake8 counts."""
    code: str
    """`WNS001` and so on; `E999` for what isn't Python and `E902` for what can't be read."""
    text: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}:{self.column}: {self.code} {self.text}'


def lint_paths(
    paths: Iterable[str | os.PathLike[str]], *, ignore: Iterable[str] = ()
) -> Iterator[Finding]:
    """Check files, and all files of Python in directories.

    The findings are those of flake8 with `--select WNS,E9`. Comments with `noqa` are heeded.

    :param ignore: codes, or what they begin with, that are not to be told.
    :raises FileNotFoundError: there is nothing of that name. It is raised at once.
    :raises ValueError: there is no such code. It is raised at once.
    """
    files, ignored = find_files(paths), tuple(ignore)
    for prefix in ignored:
        if not prefix or not any(code.startswith(prefix) for code in (*CODES, *_FILE_CODES)):
            raise ValueError(f"'{prefix}' is no code of the linter, nor do any begin with it")
    findings = (finding for file in files for finding in _lint_file(file))
    return (finding for finding in findings if not finding.code.startswith(ignored))


def _lint_file(path: str) -> Iterator[Finding]:
    try:
        lines = _read_lines(path)
    except OSError as error:
        yield Finding(path, 0, 1, _NOT_READ, f'{type(error).__name__}: {error}')
        return
    problems = [] if is_file_off(lines) else _find_problems(''.join(lines))
    if not problems:
        return
    switches = LineSwitches(lines)
    for line, column, code, text in problems:
        if not switches.is_off(line, code):
            yield Finding(path, line, column + 1, code, text)


def _read_lines(path: str) -> list[str]:
    """Read a file as what its first lines say that it is, or else without any errors."""
    try:
        with tokenize.open(path) as file:
            lines = file.readlines()
    except (SyntaxError, UnicodeError):
        with Path(path).open(encoding='latin-1') as file:
            lines = file.readlines()
        if lines:
            lines[0] = lines[0].removeprefix('\xef\xbb\xbf')  # the mark of UTF-8, which it isn't
    return lines


def _find_problems(source: str) -> list[Problem]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # such as '\d' in a string: not our subject
            tree = ast.parse(source)
    except SyntaxError as error:
        text = f'{type(error).__name__}: {error.msg}'
        return [Problem(error.lineno or 1, error.offset or 0, _NOT_PYTHON, text)]
    except ValueError as error:  # null bytes, to some versions of Python
        return [Problem(1, 0, _NOT_PYTHON, f'SyntaxError: {error}')]
    except (RecursionError, MemoryError):
        return [Problem(1, 0, _NOT_PYTHON, 'SyntaxError: nested too deeply for Python')]
    return find_problems(tree)
