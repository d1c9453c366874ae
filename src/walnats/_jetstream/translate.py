"""Errors of nats-py turned into those of walnats."""

from __future__ import annotations

import nats.errors

from ..errors import (
    ConnectError,
    ConnectionClosedError,
    MaxPayloadError,
    OutboundBufferLimitError,
    WalnatsError,
)

_CLOSED = (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError)


def translated(error: Exception, subject: str) -> WalnatsError:
    """Give the error of walnats for one that nats-py raised while it was sending."""
    if isinstance(error, _CLOSED):
        return ConnectionClosedError(
            f"can't send to '{subject}': the connection to NATS is closed; connect again"
        )
    if isinstance(error, nats.errors.OutboundBufferLimitError):
        return OutboundBufferLimitError(
            f"can't send to '{subject}': the connection to NATS is lost and the pending queue "
            'has no room for the message; try again later, or raise `pending_size`'
        )
    if isinstance(error, nats.errors.MaxPayloadError):
        return MaxPayloadError(f"can't send to '{subject}': the payload is too big for the server")
    return ConnectError(f"can't send to '{subject}': {error}")
