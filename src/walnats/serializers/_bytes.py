"""Payloads that are bytes already."""

from __future__ import annotations

from typing import Any

from ..errors import DeclarationTypeError
from ._base import Serializer
from ._reasons import wrong_type
from ._tree import name_of


class BytesSerializer(Serializer[bytes]):
    """Passes bytes as they are."""

    def __init__(self, schema: type[bytes]) -> None:
        if schema is not bytes:
            raise DeclarationTypeError(f'BytesSerializer needs bytes, not {name_of(schema)}')

    def encode(self, message: bytes) -> bytes:
        """Give the message itself. What isn't bytes is an EncodeError."""
        if not isinstance(message, bytes):
            raise wrong_type(message, 'bytes')
        return bytes(message)

    def decode(self, data: bytes) -> bytes:
        """Give the payload itself."""
        return bytes(data)

    def json_schema(self) -> dict[str, Any]:
        """Say that it's bytes."""
        return {'type': 'string', 'format': 'binary'}
