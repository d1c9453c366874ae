"""The options that say which NATS a command connects to, the same for each of them.

@app.command()
@takes_server
def status(server: ServerOptions, *, json: Annotated[bool, ...] = False) -> None:
    asyncio.run(_status(server, json))

async with events.connect(server.urls, **server.options()) as conn:
    ...
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .._jetstream.options import DEFAULT_SERVER
from ._server_options import ServerOptions

__all__ = ['CONNECTION', 'ServerOptions', 'takes_server']

CONNECTION = 'Connection'
"""What the help calls these options."""

_Url = Annotated[
    list[str] | None,
    typer.Option(
        '--server',
        '-s',
        metavar='URL',
        help='NATS to connect to; may be repeated. By default $NATS_SERVER, else $NATS_URL, '
        'else nats://localhost:4222.',
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]


_InboxPrefix = Annotated[
    str | None,
    typer.Option(
        '--inbox-prefix',
        metavar='PREFIX',
        help='What the subjects of answers begin with, in place of `_INBOX`.',
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]


def _file(name: str, text: str) -> Any:
    option = typer.Option(
        name,
        metavar='FILE',
        exists=True,
        dir_okay=False,
        help=text,
        show_default=False,
        rich_help_panel=CONNECTION,
    )
    return Annotated[Path | None, option]


_OPTIONS = {
    'urls': _Url,
    'creds': _file('--creds', 'Credentials of the NATS user: a JWT and its key.'),
    'tlsca': _file('--tlsca', 'Certificates of the authorities to trust.'),
    'tlscert': _file('--tlscert', 'Certificate of this client.'),
    'tlskey': _file('--tlskey', 'Key of that certificate.'),
    'inbox_prefix': _InboxPrefix,
}


def takes_server(command: Callable[..., None]) -> Callable[..., None]:
    """Have a command take the options of ServerOptions in place of its argument `server`."""
    signature = inspect.signature(command)
    own = [each for name, each in signature.parameters.items() if name != 'server']
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def with_server(*args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in _OPTIONS}
        urls: list[str] | None = given.pop('urls')
        server = ServerOptions(_split(urls or [DEFAULT_SERVER]), **given, is_default=urls is None)
        command(*args, server=server, **kwargs)

    vars(with_server)['__signature__'] = signature.replace(parameters=[*own, *added])
    with_server.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return with_server


def _split(urls: list[str]) -> list[str]:
    """Take apart lists such as other tools of NATS take: `nats://a,nats://b`."""
    return [url.strip() for each in urls for url in each.split(',') if url.strip()]
