"""What is known of a job: to the middlewares that observe it, and to an emit inside it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._headers import TRACE

if TYPE_CHECKING:
    from datetime import datetime

    from ._actor import Actor

CURRENT_HEADERS: ContextVar[dict[str, str] | None] = ContextVar(
    'walnats_current_headers', default=None
)
"""The headers of the message that is being handled, None outside of jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What JetStream tells about the delivery of a message."""

    stream: str
    """The stream that keeps the message."""
    consumer: str
    """The consumer that it was delivered to: the actor's."""
    seq_number: int
    """Its number in the stream, from 1."""
    num_delivered: int
    """How often it was delivered to the actor, this time included; held back ones count too."""
    timestamp: datetime
    """When the stream stored it; aware, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A job that is about to run, as middlewares see it."""

    actor: Actor[Any, Any]
    """The actor whose job it is."""
    message: Any
    """The decoded message."""
    metadata: Metadata
    """What is known of its delivery."""
    headers: dict[str, str] | None
    """Its headers, a copy; None if it has none at all."""
    attempts: int
    """The number of this attempt, from 1. Deliveries that were held back don't count."""

    @property
    def seq_number(self) -> int:
        """The number of the message in its stream, from 1."""
        return self.metadata.seq_number

    @property
    def trace_id(self) -> str | None:
        """The trace id that the message was emitted with, None without one."""
        return self.headers.get(TRACE) or None if self.headers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OkContext(Context):
    """A job that went well. The message is settled."""

    duration: float
    """Seconds that the handler took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorContext(Context):
    """A job that failed. The message is settled or handed back.

    If the message couldn't be decoded, :attr:`message` is None, and no start hook was called.
    """

    exception: BaseException
    """What the handler raised, or why the message couldn't be decoded.

    If the job was handed back because its worker stops, an asyncio.CancelledError.
    """
