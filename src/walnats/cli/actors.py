"""`walnats actors`: what is left on the server of actors that are no longer in the code."""

import asyncio
from typing import Annotated

import typer

from .. import _names
from .._jetstream.survey import Consumer, read_consumer
from .._jetstream.topology import remove_consumer
from ..errors import StreamNotFoundError
from ._app import app
from ._connect import connect
from ._errors import CommandError
from ._output import confirm, show_note, show_warning
from ._server import ServerOptions, takes_server

actors = typer.Typer(
    help='Look after actors on the server.\n\n'
    '**Example:** `walnats actors remove user-created score`',
    no_args_is_help=True,
)
app.add_typer(actors, name='actors')


@actors.command()
@takes_server
def remove(
    event: Annotated[str, typer.Argument(metavar='EVENT', help='The name of its event.')],
    actor: Annotated[str, typer.Argument(metavar='ACTOR', help='The name of the actor.')],
    server: ServerOptions,
    *,
    yes: Annotated[bool, typer.Option('--yes', '-y', help="Don't ask.")] = False,
) -> None:
    """Remove the consumer of an actor, and the messages that only it kept.

    Do so once its code is gone: until then, the event keeps what nobody will handle.

    **Example:** `walnats actors remove user-created send-email`
    """
    _names.check_event_name(event)
    _names.check_actor_name(actor)
    name, stream = f"actor '{actor}' of event '{event}'", _names.stream_name(event)
    consumer = asyncio.run(_find(server, stream, actor))
    if consumer is None:
        raise CommandError(f'there is no {name} on the server; look at `walnats status`')
    unsettled = consumer.num_pending + consumer.num_ack_pending
    if consumer.num_waiting:
        show_warning(f'workers are asking for the messages of {name} right now')
    what = f'it has {unsettled} unsettled messages; those that no other actor keeps are lost'
    confirm(f'Remove {name}? ({what})', yes=yes)
    if not asyncio.run(_remove(server, stream, actor)):
        raise CommandError(f'{name} is not there any more')
    show_note(f'removed {name} ({unsettled} unsettled messages)')


async def _find(server: ServerOptions, stream: str, actor: str) -> Consumer | None:
    async with connect(server) as connection:
        try:
            return await read_consumer(connection, stream, actor)
        except StreamNotFoundError:
            return None


async def _remove(server: ServerOptions, stream: str, actor: str) -> bool:
    async with connect(server) as connection:
        return await remove_consumer(connection, stream, actor)
