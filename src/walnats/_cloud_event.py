"""CloudEvents 1.0: metadata that events of any system have in common."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from .errors import DeclarationError, DeclarationTypeError

_PREFIX = 'ce-'
_MAX_INTEGER = 2**31 - 1
_MAX_TRACE_STATES = 32
_SHOWN = 60


@dataclass(frozen=True)
class CloudEvent:
    """Metadata of an event as the CloudEvents 1.0 specification describes it.

    Pass it to `emit` as `meta`: it becomes headers by the NATS protocol binding 1.0.3, in
    binary mode. What doesn't keep the rules of the specification is a DeclarationError.

    The specification: https://github.com/cloudevents/spec/blob/v1.0/spec.md
    """

    id: str
    """Together with the source, unique to the event. Used as uid if `emit` gets no other."""
    source: str
    """Where the event comes from, a URI reference: `/orders`, `https://example.com/orders`."""
    type: str
    """The kind of event, by custom with a reversed domain in front: `com.example.paid`."""
    specversion: str = '1.0'
    """The version of the specification, always '1.0'."""
    datacontenttype: str | None = None
    """The media type of the payload: `application/json`."""
    dataschema: str | None = None
    """The schema of the payload, an absolute URI, so without a fragment (`#…`)."""
    subject: str | None = None
    """What the event is about, within the source."""
    time: datetime | None = None
    """When it happened. One without a time zone is taken as UTC."""
    dataref: str | None = None
    """Where the payload is to be found, a URI reference."""
    partitionkey: str | None = None
    """Events that belong together have the same one."""
    sampledrate: int | None = None
    """How many similar events this one stands for, itself included."""
    sequence: str | None = None
    """The place of the event among those of its source; compared as text."""
    traceparent: str | None = None
    """The W3C trace context in which the event was created, not the one that it's sent in.

    It's sent as `ce-traceparent`, beside the `traceparent` of an OpenTelemetry span.
    """
    tracestate: str | None = None
    """The W3C trace state that goes with `traceparent`."""

    def __post_init__(self) -> None:
        for name in _ATTRIBUTES:
            value = getattr(self, name)
            if value is not None or name in _REQUIRED:
                _CHECKS.get(name, _check_string)(name, value)
        if self.tracestate is not None and self.traceparent is None:
            raise _make_error('tracestate', "needs a 'traceparent' beside it: give both or neither")

    def as_dict(self) -> dict[str, str | int]:
        """Give the attributes that are set, as in the JSON format: `time` is an RFC 3339 string."""
        values = {name: getattr(self, name) for name in _ATTRIBUTES}
        if self.time is not None:
            values['time'] = _format_time(self.time)
        return {name: value for name, value in values.items() if value is not None}

    def as_headers(self) -> dict[str, str]:
        """Give the attributes that are set as headers: `ce-` in front, percent-encoded.

        `datacontenttype` is `ce-datacontenttype`: NATS has no `Content-Type` of its own.
        """
        return {
            _PREFIX + name: quote(value if isinstance(value, str) else str(value), safe=_KEPT)
            for name, value in self.as_dict().items()
        }

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> CloudEvent:
        """Read the headers of a message, whoever has sent it.

        Header names are compared without regard to case. Headers that don't start with
        `ce-`, and extensions that the class has no field for, are ignored. `time` is
        aware and precise to a microsecond.

        :raises DeclarationError: an attribute is missing or wrong.
        """
        found = _decode_headers(headers)
        for name in _REQUIRED:
            if name not in found:
                raise DeclarationError(
                    f"the headers are no CloudEvent: there is no '{_PREFIX}{name}'"
                )
        values: dict[str, Any] = dict(found)
        if 'time' in found:
            values['time'] = _parse_time(found['time'])
        if 'sampledrate' in found:
            values['sampledrate'] = _parse_integer('sampledrate', found['sampledrate'])
        return cls(**values)


_ATTRIBUTES = tuple(field.name for field in dataclasses.fields(CloudEvent))
_REQUIRED = ('id', 'source', 'type', 'specversion')


# Headers

_KEPT = ''.join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_BROKEN_ESCAPE = re.compile(r'%(?![0-9A-Fa-f]{2})')
# Hours and offsets are told apart here: datetime.fromisoformat takes 24:00 and +01:99 for times.
_HOUR = r'(?:[01][0-9]|2[0-3]):[0-5][0-9]'
_TIME = re.compile(
    rf'[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_HOUR}:[0-9]{{2}}(?:\.[0-9]+)?(?:Z|[+-]{_HOUR})'
)


def _decode_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] -- input
        raise DeclarationTypeError(
            f'headers must be a mapping of strings, not {type(headers).__name__}'
        )
    found: dict[str, str] = {}
    for header, value in headers.items():
        if not isinstance(header, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- input
            raise DeclarationTypeError(
                f'headers must have strings as names, not {type(header).__name__}'
            )
        name = header.lower().removeprefix(_PREFIX)
        if name not in _ATTRIBUTES or not header.lower().startswith(_PREFIX):
            continue
        if name in found:
            raise _make_error(
                name, f"is there twice: the headers have '{_PREFIX}{name}' in two spellings"
            )
        found[name] = _decode(name, value)
    return found


def _decode(name: str, value: str) -> str:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- input
        raise _make_type_error(name, 'a string', value)
    text = value.strip(' \t')
    if len(text) > 1 and text[0] == text[-1] == '"':
        # Never written by this version of the binding, but to be read: older ones quote.
        text = re.sub(r'\\(.)', r'\1', text[1:-1])
    if _BROKEN_ESCAPE.search(text):
        raise _make_error(name, "has a '%' that no two hexadecimal digits follow", value)
    try:
        return unquote(text, errors='strict')
    except UnicodeDecodeError as exc:
        raise _make_error(name, 'is percent-encoded, but not as UTF-8', value) from exc


def _parse_time(text: str) -> datetime:
    if not _TIME.fullmatch(text.upper()):
        raise _make_error(
            'time', "must be of the form of RFC 3339, such as '2024-01-31T12:00:00Z'", text
        )
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError as exc:
        raise _make_error('time', f"can't be a Python datetime ({exc})", text) from exc


def _parse_integer(name: str, text: str) -> int:
    if not re.fullmatch('-?[0-9]{1,10}', text):
        raise _make_error(name, 'must be a decimal integer of 32 bits', text)
    return int(text)


def _format_time(time: datetime) -> str:
    offset = time.utcoffset()
    if offset is None:
        return time.replace(tzinfo=None).isoformat() + 'Z'
    if not offset or offset.total_seconds() % 60:
        # RFC 3339 has no room for the seconds of an offset, so that moment is told in UTC.
        return time.astimezone(UTC).replace(tzinfo=None).isoformat() + 'Z'
    return time.isoformat()


# Validation

_Check = Callable[[str, Any], None]
"""Raises if the value can't be the one of the attribute of that name."""

