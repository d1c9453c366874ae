"""Turns what a library raised into an EncodeError or a DecodeError.

The texts of libraries quote values, and a payload may hold what a log must not. So only
what is known to come from the schema passes: types, limits, and the path to the field.
"""

from __future__ import annotations

import re

import msgspec

from ..errors import DecodeError, EncodeError

_POSITION = re.compile(r' \(byte (\d+)\)$')
_PATH = re.compile(r' - at `((?:key` in `)?\$[^`]*)`$')
_ABOUT_SCHEMA = (
    'Expected ',
    'Object missing required field ',
    'Integer value out of range',
    'Number out of range',
    'Timestamp is out of range',
    'Invalid RFC3339 encoded ',
    'Invalid ISO8601 duration',
    'Invalid UUID',
    'Invalid decimal string',
    'Invalid base64 encoded string',
    'Invalid MessagePack timestamp',
)
# These end in a value or a key of the payload, which is cut off.
_ABOUT_VALUE = ('Invalid enum value', 'Invalid value', 'Object contains unknown field')


class Lossy(Exception):  # noqa: N818 -- never leaves this package
    """A value would be changed by the format. The reason doesn't quote it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []
        """The names of the fields that lead to the value, the innermost first."""

    @property
    def reason(self) -> str:
        """Say where it is and what is wrong."""
        where = '.'.join(reversed(self.path))
        return f'`{where}`: {self.args[0]}' if where else str(self.args[0])


def decode_error(exc: Exception, data: bytes) -> DecodeError:
    """Make the DecodeError for what a decoder has raised."""
    if isinstance(exc, DecodeError):
        return exc
    if isinstance(exc, UnicodeDecodeError):
        return _not_utf8(exc, data)
    if isinstance(exc, msgspec.ValidationError):
        return DecodeError(_refusal(exc))
    if isinstance(exc, msgspec.DecodeError):
        return _malformed(str(exc), data)
    if isinstance(exc, RecursionError):
        return DecodeError('the payload is nested too deeply')
    if isinstance(exc, MemoryError):
        return DecodeError('the payload needs more memory than there is')
    return DecodeError(f'the schema refuses the payload with {type(exc).__name__}')


def encode_error(exc: Exception) -> EncodeError:
    """Make the EncodeError for what an encoder has raised."""
    if isinstance(exc, EncodeError):
        return exc
    if isinstance(exc, Lossy):
        return EncodeError(exc.reason)
    if isinstance(exc, DecodeError):
        return EncodeError(f"the message isn't what its schema says: {exc.reason}")
    if isinstance(exc, UnicodeEncodeError):
        return EncodeError("a string has a lone surrogate, which UTF-8 can't carry")
    if isinstance(exc, RecursionError):
        return EncodeError('the message is nested too deeply, or holds itself')
    if isinstance(exc, OverflowError):
        return EncodeError('an integer has more than 64 bits')
    if isinstance(exc, TypeError):
        return EncodeError(_unsupported(str(exc)))
    if isinstance(exc, ValueError) and 'integer string conversion' in str(exc):
        return EncodeError('an integer has too many digits')
    return EncodeError(f'encoding fails with {type(exc).__name__}')


def wrong_type(message: object, expected: str) -> EncodeError:
    """Make the EncodeError for a message of another class than the schema's."""
    return EncodeError(f'expected {expected}, got {type_name(message)}')


def changed(where: str) -> EncodeError:
    """Make the EncodeError for a message that would be decoded as a different one."""
    return EncodeError(f'the message would be read back with a different value at `{where}`')


def type_name(value: object) -> str:
    """Name the class of the value, never the value."""
    return type(value).__qualname__


def _not_utf8(exc: UnicodeDecodeError, data: bytes) -> DecodeError:
    # A library that decodes one string out of the payload counts from that string's start.
    position = exc.start if exc.object == data else None
    return DecodeError('a string is not UTF-8', position=position)


def _malformed(text: str, data: bytes) -> DecodeError:
    if text == 'Input data was truncated':
        return DecodeError('the payload ends too early', position=len(data))
    found = _POSITION.search(text)
    reason = _POSITION.sub('', text)
    if reason.startswith('MessagePack data is malformed: invalid opcode'):
        reason = 'MessagePack data is malformed: invalid opcode'
    return DecodeError(reason, position=int(found[1]) if found else None)


def _refusal(exc: msgspec.ValidationError) -> str:
    cause = exc.__cause__
    # What the schema's own code raises is in front of the path, in words that may quote.
    text = str(exc) if cause is None else str(exc).removeprefix(str(cause))
    found = _PATH.search(text)
    where = f' at `{found[1]}`' if found else ''
    if cause is not None:
        return f'the schema refuses the value with {type(cause).__name__}{where}'
    return _known_words(_PATH.sub('', text)) + where


def _known_words(text: str) -> str:
    for start in _ABOUT_VALUE:
        if text.startswith(start):
            return _lower(start)
    if text.startswith(_ABOUT_SCHEMA):
        return _lower(text).rstrip()
    return 'invalid value'


def _unsupported(text: str) -> str:
    found = re.fullmatch(r'Encoding objects of type (\S+) is unsupported', text)
    if found:
        return f"a value of type {found[1]} can't be encoded"
    if text.startswith('Only dicts with '):
        return "a dict has a key that can't be encoded: use strings or numbers"
    return 'the message has a value of a wrong type'


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
