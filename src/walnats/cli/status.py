"""`walnats status`: what is in the streams, and who works on it."""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from .._jetstream.connection import Connection
from .._jetstream.survey import Consumer, Stream, survey
from ..errors import JetStreamError
from ._app import app
from ._connect import connect, where
from ._output import Cell, bordered, err, out, show_json, show_note, show_table, show_warning
from ._server import ServerOptions, takes_server
from ._stop import stop_signals
from ._units import Duration, duration_option, show_duration, show_size

_STREAM_COLUMNS = ('event', 'stream', '#messages', '#size', '#oldest', '#actors', 'note')
_NUMBERS = ('pending', 'in_flight', 'redelivered', 'waiting_pulls', 'dead_letters')
_CONSUMER_COLUMNS = (
    'event',
    'actor',
    *(f'#{name.replace("_", " ")}' for name in _NUMBERS),
    '#idle',
    'note',
)

_TWO_SECONDS = Duration('2s')
_ONE_DAY = Duration('1d')

Report = dict[str, Any]
"""What is there, as it goes into JSON."""

Look = Callable[[Connection], Awaitable[Report]]
Show = Callable[..., None]


@app.command()
@takes_server
def status(
    server: ServerOptions,
    *,
    everything: Annotated[
        bool, typer.Option('--all', help='Also the streams that are not of walnats.')
    ] = False,
    watch: Annotated[
        bool, typer.Option('--watch', '-w', help='Look again and again, until Ctrl-C.')
    ] = False,
    interval: Annotated[Duration, duration_option(help='How often to look.')] = _TWO_SECONDS,
    orphan_after: Annotated[
        Duration, duration_option(help='Mark an actor that is idle for longer, without workers.')
    ] = _ONE_DAY,
    as_json: Annotated[bool, typer.Option('--json', help='Print JSON.')] = False,
) -> None:
    """Show streams and consumers: what is kept, who works on it, what is dead.

    Two things are marked. An event without actors: what is emitted is acknowledged, and not kept.
    And an orphan: an actor that nobody pulls for now, and that has got or settled nothing for a
    day, so its code may be gone. The server doesn't tell when somebody last asked in vain, and what
    it tells it forgets when it's restarted: the actor of a quiet event, whose workers just happen
    to be down, looks the same.

    **Example:** `walnats status --watch`
    """
    look = functools.partial(_look, everything=everything, orphan_after=orphan_after)
    show = functools.partial(_show, title=where(server), as_json=as_json)
    asyncio.run(_watch(server, look, show, interval) if watch else _once(server, look, show))


async def _once(server: ServerOptions, look: Look, show: Show) -> None:
    async with connect(server) as connection:
        show(await look(connection))


async def _watch(server: ServerOptions, look: Look, show: Show, interval: float) -> None:
    async with connect(server) as connection:
        await look(connection)  # what is wrong from the start doesn't pass
        with stop_signals() as stopped, Live(console=out, auto_refresh=False) as live:
            while not stopped.is_set():
                try:
                    show(await look(connection), live=live)
                except JetStreamError as error:
                    # What goes elsewhere in a terminal would be drawn over.
                    show_warning(str(error), live.console if out.is_terminal else err)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), interval)


async def _look(connection: Connection, *, everything: bool, orphan_after: float) -> Report:
    found = await survey(connection, foreign=everything)
    events = {each.name: each.event for each in found.streams}
    return {
        'streams': [_describe_stream(each) for each in found.streams],
        'consumers': [
            {
                'event': events.get(each.stream_name),
                'dead_letters': found.letters.get((each.stream_name, each.name), 0),
                'is_orphan': each.is_orphan(orphan_after),
                **_describe_consumer(each),
            }
            for each in found.consumers
        ],
        'missing': found.missing,
    }


def _show(report: Report, *, title: str, as_json: bool, live: Live | None = None) -> None:
    """Print it, or draw it in the place of what was there before."""
    if as_json:
        show_json(report)
    elif live is not None and out.is_terminal:
        tables = (bordered(*table) for table in _tables(report, title))
        live.update(Group(*tables, *map(Text, _notes(report))), refresh=True)
    else:
        for table in _tables(report, title):
            show_table(*table)
            out.print()
        for note in _notes(report):
            show_note(note)


def _tables(report: Report, title: str) -> list[tuple[Sequence[str], list[list[Cell]], str]]:
    if not report['streams']:
        return []
    streams = [_stream_row(each) for each in report['streams']]
    consumers = [_consumer_row(each) for each in report['consumers']]
    return [(_STREAM_COLUMNS, streams, title), (_CONSUMER_COLUMNS, consumers, '')]


def _notes(report: Report) -> list[str]:
    notes = [
        f"'{name}' is left out: the servers of the cluster tell nothing about it"
        for name in report['missing']
    ]
    if not report['streams']:
        notes.append('There are no events here: nobody has called `register`.')
    return notes


def _describe_stream(stream: Stream) -> Report:
    return {
        'stream': stream.name,
        'event': stream.event,
        'messages': stream.state.messages,
        'bytes': stream.state.bytes,
        'oldest_seconds': stream.oldest,
        'actors': stream.state.consumer_count,
        'keeps_nothing': stream.keeps_nothing,
    }


def _describe_consumer(consumer: Consumer) -> Report:
    return {
        'stream': consumer.stream_name,
        'actor': consumer.name,
        'pending': consumer.num_pending,
        'in_flight': consumer.num_ack_pending,
        'redelivered': consumer.num_redelivered,
        'waiting_pulls': consumer.num_waiting,
        'idle_seconds': consumer.idle,
    }


def _stream_row(about: Report) -> list[Cell]:
    oldest = about['oldest_seconds']
    return [
        about['event'] or '',
        about['stream'],
        str(about['messages']),
        show_size(about['bytes']),
        '' if oldest is None else show_duration(oldest),
        str(about['actors']),
        _mark('no actors: nothing is kept' if about['keeps_nothing'] else ''),
    ]


def _consumer_row(about: Report) -> list[Cell]:
    return [
        about['event'] or about['stream'],
        about['actor'],
        *(str(about[name]) for name in _NUMBERS),
        show_duration(about['idle_seconds']),
        _mark('orphan' if about['is_orphan'] else ''),
    ]


def _mark(text: str) -> Text:
    return Text(text, 'yellow')
