"""`walnats emit`: one event, from the shell."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .._event import BaseEvent, Event
from .._jetstream import survey
from .._jetstream.connection import Connection
from .._jetstream.publish import store
from .._publisher.emit import make_uid
from .._publisher.outgoing import prepare
from .._registry import Events
from ..errors import DecodeError, PermissionDeniedError, SerializerNotFoundError
from ..serializers import get_serializer
from ..serializers._protobuf import is_protobuf
from ._app import app
from ._connect import connect
from ._errors import CommandError
from ._output import show_text, show_warning
from ._payload import is_json
from ._server import ServerOptions, takes_server
from ._target import load_as
from ._units import Duration, duration_option


@app.command()
@takes_server
def emit(
    name: Annotated[str, typer.Argument(metavar='EVENT', help='The name of the event.')],
    payload: Annotated[
        str, typer.Argument(metavar='JSON', help='The message; @FILE reads a file, - the input.')
    ],
    server: ServerOptions,
    *,
    events: Annotated[
        str | None,
        typer.Option(
            metavar='MODULE:EVENTS',
            help='Check the message against the schema of the event, and encode it as it says.',
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option('--raw', help="Send the message as it is; it needn't be JSON.")
    ] = False,
    uid: Annotated[
        str | None,
        typer.Option(metavar='UID', help='Another message with the same uid is ignored.'),
    ] = None,
    trace_id: Annotated[
        str | None, typer.Option(metavar='ID', help='The id for distributed tracing.')
    ] = None,
    delay: Annotated[Duration | None, duration_option(help='How long no actor handles it.')] = None,
    header: Annotated[
        list[str] | None,
        typer.Option('--header', '-H', metavar='NAME=VALUE', help='A header; may be repeated.'),
    ] = None,
) -> None:
    """Emit an event, and return once it's stored.

    Without `--events` the JSON is sent as it was written.

    **Example:** `walnats emit user-created '{"name": "Ada"}' --events shop.events:EVENTS`
    """
    if raw and events:
        raise CommandError('--raw sends the message as it is, --events encodes it: choose one')
    data = _read(payload)
    event, message = _untyped(name, data, raw=raw) if events is None else _typed(events, name, data)
    meta = _read_headers(header or [])
    asyncio.run(_emit(server, event, message, uid=uid, trace_id=trace_id, delay=delay, meta=meta))


async def _emit(
    server: ServerOptions,
    event: BaseEvent[Any, Any],
    message: Any,
    *,
    uid: str | None,
    **options: Any,
) -> None:
    async with connect(server) as connection:
        limit = connection.nc.max_payload
        uid = make_uid() if uid is None else uid
        data, headers = prepare(event, message, max_payload=limit, uid=uid, **options)
        ack = await store(connection, event.name, data, headers or {}, stream=event.stream_name)
        if ack.duplicate:
            show_warning(f"nothing is stored: a message with the uid '{uid}' was, not long ago")
            return
        show_text(f"'{event.name}' is message {ack.seq} of stream '{ack.stream}'")
        if await _keeps_nothing(connection, ack.stream):
            show_warning(
                f"nobody keeps it: event '{event.name}' has no actors; register them before"
            )


async def _keeps_nothing(connection: Connection, name: str) -> bool:
    try:
        stream = await survey.read_stream(connection, name)
    except PermissionDeniedError:  # who may emit needn't be allowed to ask
        return False
    return stream is not None and stream.keeps_nothing


def _read(payload: str) -> bytes:
    """Give the message that was written, or what is in the file, or comes in."""
    if payload == '-':
        return sys.stdin.buffer.read()
    if not payload.startswith('@'):
        return payload.encode(errors='surrogateescape')
    try:
        return Path(payload[1:]).read_bytes()
    except OSError as error:
        raise CommandError(f"the message can't be read: {error}") from error


def _untyped(name: str, data: bytes, *, raw: bool) -> tuple[BaseEvent[Any, Any], Any]:
    if not raw and not is_json(data):
        raise CommandError('the message is no JSON; pass --raw to send it nevertheless')
    return Event(name, bytes), data


def _typed(target: str, name: str, data: bytes) -> tuple[BaseEvent[Any, Any], Any]:
    events = load_as(target, Events)
    event = events.get(name)
    if event is None:
        names = ', '.join(each.name for each in events)
        raise CommandError(f"'{target}' has no event '{name}'; there is {names}")
    try:
        return event, _from_json(event, data)
    except DecodeError as error:
        raise CommandError(f"the message isn't what event '{name}' says: {error}") from error


def _from_json(event: BaseEvent[Any, Any], data: bytes) -> Any:
    """Make an instance of the schema, however the event itself encodes it."""
    if is_protobuf(event.schema):
        return _parse_protobuf(event.schema, data)
    try:
        return get_serializer(event.schema).decode(data)
    except SerializerNotFoundError:
        return event.decode(data)


def _parse_protobuf(schema: Any, data: bytes) -> Any:
    from google.protobuf import json_format  # noqa: PLC0415 -- of an extra

    try:
        return json_format.Parse(data, schema())
    except json_format.ParseError as error:
        raise DecodeError(str(error)) from error


def _read_headers(given: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition('=')
        if not equals:
            raise CommandError(f"--header '{each}' must be NAME=VALUE")
        if name in headers:
            raise CommandError(f"--header '{name}' is there twice")
        headers[name] = value
    return headers
