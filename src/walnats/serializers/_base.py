"""What a serializer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

T = TypeVar('T')


class Serializer(ABC, Generic[T]):
    """Turns messages of one schema into bytes and back.

    Subclass it, define `encode` and `decode`, and pass an instance as the `serializer`
    of an event. `content_type` and `json_schema` are for documents about the event.
    """

    content_type: str = 'application/octet-stream'
    """The media type of the payload."""

    @abstractmethod
    def encode(self, message: T) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""

    @abstractmethod
    def decode(self, data: bytes) -> T:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""

    def json_schema(self) -> dict[str, Any] | None:
        """Describe the payload by a JSON Schema (2020-12), None where that can't be done.

        It describes what `encode` writes; for a binary format, what is in it. It stands for
        itself: what it refers to is in its `$defs`, by `#/$defs/NAME`.
        """
        return None
