"""`walnats server`: a nats-server in the foreground, for development."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ServerStartError
from ..server import EmbeddedServer
from ._app import app
from ._errors import CommandError
from ._output import show_text
from ._stop import stop_signals


@app.command()
def server(
    *,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar='DIRECTORY',
            file_okay=False,
            help='Where JetStream keeps its files. By default they are temporary.',
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option('--port', '-p', metavar='PORT', min=1, max=65535, help='Where to listen.'),
    ] = 4222,
) -> None:
    """Run a nats-server with JetStream until Ctrl-C: for development.

    It listens on this machine only. Its URL is printed once it takes connections.

    **Example:** `walnats server --store ~/nats`
    """
    try:
        asyncio.run(_serve(store, port))
    except ServerStartError as error:
        if 'address already in use' not in str(error):
            raise
        raise CommandError(f'--port: {port} is in use; name another one') from error


async def _serve(store: Path | None, port: int) -> None:
    async with EmbeddedServer(store, port=port) as embedded:
        show_text(embedded.url)
        with stop_signals() as stopped:
            waiting = {asyncio.create_task(embedded.wait()), asyncio.create_task(stopped.wait())}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            if not stopped.is_set():
                raise CommandError('the nats-server has died; the lines above are of its log')
