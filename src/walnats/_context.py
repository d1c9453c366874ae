"""What an emit inside a job inherits from the message of that job."""

from __future__ import annotations

from contextvars import ContextVar

CURRENT_HEADERS: ContextVar[dict[str, str] | None] = ContextVar(
    'walnats_current_headers', default=None
)
"""The headers of the message that is being handled, None outside of jobs."""
