"""`walnats run`: runs the actors of a service."""

import asyncio
import importlib.util
import logging
import os
from typing import Annotated

import typer

from .._checks import MAX_SECONDS
from ..errors import WalnatsError
from ._app import FAILED, app
from ._control import WorkerOptions
from ._errors import CommandError
from ._logs import LogFormat, LogLevel, configure_logs
from ._server import ServerOptions, takes_server

_HEALTH = 'Health'
_LOGS = 'Logs'
_DEVELOPMENT = 'Development'


@app.command()
@takes_server
def run(
    target: Annotated[
        str,
        typer.Argument(
            metavar='MODULE:TARGET',
            help='An `Actors`, or a function that gives an async context manager which yields one.',
            show_default=False,
        ),
    ],
    server: ServerOptions,
    *,
    processes: Annotated[
        int, typer.Option('--processes', '-p', metavar='N', min=1, help='Worker processes.')
    ] = 1,
    max_jobs: Annotated[
        int, typer.Option(metavar='N', min=1, help='Jobs at once in each process.')
    ] = 16,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar='N',
            min=1,
            help='The most messages in one request. By default as many as there are free slots.',
            show_default=False,
        ),
    ] = None,
    burst: Annotated[
        bool, typer.Option('--burst', help='Handle what is there now, and end.')
    ] = False,
    register: Annotated[
        bool, typer.Option(help='Create or update streams and consumers first.')
    ] = True,
    grace: Annotated[
        float,
        typer.Option(
            metavar='SECONDS',
            min=0,
            max=MAX_SECONDS,
            help='The time that jobs have to end on the first SIGTERM or SIGINT. What is not done '
            'then, or on the second one, is handed back.',
        ),
    ] = 25,
    uvloop: Annotated[
        bool, typer.Option('--uvloop', help='Use the event loop of the package `uvloop`.')
    ] = False,
    health_port: Annotated[
        int | None,
        typer.Option(
            metavar='PORT',
            min=0,
            max=65535,
            help='Serve /live, /ready and /metrics by HTTP on this port; 0 takes a free one.',
            show_default=False,
            rich_help_panel=_HEALTH,
        ),
    ] = None,
    health_host: Annotated[
        str,
        typer.Option(metavar='HOST', help='The address to serve them on.', rich_help_panel=_HEALTH),
    ] = '127.0.0.1',
    log_format: Annotated[
        LogFormat,
        typer.Option(help='Text, or JSON with one object in a line.', rich_help_panel=_LOGS),
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel, typer.Option(help='The least level that is logged.', rich_help_panel=_LOGS)
    ] = LogLevel.INFO,
    reload: Annotated[
        bool,
        typer.Option(
            '--reload',
            help='Start again when a Python file in the current directory changes.',
            rich_help_panel=_DEVELOPMENT,
        ),
    ] = False,
    dev: Annotated[
        bool,
        typer.Option(
            '--dev',
            help='As --reload, on a nats-server that is started for it and ends with it: on port '
            '4222 if that is free.',
            rich_help_panel=_DEVELOPMENT,
        ),
    ] = False,
) -> None:
    """Run the actors of a service.

    On SIGTERM or SIGINT it shuts down in order, on the second one at once.

    **Exit codes:** 0 after a signal, or when a burst is done; 130 or 143 after the second SIGINT or
    SIGTERM; 1 if it can't go on, or if a worker didn't end in order; 2 for wrong options.

    **Example:** `walnats run shop.workers:ACTORS --processes 2 --health-port 8080`
    """
    _check(server, burst=burst, reload=reload, dev=dev, uvloop=uvloop)
    worker = WorkerOptions(
        target=target,
        number=None,
        server=server,
        max_jobs=max_jobs,
        batch=batch,
        burst=burst,
        register=register,
        grace=grace,
        log_format=log_format,
        log_level=log_level,
        uvloop=uvloop,
        parent=os.getpid(),
    )
    from ._supervisor import RunOptions, supervise  # noqa: PLC0415 -- not for `--help`

    configure_logs(log_format, log_level, None)
    options = RunOptions(
        worker=worker,
        processes=processes,
        reload=reload or dev,
        embedded_server=dev,
        health_host=health_host,
        health_port=health_port,
    )
    try:
        code = asyncio.run(supervise(options))
    except (WalnatsError, CommandError) as error:
        if log_format is LogFormat.TEXT:
            raise
        logging.getLogger('walnats.run').critical('%s', error)
        code = FAILED
    raise typer.Exit(code)


def _check(server: ServerOptions, *, burst: bool, reload: bool, dev: bool, uvloop: bool) -> None:
    if os.name != 'posix':
        raise CommandError('`walnats run` needs a POSIX system: call `listen` in a program')
    if dev and not server.is_default:
        raise CommandError(
            '--dev brings a nats-server of its own: leave out --server, or use --reload with it'
        )
    if burst and (reload or dev):
        raise CommandError("--burst ends by itself, so there is nothing to reload: don't combine")
    if uvloop and importlib.util.find_spec('uvloop') is None:
        raise CommandError("--uvloop needs the package 'uvloop': pip install uvloop")
