"""Building the headers of one message from what `emit` was given."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .._cloud_event import CloudEvent
from .._context import CURRENT_HEADERS
from .._headers import DELAY, MSG_ID, REPLY, TRACE, check_header, check_id, is_safe
from ..errors import HeaderError, HeaderTypeError

_MAX_INHERITED = 1024


def build_headers(
    *,
    uid: str | None,
    trace_id: str | None,
    due: float | None,
    meta: CloudEvent | Mapping[str, str] | None,
    reply: str | None = None,
) -> dict[str, str] | None:
    """Check what is to be sent beside the payload and give it as headers, None for none.

    Inside a job, the trace id and the trace context of its message are inherited.

    :param due: the moment, in seconds since the epoch, before which nothing is handled.
        It must be finite.
    :param reply: the inbox for the answer, one of our own.
    :raises HeaderError: a name or a value isn't safe or is reserved.
    """
    headers = _read_meta(meta)
    if uid is not None:
        check_id('uid', uid)
        headers[MSG_ID] = uid
    elif isinstance(meta, CloudEvent):
        headers[MSG_ID] = _make_uid(meta.id, headers['ce-id'])
    if trace_id is not None:
        check_id('trace_id', trace_id)
        headers[TRACE] = trace_id
    if due is not None:
        headers[DELAY] = as_due(due)
    if reply is not None:
        headers[REPLY] = reply
    _add_trace_context(headers)
    inherited = CURRENT_HEADERS.get()
    if inherited is not None:
        _inherit(headers, inherited)
    return headers or None


def as_due(moment: float) -> str:
    """Give the value of the header that says when a message is due, in seconds since the epoch."""
    return f'{moment:.6f}'


def _read_meta(meta: object) -> dict[str, str]:
    if meta is None:
        return {}
    if isinstance(meta, CloudEvent):
        return meta.as_headers()
    if not isinstance(meta, Mapping):
        raise HeaderTypeError(
            f'meta must be a CloudEvent or a dict of headers, not {type(meta).__name__}'
        )
    headers: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for name, value in meta.items():
        check_header(name, value)
        # Some readers ignore case and would see one of the two, or both in one.
        other = spellings.setdefault(name.lower(), name)
        if other != name:
            raise HeaderError(
                f'header name {name!r:.60} is there twice, also as {other!r:.60}: keep one of them'
            )
        headers[name] = value
    return headers


def _make_uid(event_id: str, encoded: str) -> str:
    """Give the id as it is, or encoded where a header can't hold it.

    An id with a percent sign is encoded too, so that no two ids give one uid.
    """
    return event_id if '%' not in event_id and is_safe(event_id) else encoded


def _add_trace_context(headers: dict[str, str]) -> None:
    """Add the W3C trace context of the current OpenTelemetry span, if one is recording.

    Never imports OpenTelemetry: where nobody has, there is no span. A `traceparent` of
    the caller's stays, without the `tracestate` of a span that it isn't about.
    """
    trace: Any = sys.modules.get('opentelemetry.trace')
    if trace is None:
        return
    span = trace.get_current_span()
    if not span.is_recording():
        return
    given = {name.lower() for name in headers}
    context = span.get_span_context()
    if 'traceparent' in given or not context.is_valid:
        return
    headers['traceparent'] = (
        f'00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}'
    )
    state = context.trace_state.to_header()
    if state and 'tracestate' not in given:
        headers['tracestate'] = state


def _inherit(headers: dict[str, str], inherited: Mapping[str, str]) -> None:
    """Add the trace of the message that is being handled, where there is none of our own.

    It may come from anyone: a value that can't be sent, or would leave no room, is left out.
    """
    given = {name.lower() for name in headers}
    names = [TRACE] if 'traceparent' in given else [TRACE, 'traceparent', 'tracestate']
    for name in names:
        value = inherited.get(name)
        if value is None or name.lower() in given:
            continue
        if len(value) <= _MAX_INHERITED and is_safe(value):
            headers[name] = value
