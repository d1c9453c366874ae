"""The classes that a user meets but never creates."""

from ._context import Context, ErrorContext, Metadata, OkContext
from ._dead_letters import DeadLetter
from ._event import BaseEvent, EventWithResponse
from ._jetstream.options import ConnectOptions
from ._jetstream.settings import Change, Difference
from ._publisher.bulk import EmitSummary
from ._publisher.monitor import MonitorQueue
from ._publisher.publisher import ConnectedEvents
from ._worker.status import WorkerStatus
from ._worker.worker import ConnectedActors

__all__ = [
    'BaseEvent',
    'Change',
    'ConnectOptions',
    'ConnectedActors',
    'ConnectedEvents',
    'Context',
    'DeadLetter',
    'Difference',
    'EmitSummary',
    'ErrorContext',
    'EventWithResponse',
    'Metadata',
    'MonitorQueue',
    'OkContext',
    'WorkerStatus',
]
