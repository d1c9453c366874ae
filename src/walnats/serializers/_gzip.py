"""Compresses what another serializer writes."""

from __future__ import annotations

import gzip
import sys
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from .._checks import Fields
from ..errors import DecodeError, EncodeError
from ._base import Serializer
from ._choice import resolve
from ._json_schema import wrapped

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar('T')

_MAX_SIZE = 64 * 1024 * 1024  # as much as NATS carries in one message at most
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


class GZipSerializer(Serializer[T]):
    """Compresses the payload of another serializer with gzip.

    :param serializer: what makes the payload; None for the one that fits the schema.
    :param level: from 0, none, to 9, the smallest.
    :param max_size: how many bytes a payload may have when it's unpacked. A larger one is
        an EncodeError in `encode` and a DecodeError in `decode`, where it stops at this
        size: a small message can't fill the memory.
    """

    content_type = 'application/gzip'

    def __init__(
        self,
        schema: TypeForm[T],
        serializer: Serializer[T] | None,
        level: int = 9,
        *,
        max_size: int = _MAX_SIZE,
    ) -> None:
        rules = Fields('GZipSerializer', SimpleNamespace(level=level, max_size=max_size))
        rules.integer('level', least=0, most=9)
        rules.integer('max_size', most=sys.maxsize - 1)
        self._serializer = resolve(schema, serializer)
        self._level = level
        self._max_size = max_size

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload and compress it."""
        data = self._serializer.encode(message)
        if len(data) > self._max_size:
            raise EncodeError(
                f'the payload has {len(data)} bytes, more than max_size={self._max_size}'
            )
        # Without the time in it equal messages have equal payloads.
        return gzip.compress(data, self._level, mtime=0)

    def decode(self, data: bytes) -> T:
        """Unpack the payload and turn it into a message.

        The position in an error of the inner serializer is one in the unpacked payload.
        """
        return self._serializer.decode(self._unpack(data))

    def json_schema(self) -> dict[str, Any]:
        """Say that it's compressed, and describe what is."""
        return wrapped('Compressed with gzip.', self._serializer)

    def _unpack(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(_GZIP_FORMAT)
        try:
            unpacked = unpacker.decompress(data, self._max_size + 1)
        except zlib.error:
            raise DecodeError('the payload is no gzip, or is damaged') from None
        if len(unpacked) > self._max_size:
            raise DecodeError(f'the payload unpacks to more than max_size={self._max_size} bytes')
        if not unpacker.eof:
            raise DecodeError('the payload ends too early', position=len(data))
        if unpacker.unused_data:
            end = len(data) - len(unpacker.unused_data)
            raise DecodeError('the payload goes on after the end of the gzip', position=end)
        return unpacked
