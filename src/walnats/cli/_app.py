"""The program: its commands, its exit codes, and how errors are shown.

A command is a function in a module of its own, decorated with `@app.command()`, and the module is
in `_COMMANDS` below. Its docstring is its help and ends in an example. Errors that it raises as
`WalnatsError`, as `CommandError` or as `OSError` are shown in one line, and the program ends with
code 1.
"""

import importlib
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
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
    _prepare_streams()
    named = [name for name in _COMMANDS if name in sys.argv[1:2]]
    load_commands(named or _COMMANDS)  # what else there is matters only to the help
    try:
        code = _call()
        sys.stdout.flush()  # Python itself may keep silent about what it can't write at the exit
    except OSError as error:  # of a full disk, for instance
        code = FAILED
        if not isinstance(error, BrokenPipeError):  # whoever reads the output has enough of it
            show_error(str(error) or type(error).__name__)
        _flush_or_drop()
    sys.exit(code)


def _flush_or_drop() -> None:
    """Print what is still to be printed, or keep Python from trying it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load_commands(names: Iterable[str] = _COMMANDS) -> None:
    """Import the modules of commands, so that the app has them."""
    for name in names:
        importlib.import_module(f'{__package__}.{name}')


def _call() -> int:
    """Call the command, show its error if there is one, and give its exit code."""
    try:
        return app(standalone_mode=False) or 0
    except (WalnatsError, CommandError) as error:
        show_error(str(error))
        return FAILED
    except typer.Abort:
        show_error('aborted')
        return FAILED
    except _UsageError as error:
        _show_usage_error(error)
        code: int = error.exit_code
        return code


def _prepare_streams() -> None:
    """Have all three, also where the caller has closed one, and have the output take any text."""
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            null = Path(os.devnull).open(mode, encoding='utf-8')  # noqa: SIM115 -- it stays open
            os.set_inheritable(null.fileno(), True)  # for the processes of `run`
            setattr(sys, name, null)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == 'strict':
        sys.stdout.reconfigure(errors='backslashreplace')  # the name of a file may be no Unicode


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