_FORBIDDEN = re.compile(
    r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef'
    + ''.join(chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in range(0, 0x110000, 0x10000))
    + ']'
)
_CHAR = r"[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2}"
_PATH_CHAR = rf'(?:{_CHAR}|[:@])'
_HOST = rf"(?:\[[0-9A-Za-z\-._~!$&'()*+,;=:]+\]|(?:{_CHAR})*)"
_AUTHORITY = rf'(?:(?:{_CHAR}|:)*@)?{_HOST}(?::[0-9]*)?'
_PATH = rf'(?://{_AUTHORITY}(?:/{_PATH_CHAR}*)*|/?(?:{_PATH_CHAR}+(?:/{_PATH_CHAR}*)*)?)'
_QUERY = rf'(?:{_PATH_CHAR}|[/?])*'
_SCHEME = r'[A-Za-z][A-Za-z0-9+\-.]*:'
_ABSOLUTE_URI = re.compile(rf'{_SCHEME}{_PATH}(?:\?{_QUERY})?')
# A colon before the first slash ends a scheme, so a relative reference can't have one there.
_URI_REFERENCE = re.compile(rf'(?:{_SCHEME}|(?![^/?#]*:)){_PATH}(?:\?{_QUERY})?(?:#{_QUERY})?')
_WORD = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"
_PARAMETER = rf' *; *{_WORD}=(?:{_WORD}|"(?:[ !#-\[\]-~]|\\[ -~])*")'
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:{_PARAMETER})*')
_TRACE_IDS = r'(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}'
# Later versions of the standard may add fields at the end.
_TRACE_PARENT = re.compile(rf'00-{_TRACE_IDS}|(?!00|ff)[0-9a-f]{{2}}-{_TRACE_IDS}(?:-[!-~]*)?')
_TRACE_STATE_MEMBER = re.compile(r'([a-z0-9][a-z0-9_\-*/@]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]')


