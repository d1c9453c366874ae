"""The URLs of servers: read, checked, and shown without what is secret in them."""

from __future__ import annotations

import importlib.util
from urllib.parse import ParseResult, urlparse

from ..errors import ConnectError, DeclarationTypeError

_SCHEMES = ('nats', 'tls', 'ws', 'wss')
_WEBSOCKET = ('ws', 'wss')
_EXPECTED = (
    'server must be a URL, a list of URLs, a connected client of nats-py, or what another '
    '`connect` gave'
)


def check_urls(server: str | list[str] | tuple[str, ...]) -> list[str]:
    """Give the URLs as a list; raise ConnectError for what nats-py would stumble over."""
    urls = [server] if isinstance(server, str) else server
    if not isinstance(urls, (list, tuple)):
        raise DeclarationTypeError(f'connect: {_EXPECTED}, not {type(server).__name__}')
    if not urls:
        raise ConnectError('no server URL given: pass one such as nats://localhost:4222')
    parsed = [_read_url(url) for url in urls]
    websockets = {parts.scheme in _WEBSOCKET for parts in parsed}
    if len(websockets) > 1:
        raise ConnectError('server URLs of ws:// or wss:// can not be mixed with others')
    if websockets == {True} and importlib.util.find_spec('aiohttp') is None:
        raise ConnectError('server URLs of ws:// or wss:// need a package: pip install aiohttp')
    return [parts.geturl() for parts in parsed]


def safe_url(url: str | ParseResult) -> str:
    """Give a checked URL without what may be a secret: user, password or token."""
    parts = urlparse(url) if isinstance(url, str) else url
    return f'{parts.scheme}://{_host(parts)}'


def _read_url(url: str) -> ParseResult:
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
        raise DeclarationTypeError(f'connect: {_EXPECTED}, not a list of {type(url).__name__}')
    found = _parse(url)
    if isinstance(found, str):
        # Without the URL: where it can't be read, one can't tell what in it is the password.
        raise ConnectError(f'a server URL is malformed: {found}; expected nats://host:port')
    return found


def _parse(url: str) -> ParseResult | str:
    """Give the parts of the URL, or what is wrong with it."""
    if any(char.isspace() or not char.isprintable() for char in url):
        return 'it has white space or control characters'
    try:
        parts = urlparse(url if '://' in url else f'nats://{url}')
        return _find_problem(parts) or parts
    except ValueError:  # its text may show the password
        return 'host or port can not be read'


def _find_problem(parts: ParseResult) -> str | None:
    if parts.scheme not in _SCHEMES:
        return f'the scheme must be one of {", ".join(_SCHEMES)}'
    rest = parts.path + parts.params + parts.query + parts.fragment
    if '@' in rest:
        return (
            'user or password has "/", "?" or "#": pass them as the options `user` and `password`'
        )
    if ',' in _host(parts):
        return 'several URLs must be passed as a list'
    if not parts.hostname:
        return 'it has no host'
    if parts.port == 0:
        return 'the port is 0'
    if rest.strip('/') and parts.scheme not in _WEBSOCKET:
        return 'there is something after the port'
    return None


def _host(parts: ParseResult) -> str:
    return parts.netloc.rpartition('@')[2]
