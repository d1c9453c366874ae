"""Event-driven services and background jobs on NATS JetStream.

A service declares typed events and emits them; other services declare actors, handlers of an
event, and run them.

Importing it is quick: a module is imported when the first of its names is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import decorators, errors, middlewares, serializers, types
    from ._actor import Actor, DeadLetters, ExecuteIn, Priority, Start
    from ._clock import Clock
    from ._cloud_event import CloudEvent
    from ._event import Discard, Event, Limits, Medium, Retention, Storage
    from ._registry import Actors, Events
    from .errors import (
        AuthorizationError,
        ConnectError,
        ConnectionClosedError,
        ConsumerConfigError,
        ConsumerNotFoundError,
        DeadLetterNotFoundError,
        DeclarationError,
        DeclarationTypeError,
        DecodeError,
        EmitManyError,
        EncodeError,
        FailedMessage,
        GiveUp,
        HeaderError,
        HeaderTypeError,
        InvalidNameError,
        JetStreamDisabledError,
        JetStreamError,
        JetStreamTimeoutError,
        MaxPayloadError,
        NotConfirmedError,
        NotRegisteredError,
        OutboundBufferLimitError,
        PermissionDeniedError,
        RegistryError,
        ReplayError,
        RequestFailedError,
        RequestTimeoutError,
        Retry,
        SerializerNotFoundError,
        ServerStartError,
        StreamConfigError,
        StreamExistsError,
        StreamFullError,
        StreamNotFoundError,
        WalnatsError,
    )
    from .server import EmbeddedServer
    from .services import Services

__version__ = '2.0.0'

__all__ = [
    'Actor',
    'Actors',
    'AuthorizationError',
    'Clock',
    'CloudEvent',
    'ConnectError',
    'ConnectionClosedError',
    'ConsumerConfigError',
    'ConsumerNotFoundError',
    'DeadLetterNotFoundError',
    'DeadLetters',
    'DeclarationError',
    'DeclarationTypeError',
    'DecodeError',
    'Discard',
    'EmbeddedServer',
    'EmitManyError',
    'EncodeError',
    'Event',
    'Events',
    'ExecuteIn',
    'FailedMessage',
    'GiveUp',
    'HeaderError',
    'HeaderTypeError',
    'InvalidNameError',
    'JetStreamDisabledError',
    'JetStreamError',
    'JetStreamTimeoutError',
    'Limits',
    'MaxPayloadError',
    'Medium',
    'NotConfirmedError',
    'NotRegisteredError',
    'OutboundBufferLimitError',
    'PermissionDeniedError',
    'Priority',
    'RegistryError',
    'ReplayError',
    'RequestFailedError',
    'RequestTimeoutError',
    'Retention',
    'Retry',
    'SerializerNotFoundError',
    'ServerStartError',
    'Services',
    'Start',
    'Storage',
    'StreamConfigError',
    'StreamExistsError',
    'StreamFullError',
    'StreamNotFoundError',
    'WalnatsError',
    'decorators',
    'errors',
    'middlewares',
    'serializers',
    'types',
]

_MODULES = ('decorators', 'errors', 'middlewares', 'serializers', 'types')
_PLACES = {
    'Actor': '_actor',
    'DeadLetters': '_actor',
    'ExecuteIn': '_actor',
    'Priority': '_actor',
    'Start': '_actor',
    'Clock': '_clock',
    'CloudEvent': '_cloud_event',
    'Discard': '_event',
    'Event': '_event',
    'Limits': '_event',
    'Medium': '_event',
    'Retention': '_event',
    'Storage': '_event',
    'Actors': '_registry',
    'Events': '_registry',
    'EmbeddedServer': 'server',
    'Services': 'services',
}
"""Where the names are that are neither modules nor in `errors`."""

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        """Import what is asked for the first time."""
        if name in _MODULES:
            return import_module(f'{__name__}.{name}')
        if name not in __all__:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        module = import_module(f'{__name__}.{_PLACES.get(name, "errors")}')
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
