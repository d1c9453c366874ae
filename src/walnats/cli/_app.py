"""The program: its commands, its exit codes, and how errors are shown.

A command is a function in a module of its own, decorated with `@app.command()`, and the module is
in `_COMMANDS` below. Its docstring is its help and ends in an example. Errors that it raises as
`WalnatsError`, or as `CommandError`, are shown in one line, and the program ends with code 1.
"""

import importlib
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import WalnatsError
from ._errors import CommandError
from ._output import show_error

# Typer exports but one of its errors for a wrong usage.
_UsageError: Any = typer.BadParameter.__base__

FAILED = 1
"""The exit code of a command that failed."""

_COMMANDS: tuple[str, ...] = (
    'run',
    'server',
    'emit',
    'monitor',
    'status',
    'dead',
    'plan',
    'actors',
    'describe',
    'lint',
)
"""The modules of the commands, in the order of the help."""

app = typer.Typer(
    name='walnats',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode='markdown',
    context_settings={'help_option_names': ['-h', '--help']},
)


def run() -> None:
    """Run the command that the arguments name, and exit with its code."""
    named = [name for name in _COMMANDS if name in sys.argv[1:2]]
    load_commands(named or _COMMANDS)  # what else there is matters only to the help
    try:
        sys.exit(app(standalone_mode=False))
    except (WalnatsError, CommandError) as error:
        show_error(str(error))
        sys.exit(FAILED)
    except typer.Abort:
        show_error('aborted')
        sys.exit(FAILED)
    except _UsageError as error:
        _show_usage_error(error)
        sys.exit(error.exit_code)


def load_commands(names: Iterable[str] = _COMMANDS) -> None:
    """Import the modules of commands, so that the app has them."""
    for name in names:
        importlib.import_module(f'{__package__}.{name}')


def _show_usage_error(error: Any) -> None:
    reason = error.format_message()
    if reason:  # without one, the help was shown
        show_error(f'{reason} (see `{error.ctx.command_path} --help`)')


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- as typer calls it
    if wanted:
        typer.echo(f'walnats {__version__}')
        raise typer.Exit


@app.callback()
def _about(
    *,
    _version: Annotated[
        bool,
        typer.Option('--version', help='Show the version.', callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Event-driven services and background jobs on NATS JetStream."""
