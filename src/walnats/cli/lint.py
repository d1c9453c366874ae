"""`walnats lint`: what the linter finds, for those without flake8."""

from typing import Annotated

import typer

from .._linter import lint_paths
from .._linter.files import find_files
from ._app import FAILED, app
from ._errors import CommandError
from ._output import show_warning


@app.command()
def lint(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar='PATH', help='Files and directories.', show_default='.'),
    ] = None,
    *,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar='CODES',
            help='Codes to leave out, or what they begin with: WNS042,WNS03. May be repeated.',
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find mistakes in how events and actors are declared and used, without running the code.

    Each finding is a line `file:line:column: CODE text`, and where there are any the program ends
    with code 1. `# noqa: CODE` in a line of the code silences it there.

    **Example:** `walnats lint shop tests`
    """
    paths = paths or ['.']
    codes = [code.strip() for each in ignore or () for code in each.split(',')]
    try:
        findings = list(lint_paths(paths, ignore=codes))
    except FileNotFoundError as error:
        raise CommandError(f"there is no file or directory '{error.filename}'") from error
    except ValueError as error:
        raise CommandError(f'--ignore: {error}') from error
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(FAILED)
    if not find_files(paths):
        show_warning(f'there are no files of Python in {", ".join(paths)}')
