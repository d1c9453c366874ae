"""What a worker does at the moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What a worker does at the moment, for health checks and gauges."""

    connected: bool
    """There is a connection to NATS right now."""
    listening: bool
    """Its actors are subscribed and ask for messages; not so once it shuts down."""
    jobs: int
    """How many jobs run."""
    held: int
    """How many messages it holds: those of the jobs, and those that wait for a slot."""
