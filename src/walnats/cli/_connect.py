"""The connection of a command that needs no declarations."""

import contextlib
import logging
from collections.abc import AsyncIterator

from .._jetstream.connection import Connection
from .._jetstream.opening import connected
from .._jetstream.urls import check_urls, safe_url
from ._errors import CommandError
from ._server_options import ServerOptions


@contextlib.asynccontextmanager
async def connect(server: ServerOptions) -> AsyncIterator[Connection]:
    """Connect to NATS for as long as the context lasts."""
    _silence_what_is_told_otherwise()
    async with contextlib.AsyncExitStack() as stack:
        opening = connected(server.urls, close=True, options=server.options())
        try:
            connection = await stack.enter_async_context(opening)
        except ImportError as error:  # of what the options need
            raise CommandError(str(error)) from error
        yield connection


def where(server: ServerOptions) -> str:
    """Give the URLs for people: without users and passwords."""
    return ', '.join(map(safe_url, check_urls(server.urls)))


def _silence_what_is_told_otherwise() -> None:
    # What is denied is an error of the command, if it needs it.
    logging.getLogger('walnats.connection').addFilter(_is_no_denial)
    # It warns, over TLS, when the server is faster than we are to close the connection.
    logging.getLogger('asyncio').setLevel(logging.ERROR)


def _is_no_denial(record: logging.LogRecord) -> bool:
    return 'permissions violation' not in record.getMessage().lower()
