"""What a serializer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

T = TypeVar('T')


class Serializer(ABC, Generic[T]):
    """Turns messages of one schema into bytes and back.

    Subclass it, define `encode` and `decode`, and pass an instance as the `serializer`
    of an event.
    """

    @abstractmethod
    def encode(self, message: T) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""

    @abstractmethod
    def decode(self, data: bytes) -> T:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""
