"""JSON for what msgspec knows by type."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from ._lossless import JSON
from ._typed import Format, TypedSerializer

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar('T')


class MsgspecSerializer(TypedSerializer[T]):
    """JSON for what msgspec knows by type.

    That is: `msgspec.Struct`, attrs classes, dataclasses, TypedDict, NamedTuple, Enum,
    UUID, Decimal, `list[Model]`, `dict[str, int]`, unions that can be told apart, and all
    that they are made of.

    Unknown fields are ignored and missing ones take their default. A NamedTuple is an
    array: new fields go to its end.

    What JSON would change without a word is an EncodeError: NaN and infinities, a time
    zone that is off by seconds, and in fields that say `Any`, `dict` or `list` without more
    all that JSON itself doesn't have. Integers may be of any size up to Python's limit of
    digits. `fold` isn't written.

    That the fields of a class hold what they declare is left to the type checker. Where the
    schema is more than one class (`list[Model]`, a union, a TypedDict) each payload is read
    again before it's sent, and must give the same message.
    """

    content_type = 'application/json'

    def __init__(self, schema: TypeForm[T]) -> None:
        super().__init__(schema, JSON_FORMAT)


def _number_as_written(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


JSON_FORMAT = Format(
    carries=JSON,
    is_text=True,
    encoder=lambda _: msgspec.json.Encoder().encode,
    decoder=lambda schema: msgspec.json.Decoder(schema).decode,
    loose_decoder=lambda: msgspec.json.Decoder(float_hook=_number_as_written).decode,
)
