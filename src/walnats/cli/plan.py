"""`walnats plan` and `walnats apply`: what `register` would change, and having it done."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .._actor import Actor
from .._jetstream import settings
from .._jetstream.connection import Connection
from .._jetstream.settings import Change, Config, Difference
from .._jetstream.survey import list_consumers
from .._registry import Actors, Events
from ..errors import StreamNotFoundError
from ._app import FAILED, app
from ._connect import connect
from ._errors import CommandError
from ._output import confirm, show_json, show_text
from ._server import ServerOptions, takes_server
from ._target import load, wrong_target

DIFFERS = 2
"""The exit code of `plan` where something would change."""

_IN_NANOSECONDS = ' (ns)'
_COLOURS = {'+': 'green', '~': 'yellow', '!': 'red'}

_Targets = Annotated[
    list[str],
    typer.Argument(
        metavar='MODULE:TARGET', help='`Events` and `Actors`, one or more.', show_default=False
    ),
]


class _PlanCommand(TyperCommand):
    """A command whose exit code 2 says something else than that it was called in a wrong way."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, 'exit_code', None) == DIFFERS:
                vars(error)['exit_code'] = FAILED
            raise


@dataclass(frozen=True)
class _Plan:
    changes: list[Change]
    undeclared: list[tuple[str, str]]
    """Streams and consumers."""


@app.command(cls=_PlanCommand)
@takes_server
def plan(
    targets: _Targets,
    server: ServerOptions,
    *,
    as_json: Annotated[bool, typer.Option('--json', help='Print JSON.')] = False,
) -> None:
    """Show what `register` would change, and change nothing.

    `+` is created, `~` is changed, and `!` is a change that the server is known to refuse.
    Consumers that none of the targets declares are named too: actors of other services, or what is
    left of your own.

    **Exit codes:** 0 if nothing would change, 2 if something would, 1 for errors.

    **Example:** `walnats plan shop.events:EVENTS shop.workers:ACTORS`
    """
    planned = asyncio.run(_plan(server, _read(targets)))
    if as_json:
        show_json(_as_dict(planned))
    else:
        _show(planned)
    if planned.changes:
        raise typer.Exit(DIFFERS)


@app.command()
@takes_server
def apply(
    targets: _Targets,
    server: ServerOptions,
    *,
    yes: Annotated[bool, typer.Option('--yes', '-y', help="Don't ask.")] = False,
) -> None:
    """Show what `register` would change, ask, and have it done.

    Where the server is known to refuse a change, nothing at all is changed.

    **Example:** `walnats apply shop.events:EVENTS shop.workers:ACTORS --yes`
    """
    registries = _read(targets)
    planned = asyncio.run(_plan(server, registries))
    _show(planned)
    if not planned.changes:
        return
    if any(change.refused for change in planned.changes):
        raise CommandError(
            'nothing is changed, because the server would refuse what is marked with "!": '
            'declare it under another name, or remove what is there'
        )
    confirm(f'Apply {len(planned.changes)} changes?', yes=yes)
    asyncio.run(_apply(server, registries))
    show_text('applied')


def _read(targets: list[str]) -> list[Events | Actors]:
    """Give what the targets declare. Events come first: actors don't change their streams."""
    registries: list[Events | Actors] = []
    for target in targets:
        found = load(target)
        if not isinstance(found, Events | Actors):
            raise wrong_target(target, found, Actors, ', nor Events')
        registries.append(found)
    registries.sort(key=lambda each: isinstance(each, Actors))
    _refuse_contradictions(registries)
    return registries


def _refuse_contradictions(registries: list[Events | Actors]) -> None:
    """Raise if what is declared twice is declared in two ways: the last one would win."""
    seen: dict[tuple[str, str | None], Config] = {}
    for declared in (each for registry in registries for each in registry):
        key: tuple[str, str | None]
        if isinstance(declared, Actor):
            key = declared.event.stream_name, declared.consumer_name
            config = settings.actor_consumer(declared)
        else:
            key, config = (declared.stream_name, None), settings.event_stream(declared)
        if seen.setdefault(key, config) != config:
            raise CommandError(f'the targets declare {_name(*key)} in two ways: choose one')


async def _plan(server: ServerOptions, registries: list[Events | Actors]) -> _Plan:
    changes: dict[tuple[str, str | None], Change] = {}
    async with connect(server) as connection:
        for registry in registries:
            async with registry.connect(connection.nc, close=False) as conn:
                for change in await conn.plan():
                    changes.setdefault((change.stream, change.consumer), change)
        return _Plan(list(changes.values()), await _undeclared(connection, registries))


async def _apply(server: ServerOptions, registries: list[Events | Actors]) -> None:
    async with connect(server) as connection:
        for registry in registries:
            async with registry.connect(connection.nc, close=False) as conn:
                await conn.register()


async def _undeclared(
    connection: Connection, registries: list[Events | Actors]
) -> list[tuple[str, str]]:
    """Give the consumers, on the streams of the actors, that none of the targets declares."""
    actors = [actor for each in registries if isinstance(each, Actors) for actor in each]
    declared = {(actor.event.stream_name, actor.consumer_name) for actor in actors}
    there: list[tuple[str, str]] = []
    for stream in sorted({stream for stream, _ in declared}):
        with contextlib.suppress(StreamNotFoundError):
            consumers, _ = await list_consumers(connection, stream)
            there += [(stream, each.name) for each in consumers]
    return [each for each in there if each not in declared]


def _as_dict(planned: _Plan) -> dict[str, Any]:
    changes = [
        {
            'action': 'create' if change.is_new else 'change',
            'stream': change.stream,
            'consumer': change.consumer,
            'differences': [
                {'setting': each.key, 'old': each.old, 'new': each.new}
                for each in change.differences
            ],
            'refused': change.refused,
        }
        for change in planned.changes
    ]
    undeclared = [{'stream': stream, 'consumer': name} for stream, name in planned.undeclared]
    return {'changes': changes, 'undeclared': undeclared}


def _show(planned: _Plan) -> None:
    for change in planned.changes:
        sign = '!' if change.refused else '+' if change.is_new else '~'
        lines = [f'{sign} {_name(change.stream, change.consumer)}']
        lines += [f'    {_describe(difference)}' for difference in change.differences]
        if change.refused:
            lines.append(f'    refused: {change.refused}')
        show_text('\n'.join(lines), _COLOURS[sign])
    if not planned.changes:
        show_text('nothing would change')
    for stream, name in planned.undeclared:
        show_text(f'  {_name(stream, name)} is not declared by these')


def _name(stream: str, consumer: str | None) -> str:
    where = f"stream '{stream}'"
    return where if consumer is None else f"consumer '{consumer}' of {where}"


def _describe(difference: Difference) -> str:
    name = difference.name.removesuffix(_IN_NANOSECONDS)
    return f'{name}: {_value(difference, difference.old)} → {_value(difference, difference.new)}'


def _value(difference: Difference, value: Any) -> str:
    if difference.name.startswith('limits.') and value in (-1, 0):
        return 'no limit'
    if difference.name.endswith(_IN_NANOSECONDS):
        return f'{value / 10**9:g} s'
    return repr(value)
