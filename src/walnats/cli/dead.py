"""`walnats dead`: the messages that actors gave up on, without the code of the actors."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple

import typer
from rich.progress import Progress

from .. import _dead_letters
from .._dead_letters import DeadLetter
from .._jetstream.connection import Connection
from ..errors import WalnatsError
from . import _payload
from ._app import FAILED, app
from ._connect import connect
from ._errors import CommandError
from ._letters import Letter, Selection, fetch, find_letters
from ._output import (
    confirm,
    err,
    printable,
    show_error,
    show_json,
    show_note,
    show_table,
    show_text,
)
from ._server import ServerOptions, takes_server
from ._units import Duration, duration_option

dead = typer.Typer(
    help='Look at dead letters, the messages that actors gave up on; replay or discard them.\n\n'
    '**Example:** `walnats dead list --newer 1d`',
    no_args_is_help=True,
)
app.add_typer(dead, name='dead')


class _Deed(NamedTuple):
    """What can be done with letters."""

    verb: str
    participle: str
    action: Callable[[Connection, DeadLetter], Awaitable[None]]


_REPLAY = _Deed('Replay', 'replayed', _dead_letters.replay)
_DISCARD = _Deed('Discard', 'discarded', _dead_letters.discard)

_Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar='ID', help='Ids, as `walnats dead list` shows them.'),
]
_Event = Annotated[str | None, typer.Option(metavar='NAME', help='Those of this event.')]
_Actor = Annotated[str | None, typer.Option(metavar='NAME', help='Those of this actor.')]
_Reason = Annotated[
    str | None,
    typer.Option(
        metavar='TEXT', help='Those with this text in their reason; * stands for anything.'
    ),
]
_Older = Annotated[Duration | None, duration_option(help='Those that died longer ago.')]
_Newer = Annotated[Duration | None, duration_option(help='Those that died since.')]
_All = Annotated[bool, typer.Option('--all', help='All there are.')]
_Yes = Annotated[bool, typer.Option('--yes', '-y', help="Don't ask.")]
_DryRun = Annotated[bool, typer.Option('--dry-run', help='Show which, and do nothing.')]
_Json = Annotated[bool, typer.Option('--json', help='Print JSON.')]


@dead.command('list')
@takes_server
def list_letters(
    server: ServerOptions,
    *,
    event: _Event = None,
    actor: _Actor = None,
    reason: _Reason = None,
    older: _Older = None,
    newer: _Newer = None,
    as_json: _Json = False,
) -> None:
    """List dead letters, the oldest first.

    **Example:** `walnats dead list --actor send-email --newer 1d`
    """
    selection = Selection(event, actor, reason, older, newer)
    _show(asyncio.run(find_letters(server, [], selection)), as_json=as_json)


@dead.command()
@takes_server
def show(
    letter_id: Annotated[
        str, typer.Argument(metavar='ID', help='The id, as `walnats dead list` shows it.')
    ],
    server: ServerOptions,
    *,
    as_hex: Annotated[
        bool, typer.Option('--hex', help='Show the payload in hexadecimal digits.')
    ] = False,
    only_payload: Annotated[
        bool, typer.Option('--payload', help='Print the bytes of the payload, and nothing else.')
    ] = False,
    as_json: _Json = False,
) -> None:
    """Show one dead letter: why it died, its headers, its payload.

    The payload is shown as JSON if it is, else in hexadecimal digits.

    **Example:** `walnats dead show 17-3fa`
    """
    letter = asyncio.run(_fetch_one(server, letter_id))
    if only_payload:
        sys.stdout.buffer.write(letter.data)
    elif as_json:
        headers = letter.headers or {}
        about = Letter.of(letter).as_dict()
        show_json({**about, 'headers': headers, **_payload.describe(letter.data)})
    else:
        _print(letter, as_hex=as_hex)


@dead.command()
@takes_server
def replay(
    server: ServerOptions,
    ids: _Ids = None,
    *,
    event: _Event = None,
    actor: _Actor = None,
    reason: _Reason = None,
    older: _Older = None,
    newer: _Newer = None,
    everything: _All = False,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Deliver dead letters again: each to its own actor only, with fresh attempts.

    A letter is removed once its message is stored. What fails is reported, and the rest goes on.

    **Example:** `walnats dead replay --actor send-email --reason 'no connection to *'`
    """
    selection = Selection(event, actor, reason, older, newer)
    letters = _select(server, ids or [], selection, everything=everything)
    _do_or_show(server, _REPLAY, letters, yes=yes, dry_run=dry_run, as_json=as_json)