def _check_string(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _make_type_error(name, 'a string', value)
    if not value:
        raise _make_error(
            name, 'must not be empty' + ('' if name in _REQUIRED else ': leave it out to have none')
        )
    forbidden = _FORBIDDEN.search(value)
    if forbidden is not None:
        found = f'{forbidden.group()!r} at index {forbidden.start()}'
        raise _make_error(
            name, f'must have no control characters, surrogates or noncharacters, it has {found}'
        )


def _check_specversion(name: str, value: Any) -> None:
    _check_string(name, value)
    if value != '1.0':
        raise _make_error(name, "must be '1.0', the only version that walnats knows", value)


def _check_form(form: re.Pattern[str], problem: str) -> _Check:
    def check(name: str, value: Any) -> None:
        _check_string(name, value)
        if not form.fullmatch(value):
            raise _make_error(name, problem, value)

    return check


def _check_time(name: str, value: Any) -> None:
    if not isinstance(value, datetime):
        raise _make_type_error(name, 'a datetime', value)
    try:
        _format_time(value)
    except OverflowError as exc:
        raise _make_error(
            name, 'must be in the years 1 to 9999 in UTC too', value.isoformat()
        ) from exc


def _check_positive_integer(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _make_type_error(name, 'an integer', value)
    if not 1 <= value <= _MAX_INTEGER:
        raise _make_error(name, f'must be from 1 to {_MAX_INTEGER}', value)


def _check_trace_state(name: str, value: Any) -> None:
    _check_string(name, value)
    members = [member.strip(' ') for member in value.split(',')]
    matches = [_TRACE_STATE_MEMBER.fullmatch(member) for member in members if member]
    keys = {match[1] for match in matches if match}
    if not 1 <= len(matches) <= _MAX_TRACE_STATES or len(keys) != len(matches):
        raise _make_error(
            name,
            f'must be of the W3C form KEY=VALUE,…, with 1 to {_MAX_TRACE_STATES} different keys',
            value,
        )


_check_uri_reference = _check_form(
    _URI_REFERENCE,
    "must be a URI reference, such as '/orders' or 'https://example.com/orders' (RFC 3986; "
    'percent-encode spaces and what is not ASCII)',
)
_CHECKS: dict[str, _Check] = {
    'source': _check_uri_reference,
    'specversion': _check_specversion,
    'datacontenttype': _check_form(
        _MEDIA_TYPE, "must be a media type, such as 'application/json' (RFC 2046)"
    ),
    'dataschema': _check_form(
        _ABSOLUTE_URI,
        "must be an absolute URI, such as 'https://example.com/order.json' (RFC 3986, 4.3): "
        "with a scheme, without a '#' fragment, what is not ASCII percent-encoded",
    ),
    'time': _check_time,
    'dataref': _check_uri_reference,
    'sampledrate': _check_positive_integer,
    'traceparent': _check_form(
        _TRACE_PARENT,
        'must be of the W3C form VERSION-TRACEID-PARENTID-FLAGS, in lower-case hexadecimal',
    ),
    'tracestate': _check_trace_state,
}
"""The checks of attributes that are more than a non-empty string."""


def _make_error(name: str, problem: str, value: object = None) -> DeclarationError:
    return DeclarationError(f"CloudEvent attribute '{name}' {problem}{_show(value)}")


def _make_type_error(name: str, wanted: str, value: object) -> DeclarationTypeError:
    return DeclarationTypeError(
        f"CloudEvent attribute '{name}' must be {wanted}, not {type(value).__name__}"
    )


def _show(value: object) -> str:
    if value is None:
        return ''
    # Cut first: writing out a huge number, or a huge string, would take long.
    if isinstance(value, int):
        return f', not {value}' if abs(value) <= _MAX_INTEGER else ''
    text = str(value)
    return f', not {text[:_SHOWN]!r}' + ('…' if len(text) > _SHOWN else '')
