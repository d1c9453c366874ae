"""Moments and days as text."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, TypeVar

from ..errors import DeclarationTypeError, DecodeError, EncodeError
from ._base import Serializer
from ._reasons import decode_error, encode_error, wrong_type
from ._tree import name_of

D = TypeVar('D', bound=date)

_DAY = r'\d{4}-\d\d-\d\d'
_TIME = r'\d\d:\d\d(:\d\d([.,]\d+)?)?'
# Offsets are looked at here: datetime.fromisoformat takes +01:99 for one.
_ZONE = r'(Z|[+-]\d\d(:?[0-5]\d(:[0-5]\d(\.\d+)?)?)?)?'
_FORMS = {
    date: re.compile(_DAY, re.ASCII),
    datetime: re.compile(f'{_DAY}[T ]{_TIME}{_ZONE}', re.ASCII),
}


class DatetimeSerializer(Serializer[D]):
    """ISO 8601 text for a datetime, `2013-01-01T05:15:00+00:00`, or a date, `2013-01-01`.

    The text is bare; a reader takes it in the quotes of JSON too, and `Z` for UTC. A
    datetime without time zone stays without one. A time zone comes back as its offset.
    Microseconds are kept, finer fractions of a peer are cut off. `fold` isn't written.
    """

    content_type = 'text/plain'

    def __init__(self, schema: type[D]) -> None:
        if schema is not datetime and schema is not date:
            raise DeclarationTypeError(
                f'DatetimeSerializer needs datetime or date, not {name_of(schema)}'
            )
        self._schema: type[D] = schema
        self._form = _FORMS[schema]

    def encode(self, message: D) -> bytes:
        """Turn the message into text. Another type is an EncodeError: a datetime is no date."""
        is_date = self._schema is date
        if not isinstance(message, self._schema) or (is_date and isinstance(message, datetime)):
            raise wrong_type(message, self._schema.__name__)
        if isinstance(message, datetime) and message.tzinfo is not None:
            _check_zone(message)
        return message.isoformat().encode()

    def decode(self, data: bytes) -> D:
        """Turn the text into a datetime or a date. Whatever is wrong with it is a DecodeError."""
        try:
            text = _unquoted(data.decode())
            if self._form.fullmatch(text):
                return self._schema.fromisoformat(text)
            problem = DecodeError(f'expected a {self._schema.__name__} in ISO 8601')
        except UnicodeDecodeError as exc:
            problem = decode_error(exc, data)
        except ValueError:
            problem = DecodeError(f'there is no such {self._schema.__name__}')
        raise problem

    def json_schema(self) -> dict[str, Any]:
        """Describe the text."""
        return {'type': 'string', 'format': 'date' if self._schema is date else 'date-time'}


def _check_zone(moment: datetime) -> None:
    try:
        offset = moment.utcoffset()
    except Exception as exc:  # the time zone may be of the caller's making
        raise encode_error(exc) from None
    if offset is None:
        raise EncodeError('the time zone of the datetime has no offset')
    if offset.microseconds:
        raise EncodeError('the time zone of the datetime is off by fractions of a second')


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
