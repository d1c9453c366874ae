"""The headers of messages, as JSON Schemas."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from .. import _headers
from .._cloud_event import CloudEvent

_OURS = {
    _headers.MSG_ID: 'The uid: JetStream stores a message of the same uid once.',
    _headers.TRACE: 'The trace id.',
    _headers.DELAY: 'When it is handled, not before: seconds since the epoch, a decimal number.',
    _headers.REPLY: 'The subject that waits for a response, if anybody does.',
    'traceparent': 'The W3C trace context of the emitter.',
    'tracestate': 'The W3C trace state that goes with traceparent.',
}


def message_headers() -> dict[str, Any]:
    """Describe the headers that a message may have. None of them is required."""
    attributes = {
        f'ce-{field.name}': f"The attribute '{field.name}' of a CloudEvent, percent-encoded."
        for field in fields(CloudEvent)
    }
    described = _describe_texts({**_OURS, **attributes})
    return {'$ref': '#/$defs/message-headers', '$defs': {'message-headers': described}}


def failure_headers() -> dict[str, Any]:
    """Describe the headers of a response that says that there is none."""
    described = _describe_texts({_headers.ERROR: 'Why the actor gave up on the message.'})
    return {**described, 'required': [_headers.ERROR]}


def _describe_texts(texts: dict[str, str]) -> dict[str, Any]:
    properties = {name: {'type': 'string', 'description': text} for name, text in texts.items()}
    return {'type': 'object', 'properties': properties}
