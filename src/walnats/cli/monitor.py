"""`walnats monitor`: what is emitted, as it is emitted."""

import asyncio
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from .._event import BaseEvent
from .._jetstream.client import Message
from .._publisher.tail import Tail
from .._registry import Events
from ..errors import DecodeError
from . import _payload
from ._app import app
from ._connect import connect
from ._errors import CommandError
from ._output import out, printable, show_note, show_text, show_warning
from ._server import ServerOptions, takes_server
from ._stop import stop_signals
from ._target import load_as

Known = dict[str, BaseEvent[Any, Any]]
Show = Callable[[Message, BaseEvent[Any, Any] | None], None]

_MAX_WAITING = 10_000


@app.command()
@takes_server
def monitor(
    server: ServerOptions,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar='EVENT',
            help='The events to show, with the wildcards of NATS: `orders.*`, `orders.>`. '
            'By default all that are registered.',
            show_default=False,
        ),
    ] = None,
    *,
    events: Annotated[
        str | None,
        typer.Option(
            metavar='MODULE:EVENTS',
            help='Decode the messages of these events; by default show only them.',
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option('--count', '-n', metavar='N', min=1, help='Stop after so many messages.'),
    ] = None,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print lines of JSON, as is done where it is piped.')
    ] = False,
) -> None:
    """Show events as they are emitted, until Ctrl-C.

    It takes nothing from the actors, and shows what is published from now on, whether it's stored
    or not.

    **Example:** `walnats monitor 'orders.*' --events shop.events:EVENTS`
    """
    known = {} if events is None else {each.name: each for each in load_as(events, Events)}
    show = _print_json if as_json or not out.is_terminal else _print
    subjects = list(map(_checked, names or known))
    asyncio.run(_monitor(server, subjects, known, show, count))


async def _monitor(
    server: ServerOptions, subjects: list[str], known: Known, show: Show, count: int | None
) -> None:
    async with connect(server) as connection:
        with Tail(connection, _MAX_WAITING) as tail, stop_signals() as stopped:
            await (tail.watch(*subjects) if subjects else tail.watch_all())
            show_note(f'watching {", ".join(tail.subjects) or "for events: there are none yet"}')
            connection.spawn(_end(tail, stopped))
            shown = 0
            while shown != count and (msg := await tail.next()) is not None:
                show(msg, known.get(msg.subject))
                shown += 1
        if tail.dropped:
            show_warning(f'{tail.dropped} messages are left out: they came too fast')


async def _end(tail: Tail, stopped: asyncio.Event) -> None:
    await stopped.wait()
    tail.end()


def _checked(subject: str) -> str:
    if '' in subject.split('.') or ' ' in subject or not subject.isprintable():
        raise CommandError(f"'{subject}' is no event, nor events with wildcards such as orders.*")
    return subject


def _print_json(msg: Message, event: BaseEvent[Any, Any] | None) -> None:
    line = {
        'time': datetime.now(UTC),
        'event': msg.subject,
        'headers': dict(msg.headers or {}),
        **_payload.describe(msg.data),
        **_decoded(event, msg.data),
    }
    text = msgspec.json.encode(line).decode()
    sys.stdout.write(f'{printable(text) if out.is_terminal else text}\n')
    sys.stdout.flush()


def _print(msg: Message, event: BaseEvent[Any, Any] | None) -> None:
    """Print it for people: when and what, its headers, its payload."""
    time = datetime.now().astimezone().strftime('%H:%M:%S.%f')[:-3]
    out.print(Text.assemble((time, 'dim'), ' ', (printable(msg.subject), 'bold cyan')))
    for name, value in (msg.headers or {}).items():
        show_text(f'  {name}: {value}', 'dim')
    decoded = _decoded(event, msg.data)
    if 'error' in decoded:
        show_text(f'  {decoded["error"]}', 'red')
    show_text(textwrap.indent(decoded.get('message') or _payload.show(msg.data), '  '))


def _decoded(event: BaseEvent[Any, Any] | None, data: bytes) -> dict[str, str]:
    """Give the message as Python has it, or why it can't be decoded."""
    if event is None:
        return {}
    try:
        return {'message': repr(event.decode(data))}
    except DecodeError as error:
        return {'error': str(error)}
