"""Serializers: how messages become payloads, and payloads messages.

`Event` asks :func:`get_serializer` for the one that fits its schema, unless it's given one.
"""

from __future__ import annotations

from ._base import Serializer
from ._bytes import BytesSerializer
from ._choice import get_serializer
from ._dataclass import DataclassSerializer
from ._datetime import DatetimeSerializer
from ._fernet import FernetSerializer
from ._gzip import GZipSerializer
from ._hmac import HMACSerializer
from ._marshmallow import MarshmallowSerializer
from ._messagepack import MessagePackSerializer
from ._msgspec import MsgspecSerializer
from ._primitive import PrimitiveSerializer
from ._protobuf import ProtobufSerializer
from ._pydantic import PydanticSerializer
from ._union import UnionSerializer

__all__ = [
    'BytesSerializer',
    'DataclassSerializer',
    'DatetimeSerializer',
    'FernetSerializer',
    'GZipSerializer',
    'HMACSerializer',
    'MarshmallowSerializer',
    'MessagePackSerializer',
    'MsgspecSerializer',
    'PrimitiveSerializer',
    'ProtobufSerializer',
    'PydanticSerializer',
    'Serializer',
    'UnionSerializer',
    'get_serializer',
]
