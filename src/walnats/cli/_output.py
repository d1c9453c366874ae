"""What commands print: tables, JSON, and errors in one line.

In a terminal there are colours and borders. Where the output is piped, or with NO_COLOR, there is
plain text: a table is lines of columns, and nothing is cut.
"""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._errors import CommandError

Cell: TypeAlias = str | Text

# Control characters, lone surrogates, separators of lines and paragraphs.
_STEERING = {'Cc', 'Cs', 'Zl', 'Zp'}

out = Console(highlight=False)
"""Where results go: the standard output."""

err = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where errors, warnings, questions and progress go: the standard error."""


def show_error(text: str) -> None:
    """Show an error in one line."""
    _show_marked('error:', 'bold red', text)


def show_warning(text: str, console: Console = err) -> None:
    """Show, in one line, what went well but may not be what was wanted."""
    _show_marked('warning:', 'bold yellow', text, console)


def show_note(text: str) -> None:
    """Show, beside the results, what a person may want to know."""
    err.print(Text(printable(text)))


def show_text(text: str, style: str = '') -> None:
    """Print a text as it is; it may have several lines."""
    lines = '\n'.join(map(printable, text.split('\n')))
    out.print(Text(lines, style), soft_wrap=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether to go on, unless the answer was given as `--yes`.

    :raises CommandError: nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"nobody is here to answer '{question}': pass --yes")
    typer.confirm(question, abort=True, err=True)


def show_json(value: Any) -> None:
    """Print a value as JSON: indented in a terminal, else in one line."""
    data = msgspec.json.encode(value)
    if out.is_terminal:
        out.print_json(printable(data.decode()))
    else:
        sys.stdout.write(f'{data.decode()}\n')


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = '') -> None:
    """Print a table. A column whose name begins with '#' is of numbers: aligned on the right."""
    lines = list(rows)
    if out.is_terminal:
        out.print(bordered(columns, lines, title))
    else:
        sys.stdout.write(_plain(columns, [[printable(str(cell)) for cell in row] for row in lines]))


def printable(text: str) -> str:
    """Give the text without what would steer a terminal or break a line: it may be anybody's."""
    if text.isprintable():
        return text
    return ''.join('\ufffd' if unicodedata.category(char) in _STEERING else char for char in text)


def _show_marked(mark: str, style: str, text: str, console: Console = err) -> None:
    console.print(Text.assemble((mark, style), ' ', printable(' '.join(text.split()))))


def bordered(columns: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = '') -> Table:
    """Give a table for a terminal; columns as in `show_table`."""
    table = Table(title=title or None, title_justify='left', title_style='bold')
    for column in columns:
        table.add_column(
            column.removeprefix('#'),
            justify='right' if column.startswith('#') else 'left',
            overflow='fold',
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    return table


def _plain(columns: Sequence[str], rows: list[Sequence[str]]) -> str:
    """Give lines of columns, divided by at least two spaces."""
    lines = [[column.removeprefix('#').upper() for column in columns], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ''.join(f'{_aligned(columns, line, widths)}\n' for line in lines)


def _aligned(columns: Sequence[str], line: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.rjust(width) if column.startswith('#') else cell.ljust(width)
        for column, cell, width in zip(columns, line, widths, strict=True)
    )
    return '  '.join(cells).rstrip()
