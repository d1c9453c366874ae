"""MessagePack, without extension types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec
import msgspec.inspect as mi

from ..errors import DecodeError
from ._json_schema import rewrite
from ._lossless import MESSAGE_PACK
from ._tree import reachable
from ._typed import Format, TypedSerializer

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm

T = TypeVar('T')

_BINARY = (bytes, bytearray, memoryview)


class MessagePackSerializer(TypedSerializer[T]):
    """MessagePack for what msgspec knows by type: smaller than JSON, and as portable.

    It has the schemas and the rules of `MsgspecSerializer`, except that bytes stay bytes,
    NaN and infinities are allowed, and integers must fit into 64 bits.

    No extension types are written: a moment is a string in RFC 3339. Of those that are
    read only MessagePack's own timestamp is taken, where the schema has a datetime.
    """

    content_type = 'application/vnd.msgpack'

    def __init__(self, schema: TypeForm[T]) -> None:
        super().__init__(schema, MESSAGE_PACK_FORMAT)

    def json_schema(self) -> dict[str, Any] | None:
        """Describe the schema as for JSON, but bytes are just bytes."""
        described: dict[str, Any] | None = rewrite(super().json_schema(), _with_plain_bytes)
        return described


def _with_plain_bytes(schema: dict[str, Any]) -> dict[str, Any]:
    if 'contentEncoding' not in schema:
        return schema
    return {'format': 'binary', **{k: v for k, v in schema.items() if k != 'contentEncoding'}}


def _encoder(tree: mi.Type) -> Callable[[Any], bytes]:
    encode = msgspec.msgpack.Encoder().encode
    # msgspec writes an aware datetime as an extension type, if nobody stops it.
    if not any(isinstance(part, (mi.DateTimeType, mi.AnyType)) for part in reachable(tree)):
        return encode
    return lambda message: encode(msgspec.to_builtins(message, builtin_types=_BINARY))


def _refuse_extension(code: int, _data: memoryview) -> NoReturn:
    raise DecodeError(f'the payload has a value of the extension type {code}')


MESSAGE_PACK_FORMAT = Format(
    carries=MESSAGE_PACK,
    is_text=False,
    encoder=_encoder,
    decoder=lambda schema: msgspec.msgpack.Decoder(schema, ext_hook=_refuse_extension).decode,
    loose_decoder=lambda: msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode,
)