@dead.command()
@takes_server
def discard(
    server: ServerOptions,
    ids: _Ids = None,
    *,
    event: _Event = None,
    actor: _Actor = None,
    reason: _Reason = None,
    older: _Older = None,
    newer: _Newer = None,
    everything: _All = False,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Remove dead letters for good.

    **Example:** `walnats dead discard --event user-created --older 2w`
    """
    selection = Selection(event, actor, reason, older, newer)
    letters = _select(server, ids or [], selection, everything=everything)
    _do_or_show(server, _DISCARD, letters, yes=yes, dry_run=dry_run, as_json=as_json)


def _select(
    server: ServerOptions, ids: list[str], selection: Selection, *, everything: bool
) -> list[Letter]:
    """Give the letters that were asked for; there is at least one."""
    if ids and (selection.is_some or everything):
        raise CommandError('give either ids, or what to select letters by')
    if not (ids or selection.is_some or everything):
        raise CommandError('nothing is selected: give ids, or options such as --actor, or --all')
    letters = asyncio.run(find_letters(server, ids, selection))
    if not letters:
        raise CommandError('there are no such dead letters')
    return letters


async def _fetch_one(server: ServerOptions, letter_id: str) -> DeadLetter:
    async with connect(server) as connection:
        return await fetch(connection, letter_id)


def _do_or_show(
    server: ServerOptions,
    deed: _Deed,
    letters: list[Letter],
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    if dry_run:
        _show(letters, as_json=as_json)
        return
    confirm(f'{deed.verb} {len(letters)} dead letters?', yes=yes)
    failed = asyncio.run(_do(server, deed, letters))
    if as_json:
        succeeded = [letter.id for letter in letters if letter.id not in failed]
        show_json({deed.participle: succeeded, 'failed': failed})
    else:
        count = len(letters) - len(failed)
        show_text(f'{deed.participle} {count} of {len(letters)} dead letters')
    if failed:
        raise typer.Exit(FAILED)


async def _do(server: ServerOptions, deed: _Deed, letters: list[Letter]) -> dict[str, str]:
    """Do it with one letter after the other; give the ids of those that failed, and why."""
    failed: dict[str, str] = {}
    async with connect(server) as connection:
        with Progress(console=err, disable=not err.is_terminal) as progress:
            for letter in progress.track(letters, description=deed.participle):
                try:
                    await deed.action(connection, await fetch(connection, letter.id))
                except (WalnatsError, CommandError) as error:
                    failed[letter.id] = str(error)
                    show_error(f'{letter.id}: {error}')
    return failed


def _show(letters: list[Letter], *, as_json: bool) -> None:
    if as_json:
        show_json([letter.as_dict() for letter in letters])
    elif letters:
        show_table(Letter.COLUMNS, [letter.row() for letter in letters])
    else:
        show_note('there are no such dead letters')


def _print(letter: DeadLetter, *, as_hex: bool) -> None:
    for name, value in Letter.of(letter).as_dict().items():
        if value is not None:
            show_text(f'{name.replace("_", " "):<12}{printable(str(value))}')
    for name, value in (letter.headers or {}).items():
        show_text(f'{"header":<12}{printable(f"{name}: {value}")}')
    show_text('\n' + _payload.show(letter.data, as_hex=as_hex))
