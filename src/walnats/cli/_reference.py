"""The reference of the commands in Markdown, for the documentation."""

from collections.abc import Iterator
from typing import Any

import typer

from ._app import app, load_commands
from ._server import CONNECTION

_SHARED = {'--help', '--install-completion', '--show-completion'}


def reference() -> str:
    """Describe all commands: what they are for, how they are called, their options."""
    load_commands()
    root: Any = typer.main.get_command(app)
    return '\n'.join(_describe_all(root, 'walnats'))


def _describe_all(command: Any, name: str) -> Iterator[str]:
    """Describe a command; of a group, the commands in it."""
    inner: dict[str, Any] = getattr(command, 'commands', {})
    if not inner:
        yield from _describe(command, name)
    for part, each in inner.items():
        yield from _describe_all(each, f'{name} {part}')


def _describe(command: Any, name: str) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = ' '.join([name, *command.collect_usage_pieces(context)])
    yield from (f'### `{name}`', '', command.help, '', '```text', usage, '```', '')
    rows = [_row(each, context) for each in command.get_params(context) if not _is_shared(each)]
    if rows:
        yield from ('| | |', '| --- | --- |', *rows, '')


def _is_shared(parameter: Any) -> bool:
    """If it is one that all commands have, or all of those that connect."""
    is_connection = getattr(parameter, 'rich_help_panel', None) == CONNECTION
    return is_connection or not _SHARED.isdisjoint(parameter.opts)


def _row(parameter: Any, context: Any) -> str:
    what, text = (cell.replace('|', r'\|') for cell in parameter.get_help_record(context))
    if parameter.param_type_name == 'argument':
        what = parameter.metavar
    return f'| `{what}` | {text} |'
