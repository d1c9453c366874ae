"""Options of a connection: those of nats-py that the user may set, and the wait to reconnect."""

from __future__ import annotations

import importlib.util
import logging
import os
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypedDict

from .._checks import Fields
from .._handlers import is_async, takes
from .._names import MAX_LENGTH
from ..errors import DeclarationTypeError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Credentials, Server

logger = logging.getLogger('walnats.connection')

DEFAULT_SERVER = (
    os.environ.get('NATS_SERVER') or os.environ.get('NATS_URL') or 'nats://localhost:4222'
)

CALLBACKS = {
    'error_cb': 1,
    'disconnected_cb': 0,
    'closed_cb': 0,
    'discovered_server_cb': 0,
    'reconnected_cb': 0,
    'lame_duck_mode_cb': 0,
}
"""The callbacks of nats-py, and how many arguments each gets."""

_DEFAULTS: ConnectOptions = {
    'max_reconnect_attempts': -1,
    'ping_interval': 5,
}
# The least of each, where it has to be a number of seconds, or a whole number.
_SECONDS = {
    'connect_timeout': 0.001,
    'flush_timeout': 0.001,
    'ping_interval': 0.001,
    'reconnect_time_wait': 0,
}
_COUNTS = {'flusher_queue_size': 1, 'max_outstanding_pings': 1, 'pending_size': 0}
_FLAGS = ('allow_reconnect', 'dont_randomize', 'no_echo', 'tls_handshake_first')
_KEYS = ('nkeys_seed', 'nkeys_seed_str', 'user_credentials')


class ConnectOptions(TypedDict, total=False):
    """Options of `nats.connect` that `connect` passes on. Times are in seconds.

    `connect_timeout` (5 by default) is the deadline for the first connection as a whole.
    Reconnecting never ends by default and waits for a random time, at most half a second
    at first and two later; `reconnect_time_wait` or `reconnect_to_server_handler` replace that.
    The connection waits for a callback, for 30 seconds at most; what it raises is logged.
    """

    error_cb: Callable[[Exception], Awaitable[None]]
    disconnected_cb: Callable[[], Awaitable[None]]
    closed_cb: Callable[[], Awaitable[None]]
    discovered_server_cb: Callable[[], Awaitable[None]]
    reconnected_cb: Callable[[], Awaitable[None]]
    lame_duck_mode_cb: Callable[[], Awaitable[None]]
    name: str
    connect_timeout: float
    allow_reconnect: bool
    reconnect_time_wait: float
    max_reconnect_attempts: int
    reconnect_to_server_handler: Callable[
        [list[Server], dict[str, Any]], tuple[Server | None, float]
    ]
    ping_interval: float
    max_outstanding_pings: int
    dont_randomize: bool
    flusher_queue_size: int
    flush_timeout: float
    pending_size: int
    no_echo: bool
    inbox_prefix: str | bytes
    tls: ssl.SSLContext
    tls_hostname: str
    tls_handshake_first: bool
    user: str | Callable[[], str]
    password: str | Callable[[], str]
    token: str | Callable[[], str]
    signature_cb: Callable[[str], bytes]
    user_jwt_cb: Callable[[], bytearray | bytes]
    user_credentials: Credentials
    nkeys_seed: str
    nkeys_seed_str: str
    ws_connection_headers: dict[str, list[str]]


def checked(options: ConnectOptions) -> ConnectOptions:
    """Give the options that are set, with the defaults of walnats; refuse what can't be."""
    given: Any = {name: value for name, value in options.items() if value is not None}
    unknown = given.keys() - ConnectOptions.__optional_keys__
    if unknown:
        raise DeclarationTypeError(
            f'connect: there is no option {", ".join(map(repr, sorted(unknown)))}; there are '
            + ', '.join(sorted(ConnectOptions.__optional_keys__))
        )
    rules = Fields('connect', SimpleNamespace(**given))
    for name in given:
        _check(rules, name, given[name])
    merged: Any = {**_DEFAULTS, **given}
    if 'reconnect_time_wait' not in given or 'reconnect_to_server_handler' in given:
        merged['reconnect_to_server_handler'] = Reconnector(
            given.get('reconnect_to_server_handler')
        )
    result: ConnectOptions = merged
    return result


class Reconnector:
    """Picks the server for the next reconnect and the wait before it, in seconds.

    The wait is random, so that many clients don't come back in step.

    :param theirs: a handler of the user's, that is asked first. nats-py would spin if it failed.
    """

    def __init__(
        self, theirs: Callable[[list[Server], dict[str, Any]], tuple[Server | None, float]] | None
    ) -> None:
        self._theirs = theirs
        self._attempts = 0

    def __call__(self, servers: list[Server], info: dict[str, Any]) -> tuple[Server | None, float]:
        """Take the servers in turn."""
        if self._theirs is not None:
            try:
                return self._theirs(servers, info)
            except Exception:
                logger.exception('reconnect_to_server_handler raised an error')
        server = servers[self._attempts % len(servers)]
        longest = min(0.5 * 1.5 ** (self._attempts // len(servers)), 2.0)
        self._attempts += 1
        return server, random.uniform(0, longest)  # noqa: S311 -- no secret

    def reset(self) -> None:
        """Start again with short waits: the connection is back."""
        self._attempts = 0


def _check(rules: Fields, name: str, value: Any) -> None:
    if name in CALLBACKS:
        _check_callback(rules, name, value)
    elif name in _SECONDS:
        rules.seconds(name, least=_SECONDS[name])
    elif name in _COUNTS:
        rules.integer(name, least=_COUNTS[name])
    elif name in _FLAGS:
        rules.boolean(name)
    elif name == 'inbox_prefix':
        _check_prefix(rules, value)
    elif name in _KEYS and importlib.util.find_spec('nkeys') is None:
        raise ImportError(
            f"connect: {name} needs the package 'nkeys': pip install 'walnats[nkeys]'"
        )


def _check_callback(rules: Fields, name: str, callback: Any) -> None:
    count = CALLBACKS[name]
    if not (callable(callback) and is_async(callback) and takes(callback, count)):
        arguments = 'one argument, the error' if count else 'no arguments'
        rules.reject_type(name, callback, f'must be an async function of {arguments}')


def _check_prefix(rules: Fields, prefix: Any) -> None:
    rule = (
        f'must be a subject of at most {MAX_LENGTH} printable ASCII characters, without '
        'wildcards and empty parts'
    )
    if not isinstance(prefix, (str, bytes)):
        rules.reject_type('inbox_prefix', prefix, rule)
    text = prefix if isinstance(prefix, str) else prefix.decode('ascii', 'replace')
    characters = set(text)
    if (
        '' in text.split('.')
        or len(text) > MAX_LENGTH
        or not characters.isdisjoint('*>')
        or not all('!' <= char <= '~' for char in characters)
    ):
        rules.reject('inbox_prefix', prefix, rule)
