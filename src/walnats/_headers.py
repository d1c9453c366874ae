"""The rules for message headers: what may be sent, what is republished, what it weighs.

A header's name is a token of RFC 7230. Its value is printable ASCII without a space at
either end: that is what every NATS client sends and reads in the same way. (nats-py, for
one, trims values and turns line breaks into spaces, and some of its readers don't give
non-ASCII values back as strings.) A value may be empty.

Reserved, in any case of letters:

- `Walnats-*`, which walnats sets itself.
- `Status`, by which clients know a control message of the server. nats-py stops fetching
  at a message that has it.
- `Nats-*`, which the server obeys. It may delete (`Nats-Rollup`, `Nats-TTL`), hold back
  (`Nats-Schedule`) or not store at all (`Nats-Trace-Only`) what was emitted.
  `Nats-Trace-Dest` publishes elsewhere and gets the message refused where that isn't
  permitted. `Nats-Expected-Last-*` makes the server refuse the retry of a message that it
  has already stored, so that an emit would be taken for failed.

One of them is safe and passes: `Nats-Expected-Stream`, spelled so. The server refuses the
message where another stream would take it; otherwise nothing changes, and a retry is
still recognised by its uid.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from .errors import HeaderError, HeaderTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

MSG_ID = 'Nats-Msg-Id'
TRACE = 'Walnats-Trace'
DELAY = 'Walnats-Delay'
REPLY = 'Walnats-Reply'
ERROR = 'Walnats-Error'

MAX_SIZE = 65_535
"""Bytes of headers, as `headers_size` counts them, that JetStream stores with a message."""

PASSED = frozenset({'Nats-Expected-Stream'})
"""The headers of the server that a publisher may set."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r'[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?')
_UNSAFE = re.compile(r'[^\x20-\x7e]')
_RESERVED = re.compile(r'nats-.*|walnats-.*|status', re.IGNORECASE)
_NOT_REPUBLISHED = re.compile(r'nats-.*|walnats-delay|walnats-reply|status', re.IGNORECASE)
_LINE_SEPARATORS = frozenset('\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029')
_ARGUMENTS = {MSG_ID.lower(): 'uid', TRACE.lower(): 'trace_id', DELAY.lower(): 'delay'}
_SHOWN = 60
_MAX_TEXT = 500


def check_header(name: object, value: object) -> None:
    """Raise HeaderError unless a publisher may send the header."""
    if not isinstance(name, str):
        raise HeaderTypeError(
            f'header name must be a string, not {type(name).__name__}: {_short(repr(name))}'
        )
    problem = _find_name_problem(name)
    if problem is not None:
        raise HeaderError(f'header name {_short(name)!r} {problem}')
    check_value(f'header {_short(name)!r}: its value', value)


def check_value(what: str, value: object) -> None:
    """Raise HeaderError unless the value is a string that is safe in a header.

    :param what: what the error calls the value.
    """
    if isinstance(value, str):
        if not value or is_safe(value):
            return
        shown = f': {value!r}' if len(value) <= _SHOWN else f'; it is {len(value)} characters long'
        raise HeaderError(f'{what} {_find_value_problem(value)}{shown}')
    hint = 'leave the header out' if value is None else 'turn it into a string first'
    raise HeaderTypeError(f'{what} must be a string, not {type(value).__name__}: {hint}')


def is_safe(value: str) -> bool:
    """Tell whether the value is one that every client sends and reads in the same way."""
    return _VALUE.fullmatch(value) is not None


def check_id(what: str, value: object) -> None:
    """Raise HeaderError unless the value is safe in a header and not empty."""
    if isinstance(value, str) and _VALUE.fullmatch(value) is not None:
        return
    if value == '':
        raise HeaderError(f'{what} must not be empty: leave it out to have none')
    check_value(what, value)


def republished_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Give the headers that stay when a message of any publisher is published again.

    What told the server, or us, how to treat the first copy goes: `Nats-*`,
    `Walnats-Delay`, `Walnats-Reply`, `Status`. So do names that are no tokens, which
    other clients send: nats-py receives them but refuses to publish them.
    """
    return {name: value for name, value in (headers or {}).items() if _is_republished(name)}


def as_value(text: str) -> str:
    """Give a text for people, such as a reason, as a value that is safe in a header."""
    return re.sub(r'[^\x20-\x7e]+', ' ', text)[:_MAX_TEXT].strip() or 'no reason given'


def headers_size(headers: Mapping[str, str] | None) -> int:
    """Give the size of the headers on the wire, in bytes; 0 for none at all."""
    if headers is None:
        return 0
    # 'NATS/1.0', then 'name: value' per header, then nothing: each ends in CR LF.
    text = ''.join([*headers, *headers.values()])
    return 12 + 4 * len(headers) + (len(text) if text.isascii() else len(text.encode()))


def _is_republished(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not _NOT_REPUBLISHED.fullmatch(name)


def _find_name_problem(name: str) -> str | None:
    if not name:
        return 'must not be empty'
    if not _NAME.fullmatch(name):
        return "must have only ASCII letters, digits and !#$%&'*+-.^_`|~"
    if not _RESERVED.fullmatch(name) or name in PASSED:
        return None
    return f'is reserved: {_find_remedy(name.lower())}'


def _find_remedy(name: str) -> str:
    if name in _ARGUMENTS:
        return f"use the argument '{_ARGUMENTS[name]}'"
    if name == 'status':
        return 'clients would take the message for one of the server; choose another name'
    if name.startswith('walnats-'):
        return 'walnats sets these itself; choose another name'
    return f'the NATS server obeys these; only {", ".join(sorted(PASSED))} may be set, spelled so'


def _find_value_problem(value: str) -> str:
    unsafe = _UNSAFE.search(value)
    if unsafe is None:
        return 'must not start or end with a space'
    kind = _find_kind(unsafe.group())
    hint = ' (percent-encode it, or put it in the payload)' if kind == 'non-ASCII character' else ''
    return f'must have no {kind}, it has {unsafe.group()!r} at index {unsafe.start()}{hint}'


def _find_kind(char: str) -> str:
    if char == '\0':
        return 'NUL'
    if char in _LINE_SEPARATORS:
        return 'line separator'
    category = unicodedata.category(char)
    return {'Cc': 'control character', 'Cs': 'surrogate'}.get(category, 'non-ASCII character')


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + '…'
