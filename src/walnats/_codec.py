"""The codec of a schema: messages to bytes and back, every failure named.

It stands between an event and its serializer, which may be the user's own code. The errors
name the event and the types, never the message: they end up in logs.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import DecodeError, EncodeError, SerializerNotFoundError
from .serializers import Serializer, get_serializer
from .serializers._classes import class_to_test, is_alias
from .serializers._marshmallow import find_marshmallow_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm

T = TypeVar('T')

# A value of the first class is an instance of the second one in Python, but it's something
# else on the wire: the receiver could not decode it.
_LOOKALIKES = ((bool, int), (dt.datetime, dt.date))


class Codec(Generic[T]):
    """Encodes and decodes what one schema describes: an event's message or its response.

    :param event: the name of the event.
    :param what: 'message' or 'response', for the errors.
    :param serializer: the one to use; None for one that fits the schema.
    """

    __slots__ = ('_accepts', '_decode', '_encode', '_event', '_exact', '_name', '_schema', '_what')

    def __init__(
        self, event: str, what: str, schema: TypeForm[T], serializer: Serializer[T] | None
    ) -> None:
        self._event = event
        self._what = what
        self._schema = schema
        classes = _find_classes(schema)
        self._exact = classes[0]
        self._accepts = _build_test(classes)
        if serializer is None:
            serializer = _choose_serializer(event, schema)
        self._name = type(serializer).__name__
        # Bound once, because they run for every message.
        self._encode = serializer.encode
        self._decode = serializer.decode

    def encode(self, message: T) -> bytes:
        """Turn the message into bytes, or raise EncodeError."""
        if type(message) is not self._exact and not self._accepts(message):
            raise self._explain_mismatch(message)
        try:
            data = self._encode(message)
        except EncodeError as error:
            error.event = self._event
            raise
        except Exception as error:  # noqa: BLE001 -- a serializer may be anybody's code
            raise EncodeError(self._describe('encode', error), event=self._event) from None
        if type(data) is not bytes:
            raise self._explain_result(data)
        return data

    def decode(self, data: bytes) -> T:
        """Turn bytes into a message, or raise DecodeError."""
        try:
            return self._decode(data)
        except DecodeError as error:
            error.event = self._event
            raise
        except Exception as error:  # noqa: BLE001 -- a serializer may be anybody's code
            raise DecodeError(self._describe('decode', error), event=self._event) from None

    def _explain_mismatch(self, message: object) -> EncodeError:
        expected, actual = format_schema(self._schema), type(message).__name__
        if expected == actual and isinstance(self._schema, type):
            expected, actual = _format_fully(self._schema), _format_fully(type(message))
        return EncodeError(f'the {self._what} must be {expected}, not {actual}', event=self._event)

    def _explain_result(self, data: object) -> EncodeError:
        reason = f'{self._name}.encode must return bytes, not {type(data).__name__}'
        return EncodeError(reason, event=self._event)

    def _describe(self, verb: str, error: Exception) -> str:
        # The error's own text may quote the payload. It stays reachable for a debugger but is
        # in no traceback, because it's raised `from None`.
        kind, place = type(error).__name__, _find_place(error)
        return f'{self._name}.{verb} raised {kind} at {place} (the original is its __context__)'


def is_schema(value: object) -> bool:
    """Tell whether the value is something that a type annotation could be."""
    return (
        isinstance(value, (type, typing.NewType))
        or typing.get_origin(value) is not None
        or is_alias(value)
    )


def format_schema(schema: object) -> str:
    """Give the schema as a short text: the name of a class, else its repr."""
    return schema.__name__ if isinstance(schema, type) else repr(schema).replace('typing.', '')


def _choose_serializer(event: str, schema: TypeForm[T]) -> Serializer[T]:
    try:
        return get_serializer(schema)
    except SerializerNotFoundError as error:
        raise SerializerNotFoundError(f'event {event!r}: {error}') from None


def _find_classes(schema: Any) -> tuple[type, ...]:
    """Find the classes that a message may be an instance of."""
    if isinstance(schema, typing.NewType):
        return _find_classes(schema.__supertype__)
    if is_alias(schema):
        return _find_classes(schema.__value__)
    origin = typing.get_origin(schema)
    if origin is None:
        return _find_checkable(schema)
    return _find_classes_of_generic(origin, typing.get_args(schema))


def _find_classes_of_generic(origin: Any, args: tuple[Any, ...]) -> tuple[type, ...]:
    if origin is typing.Union or origin is types.UnionType:
        return tuple(cls for arg in args for cls in _find_classes(arg))
    if origin is typing.Annotated:
        return _find_classes(args[0])
    if origin is typing.Literal:
        return tuple(type(value) for value in args)
    return _find_classes(origin)


def _find_checkable(schema: Any) -> tuple[type, ...]:
    """Find what isinstance takes in place of the schema; `object` where nothing can be said."""
    if schema is float:
        return (float, int)
    if find_marshmallow_schema(schema) is schema:
        return (object,)  # it describes messages of other classes
    return (class_to_test(schema),)


def _build_test(classes: tuple[type, ...]) -> Callable[[object], bool]:
    lookalikes = tuple(
        subclass
        for subclass, base in _LOOKALIKES
        if base in classes and subclass not in classes and object not in classes
    )

    def accepts(message: object) -> bool:
        return isinstance(message, classes) and not isinstance(message, lookalikes)

    return accepts


def _find_place(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return 'an unknown place'
    return f'{PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}'


def _format_fully(cls: type) -> str:
    return f'{cls.__module__}.{cls.__qualname__}'
