"""Encrypts what another serializer writes."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DeclarationError, DeclarationTypeError
from ._base import Serializer
from ._choice import resolve
from ._json_schema import wrapped
from ._optional import missing_package

if TYPE_CHECKING:
    from cryptography.fernet import Fernet
    from typing_extensions import TypeForm

T = TypeVar('T')


class FernetSerializer(Serializer[T]):
    """Encrypts and signs the payload of another serializer with Fernet.

    :param serializer: what makes the payload; None for the one that fits the schema.
    :param key: what `cryptography.fernet.Fernet.generate_key()` gives; or several, to change
        keys without a stop: the first one encrypts, each one decrypts. Add a new key at the
        end in all services, then put it first, then drop the old one.

    A payload that isn't encrypted with one of the keys is a DecodeError that is also
    `cryptography.fernet.InvalidToken`. Tokens don't expire.

    It needs the package `cryptography`: `pip install 'walnats[cryptography]'`.
    """

    def __init__(
        self,
        schema: TypeForm[T],
        serializer: Serializer[T] | None,
        key: bytes | str | Sequence[bytes | str],
    ) -> None:
        try:
            from cryptography.fernet import InvalidToken, MultiFernet  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package('FernetSerializer', 'cryptography') from exc
        from ._forged import ForgedTokenError  # noqa: PLC0415 -- it needs the extra too

        self._serializer = resolve(schema, serializer)
        self._fernet = MultiFernet([_make_fernet(each) for each in _split_keys(key)])
        self._invalid = (InvalidToken, ValueError)
        self._forged = ForgedTokenError

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload and encrypt it."""
        return self._fernet.encrypt(self._serializer.encode(message))

    def decode(self, data: bytes) -> T:
        """Decrypt the payload and turn it into a message.

        The position in an error of the inner serializer is one in the decrypted payload.
        """
        return self._serializer.decode(self._decrypt(data))

    def json_schema(self) -> dict[str, Any]:
        """Say that it's encrypted, and describe what is."""
        return wrapped('Encrypted and signed with Fernet.', self._serializer)

    def _decrypt(self, data: bytes) -> bytes:
        try:
            payload = self._fernet.decrypt(data)
            # What comes after the padding is neither decrypted nor signed.
            if urlsafe_b64encode(urlsafe_b64decode(data)) == data:
                return payload
        except self._invalid:
            pass
        raise self._forged('the message is forged, altered or encrypted with another key')


def _split_keys(key: Any) -> Sequence[Any]:
    if isinstance(key, (bytes, str)):
        return [key]
    if not isinstance(key, Sequence):
        raise DeclarationTypeError(
            f'key must be a Fernet key or a sequence of them, not {type(key).__name__}'
        )
    if not key:
        raise DeclarationError('key must have at least one Fernet key')
    return key


def _make_fernet(key: Any) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415 -- of an extra

    # No text shows the key, not even a wrong one.
    if not isinstance(key, (bytes, str)):
        raise DeclarationTypeError(
            f'a Fernet key must be bytes or a string, not {type(key).__name__}'
        )
    try:
        return Fernet(key)
    except ValueError:
        raise DeclarationError(
            'a Fernet key must be 32 bytes in URL-safe base64:'
            ' cryptography.fernet.Fernet.generate_key() makes one'
        ) from None
