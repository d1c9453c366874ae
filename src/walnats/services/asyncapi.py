"""AsyncAPI 3.1.0 documents, https://www.asyncapi.com."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .. import _headers
from .._event import EventWithResponse
from ..errors import DeclarationTypeError
from ..serializers import get_serializer
from . import headers
from ._service import schema_name
from .schemas import Keys, Schemas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._actor import Actor
    from .._event import BaseEvent
    from ..serializers import Serializer
    from ._service import Service


def describe_system(services: Sequence[Service], title: str, version: str) -> dict[str, Any]:
    """Describe all the services in one document."""
    tags = [
        {'name': service.name, 'description': f'Version {service.version}'} for service in services
    ]
    return _describe(services, {'title': title, 'version': version, 'tags': tags})


def describe_service(service: Service) -> dict[str, Any]:
    """Describe one service in a document of its own."""
    return _describe([service], {'title': service.name, 'version': service.version})


def _describe(services: Sequence[Service], info: dict[str, Any]) -> dict[str, Any]:
    document = _Document()
    for service in services:
        for event in service.emits or ():
            document.add_event(service.name, event)
        for actor in service.defines or ():
            document.add_actor(service.name, actor)
    return {'asyncapi': '3.1.0', 'info': info, **document.parts()}


class _Document:
    """The parts of a document that grow with each event and actor."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, Any]] = {}
        self._channel_keys = Keys()
        self._operations: dict[str, dict[str, Any]] = {}
        self._operation_keys = Keys()
        self._messages: dict[str, dict[str, Any]] = {}
        self._message_keys = Keys()
        self._schemas = Schemas()

    def parts(self) -> dict[str, Any]:
        return {
            'defaultContentType': 'application/json',
            'channels': self._channels,
            'operations': self._operations,
            'components': {
                'messages': self._messages,
                'schemas': self._schemas.components,
                'correlationIds': {
                    'trace': {
                        'description': 'The trace id, the same in all that follows of a message.',
                        'location': f'$message.header#/{_headers.TRACE}',
                    }
                },
            },
        }

    def add_event(self, service: str, event: BaseEvent[Any, Any]) -> None:
        """Add that the service emits the event."""
        self._add_operation(
            f'{service}.send.{event.name}',
            {
                'action': 'send',
                'title': event.name,
                'tags': [{'name': service}],
                **self._describe_traffic(event),
            },
        )

    def add_actor(self, service: str, actor: Actor[Any, Any]) -> None:
        """Add that the service has the actor."""
        self._add_operation(
            f'{service}.receive.{actor.event.name}.{actor.name}',
            {
                'action': 'receive',
                'title': actor.name,
                **_describe_text(actor.description),
                'tags': [{'name': service}],
                **self._describe_traffic(actor.event),
                # The workers of an actor share its messages.
                'bindings': {'nats': {'queue': actor.consumer_name, 'bindingVersion': '0.1.0'}},
                'x-walnats': _describe_jobs(actor),
            },
        )

    def _describe_traffic(self, event: BaseEvent[Any, Any]) -> dict[str, Any]:
        channel = self._channel_keys.get(event.name, event.name)
        # Who has declared it first is right, who has described it too is heard.
        self._channels[channel] = {**_describe_channel(event), **self._channels.get(channel, {})}
        message = self._add_message(channel, event.name, self._describe_message(event))
        traffic = {'channel': {'$ref': f'#/channels/{channel}'}, 'messages': [message]}
        if isinstance(event, EventWithResponse):
            return {**traffic, 'reply': self._describe_reply(event)}
        return traffic

    def _describe_reply(self, event: EventWithResponse[Any, Any]) -> dict[str, Any]:
        name = f'{event.name}.response'
        channel = self._channel_keys.get(name, f'the response to {event.name}')
        self._channels.setdefault(channel, {'address': None, 'messages': {}})
        messages = [
            self._add_message(channel, name, self._describe_response(event)),
            self._add_message(channel, 'request-failed', _describe_failure()),
        ]
        return {
            'address': {'location': f'$message.header#/{_headers.REPLY}'},
            'channel': {'$ref': f'#/channels/{channel}'},
            'messages': messages,
        }

    def _describe_message(self, event: BaseEvent[Any, Any]) -> dict[str, Any]:
        return {
            'name': event.name,
            **_describe_text(event.description),
            'headers': self._schemas.add('headers', headers.message_headers()),
            'correlationId': {'$ref': '#/components/correlationIds/trace'},
            **self._describe_payload(event.name, event.schema, event.serializer),
        }

    def _describe_response(self, event: EventWithResponse[Any, Any]) -> dict[str, Any]:
        payload = self._describe_payload(
            event.name, event.response_schema, event.response_serializer
        )
        return {'name': f'{event.name}.response', **payload}

    def _describe_payload(
        self, event: str, schema: Any, serializer: Serializer[Any] | None
    ) -> dict[str, Any]:
        chosen = serializer or get_serializer(schema)
        owner = f'event {event!r}: {type(chosen).__name__}'
        return {
            'title': schema_name(schema),
            'contentType': _read_content_type(owner, chosen),
            'payload': self._schemas.add(owner, _read_json_schema(owner, chosen)),
        }

    def _add_message(self, channel: str, name: str, message: dict[str, Any]) -> dict[str, str]:
        """Add the message to the document and to the channel, and give a reference to it.

        Services may disagree on what the messages of an event are: then it has several.
        """
        contract = [message.get('contentType'), message.get('payload')]
        key = self._message_keys.get(name, json.dumps(contract, sort_keys=True, default=repr))
        self._messages[key] = {**message, **self._messages.get(key, {})}
        self._channels[channel]['messages'][key] = {'$ref': f'#/components/messages/{key}'}
        return {'$ref': f'#/channels/{channel}/messages/{key}'}

    def _add_operation(self, name: str, operation: dict[str, Any]) -> None:
        self._operations[self._operation_keys.get(name, repr(len(self._operations)))] = operation


def _describe_channel(event: BaseEvent[Any, Any]) -> dict[str, Any]:
    limits = {name: value for name, value in asdict(event.limits).items() if value is not None}
    return {
        'address': event.subject_name,
        **_describe_text(event.description),
        'messages': {},
        'x-walnats': {
            'stream': event.stream_name,
            'retention': event.storage.retention.value,
            'limits': limits,
        },
    }


def _describe_failure() -> dict[str, Any]:
    return {
        'name': 'request-failed',
        'description': 'The actor gave up on the message: there is no response.',
        'headers': headers.failure_headers(),
    }


def _describe_jobs(actor: Actor[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        'consumer': actor.consumer_name,
        'max_attempts': actor.max_attempts,
        'job_timeout': actor.job_timeout,
    }
    if not callable(actor.retry_delay):
        described['retry_delay'] = list(actor.retry_delay)
    return described


def _describe_text(text: str | None) -> dict[str, str]:
    return {'description': text} if text else {}


def _read_content_type(owner: str, serializer: Serializer[Any]) -> str:
    content_type: Any = serializer.content_type  # it may be anybody's
    if not isinstance(content_type, str):
        raise DeclarationTypeError(f'{owner}.content_type must be a string, not {content_type!r}')
    return content_type


def _read_json_schema(owner: str, serializer: Serializer[Any]) -> dict[str, Any]:
    described: Any = serializer.json_schema()  # as above
    if described is None:
        return {'description': f'What {type(serializer).__name__} writes: there is no JSON Schema.'}
    if not isinstance(described, dict):
        kind = type(described).__name__
        raise DeclarationTypeError(f'{owner}.json_schema must give a dict or None, not {kind}')
    return described
