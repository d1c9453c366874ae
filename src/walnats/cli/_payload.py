"""Payloads as people see them: JSON where they are JSON, else hexadecimal digits."""

from collections.abc import Iterator
from typing import Any

import msgspec

_ROW = 16


def describe(payload: bytes) -> dict[str, Any]:
    """Give what goes into JSON: `payload` if it is JSON itself, else `payload_hex`."""
    if not is_json(payload):
        return {'payload_hex': payload.hex()}
    return {'payload': msgspec.Raw(msgspec.json.format(payload, indent=-1))}


def show(payload: bytes, *, as_hex: bool = False) -> str:
    """Give it with indents if it's JSON; if not, or if wanted, as a dump in hexadecimal digits."""
    if as_hex or not is_json(payload):
        return '\n'.join(_dump(payload)) or '(empty)'
    return msgspec.json.format(payload, indent=2).decode()


def is_json(payload: bytes) -> bool:
    """If the payload is a value of JSON, and not nested deeper than can be read."""
    try:
        payload.decode()
        msgspec.json.decode(payload)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return False
    return True


def _dump(payload: bytes) -> Iterator[str]:
    """Give lines of offset, bytes, and what of them is ASCII, as `hexdump -C` does."""
    for start in range(0, len(payload), _ROW):
        row = payload[start : start + _ROW]
        text = ''.join(chr(byte) if 0x20 <= byte < 0x7F else '.' for byte in row)  # noqa: PLR2004 -- printable ASCII
        yield f'{start:08x}  {row.hex(" "):<{3 * _ROW - 1}}  {text}'
