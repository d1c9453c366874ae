"""Signs what another serializer writes."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DeclarationError, DeclarationTypeError, DecodeError
from ._base import Serializer
from ._choice import resolve
from ._json_schema import wrapped

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar('T')


class HMACSerializer(Serializer[T]):
    """Signs the payload of another serializer, so that only holders of the key can write it.

    The payload stays readable for everyone: on the wire it comes after the digest, which
    has the length that the algorithm gives it (64 bytes for `sha512`).

    :param serializer: what makes the payload; None for the one that fits the schema.
    :param key: the secret that all services of the event share; random, and as long as the
        digest or longer.
    :param hash_algorithm: any name that `hashlib` knows and that has a fixed length.
    """

    def __init__(
        self,
        schema: TypeForm[T],
        serializer: Serializer[T] | None,
        key: bytes,
        hash_algorithm: str = 'sha512',
    ) -> None:
        self._serializer = resolve(schema, serializer)
        self._size = _find_digest_size(hash_algorithm)
        self._algorithm = hash_algorithm
        self._key = _check_key(key)

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload and put its digest in front."""
        data = self._serializer.encode(message)
        return self._digest(data) + data

    def decode(self, data: bytes) -> T:
        """Check the digest and turn the rest into a message. A wrong digest is a DecodeError.

        The position in an error of the inner serializer is counted from the end of the digest.
        """
        digest, payload = data[: self._size], data[self._size :]
        if not hmac.compare_digest(digest, self._digest(payload)):
            raise DecodeError('the message is corrupted or altered')
        return self._serializer.decode(payload)

    def json_schema(self) -> dict[str, Any]:
        """Say that it's signed, and describe what is."""
        how = f'An HMAC digest of {self._size} bytes ({self._algorithm}), then what is signed.'
        return wrapped(how, self._serializer)

    def _digest(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, self._algorithm)


def _check_key(key: bytes) -> bytes:
    # No text shows the key, not even a wrong one.
    if not isinstance(key, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
        raise DeclarationTypeError(f'key must be bytes, not {type(key).__name__}')
    if not key:
        raise DeclarationError('key must not be empty')
    return key


def _find_digest_size(algorithm: str) -> int:
    if not isinstance(algorithm, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
        raise DeclarationTypeError(
            f"hash_algorithm must be a name like 'sha512', not {algorithm!r:.80}"
        )
    try:
        size = hashlib.new(algorithm).digest_size
        hmac.digest(b'key', b'', algorithm)
    except (ValueError, TypeError):
        size = 0
    if size == 0:  # of the algorithms with a length of one's choice
        raise DeclarationError(
            f'hash_algorithm must be one that hashlib can make an HMAC with, not {algorithm!r:.80}'
        )
    return size
