"""AsyncAPI documents: valid by the official schema, and saying what is the case."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from walnats import Actor, Actors, CloudEvent, Event, Events, Limits, Retention, Services, Storage
from walnats.errors import DeclarationError, DeclarationTypeError
from walnats.serializers import GZipSerializer, MessagePackSerializer, Serializer

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[dict[str, Any]], None]


@dataclass
class Address:
    street: str


@dataclass
class User:
    name: str
    address: Address | None = None


def handle(message: object) -> None:
    pass


async def answer(message: str) -> User:
    return User(message)


CREATED = Event(
    'user-created',
    User,
    description='Somebody signed up.',
    limits=Limits(age=60),
    storage=Storage(retention=Retention.LIMITS),
)
MOVED = Event('user.moved', list[User])
WHO = Event('who', str).with_response(User)
WELCOME = Actor('welcome', CREATED, handle, 'Sends an email.', max_attempts=3, retry_delay=[1, 5])
SERVICES = (
    Services()
    .add('users', version='1.2.0', emits=Events(CREATED, MOVED))
    .add('emails', emits=Events(WHO), defines=Actors(WELCOME, Actor('tell', MOVED, handle)))
    .add('search', defines=Actors(Actor('find', WHO, answer)))
)
DOCUMENT = SERVICES.get_async_api()


def look_up(document: dict[str, Any], reference: dict[str, str]) -> Any:
    found: Any = document
    for step in reference['$ref'].removeprefix('#/').split('/'):
        found = found[step]
    return look_up(document, found) if '$ref' in found else found


def find_references(value: Any) -> list[dict[str, str]]:
    if isinstance(value, list):
        return [found for part in value for found in find_references(part)]
    if not isinstance(value, dict):
        return []
    here = [value] if '$ref' in value else []
    return here + [found for part in value.values() for found in find_references(part)]


def describe(*events: Event[Any]) -> dict[str, Any]:
    return Services().add('s', emits=Events(*events)).get_async_api()


# --- The whole ---------------------------------------------------------------


def test_the_system_is_one_valid_document(check_document: Check) -> None:
    check_document(DOCUMENT)
    assert DOCUMENT['asyncapi'] == '3.1.0'
    assert DOCUMENT['info'] == {
        'title': 'Services',
        'version': '0.0.0',
        'tags': [
            {'name': 'users', 'description': 'Version 1.2.0'},
            {'name': 'emails', 'description': 'Version 0.0.0'},
            {'name': 'search', 'description': 'Version 0.0.0'},
        ],
    }


def test_the_document_may_have_a_title(check_document: Check) -> None:
    document = SERVICES.get_async_api(title='Shop', version='7')
    check_document(document)
    assert (document['info']['title'], document['info']['version']) == ('Shop', '7')


@pytest.mark.parametrize('argument', ['title', 'version'])
def test_a_title_or_version_of_a_wrong_type_is_refused(argument: str) -> None:
    wrong: dict[str, Any] = {argument: 1.0}
    with pytest.raises(DeclarationTypeError, match=f'{argument} must be a string, not float'):
        SERVICES.get_async_api(**wrong)


def test_each_service_has_a_valid_document(check_document: Check) -> None:
    documents = SERVICES.get_async_apis()
    for document in documents:
        check_document(document)
    assert [document['info'] for document in documents] == [
        {'title': 'users', 'version': '1.2.0'},
        {'title': 'emails', 'version': '0.0.0'},
        {'title': 'search', 'version': '0.0.0'},
    ]
    assert [list(document['operations']) for document in documents] == [
        ['users.send.user-created', 'users.send.user.moved'],
        [
            'emails.send.who',
            'emails.receive.user-created.welcome',
            'emails.receive.user.moved.tell',
        ],
        ['search.receive.who.find'],
    ]
    assert list(documents[2]['channels']) == ['who', 'who.response']


def test_a_service_without_anything_is_valid(check_document: Check) -> None:
    check_document(Services().add('idle').get_async_api())


def test_every_reference_leads_somewhere() -> None:
    for document in (DOCUMENT, *SERVICES.get_async_apis()):
        references = find_references(document)
        assert len(references) > 10
        assert all(look_up(document, reference) for reference in references)


def test_it_is_the_same_each_time() -> None:
    assert SERVICES.get_async_api() == DOCUMENT


# --- Channels and operations -------------------------------------------------


def test_channels() -> None:
    assert DOCUMENT['channels']['user-created'] == {
        'address': 'user-created',
        'description': 'Somebody signed up.',
        'messages': {'user-created': {'$ref': '#/components/messages/user-created'}},
        'x-walnats': {'stream': 'user-created', 'retention': 'limits', 'limits': {'age': 60}},
    }
    assert DOCUMENT['channels']['user.moved']['x-walnats'] == {
        'stream': 'user-moved',
        'retention': 'interest',
        'limits': {},
    }


def test_what_a_service_emits() -> None:
    assert DOCUMENT['operations']['users.send.user-created'] == {
        'action': 'send',
        'title': 'user-created',
        'tags': [{'name': 'users'}],
        'channel': {'$ref': '#/channels/user-created'},
        'messages': [{'$ref': '#/channels/user-created/messages/user-created'}],
    }


def test_what_a_service_handles() -> None:
    assert DOCUMENT['operations']['emails.receive.user-created.welcome'] == {
        'action': 'receive',
        'title': 'welcome',
        'description': 'Sends an email.',
        'tags': [{'name': 'emails'}],
        'channel': {'$ref': '#/channels/user-created'},
        'messages': [{'$ref': '#/channels/user-created/messages/user-created'}],
        'bindings': {'nats': {'queue': 'welcome', 'bindingVersion': '0.1.0'}},
        'x-walnats': {
            'consumer': 'welcome',
            'max_attempts': 3,
            'job_timeout': 32,
            'retry_delay': [1, 5],
        },
    }


def test_a_retry_delay_that_is_a_function_is_left_out() -> None:
    actor = Actor('a', CREATED, handle, retry_delay=lambda attempt, exc: attempt)
    document = Services().add('s', defines=Actors(actor)).get_async_api()
    assert 'retry_delay' not in document['operations']['s.receive.user-created.a']['x-walnats']


@pytest.mark.parametrize('operation', ['emails.send.who', 'search.receive.who.find'])
def test_replies(operation: str) -> None:
    reply = DOCUMENT['operations'][operation]['reply']
    assert reply['address'] == {'location': '$message.header#/Walnats-Reply'}
    assert look_up(DOCUMENT, reply['channel'])['address'] is None
    response, failure = (look_up(DOCUMENT, each) for each in reply['messages'])
    assert response['name'] == 'who.response'
    assert response['payload'] == {'$ref': '#/components/schemas/User'}
    assert failure['headers']['required'] == ['Walnats-Error']
    assert 'payload' not in failure


def test_an_event_without_response_has_no_reply() -> None:
    assert 'reply' not in DOCUMENT['operations']['users.send.user.moved']


def test_names_that_are_no_keys(check_document: Check) -> None:
    document = describe(Event('a+b', str), Event('a,b', int), Event('a_b', float))
    check_document(document)
    channels = document['channels']
    assert {key: channel['address'] for key, channel in channels.items()} == {
        'a_b': 'a+b',
        'a_b-2': 'a,b',
        'a_b-3': 'a_b',
    }
    assert len(document['operations']) == 3
    for channel in channels.values():
        (message,) = channel['messages'].values()
        assert look_up(document, message)['name'] == channel['address']


def test_an_event_that_is_called_as_the_response_of_another() -> None:
    ask = Event('a', str).with_response(str)
    actors = Actors(Actor('x', ask, answer), Actor('y', Event('a.response', int), handle))
    document = Services().add('s', defines=actors).get_async_api()
    addresses = [channel['address'] for channel in document['channels'].values()]
    assert addresses == ['a', None, 'a.response']


# --- Messages ----------------------------------------------------------------


def test_messages() -> None:
    assert DOCUMENT['components']['messages']['user-created'] == {
        'name': 'user-created',
        'description': 'Somebody signed up.',
        'headers': {'$ref': '#/components/schemas/message-headers'},
        'correlationId': {'$ref': '#/components/correlationIds/trace'},
        'title': 'User',
        'contentType': 'application/json',
        'payload': {'$ref': '#/components/schemas/User'},
    }


def test_headers() -> None:
    described = DOCUMENT['components']['schemas']['message-headers']
    names = {'Nats-Msg-Id', 'Walnats-Trace', 'Walnats-Delay', 'Walnats-Reply'}
    names |= {'traceparent', 'tracestate', *(f'ce-{field.name}' for field in fields(CloudEvent))}
    assert described['properties'].keys() == names
    assert 'required' not in described
    meta = CloudEvent(id='1', source='/a', type='b')
    assert meta.as_headers().keys() < names


def test_services_that_agree_share_a_message() -> None:
    services = Services().add('a', defines=Actors(Actor('x', Event('e', User), handle)))
    services.add('b', emits=Events(Event('e', User, description='The first one.')))
    services.add('c', emits=Events(Event('e', User, description='Another one.')))
    document = services.get_async_api()
    assert document['components']['messages'].keys() == {'e'}
    assert document['components']['messages']['e']['description'] == 'The first one.'
    assert document['channels']['e']['description'] == 'The first one.'


def test_services_that_disagree_have_a_message_each(check_document: Check) -> None:
    services = Services().add('a', emits=Events(Event('e', User)))
    services.add('b', defines=Actors(Actor('x', Event('e', list[User]), handle)))
    packed = Event('e', User, MessagePackSerializer(User))
    services.add('c', defines=Actors(Actor('y', packed, handle)))
    document = services.get_async_api()
    check_document(document)
    (sent,) = document['operations']['a.send.e']['messages']
    (received,) = document['operations']['b.receive.e.x']['messages']
    assert sent == {'$ref': '#/channels/e/messages/e'}
    assert received == {'$ref': '#/channels/e/messages/e-2'}
    assert document['components']['messages']['e-2']['title'] == 'list[User]'
    assert document['components']['messages']['e-3']['contentType'] == 'application/vnd.msgpack'


# --- Payloads ----------------------------------------------------------------


def test_schemas_are_shared() -> None:
    schemas = DOCUMENT['components']['schemas']
    assert schemas.keys() == {'message-headers', 'User', 'Address'}
    assert schemas['User']['required'] == ['name']
    payload = DOCUMENT['components']['messages']['user.moved']['payload']
    assert payload == {'type': 'array', 'items': {'$ref': '#/components/schemas/User'}}


def make_order(field: str, of: Any = str) -> Any:
    return msgspec.defstruct('Order', [(field, of)])


def test_classes_of_the_same_name_stay_apart(check_document: Check) -> None:
    document = describe(
        Event('a', make_order('x')), Event('b', make_order('y')), Event('c', make_order('x'))
    )
    check_document(document)
    messages, schemas = document['components']['messages'], document['components']['schemas']
    assert {key: message['payload']['$ref'] for key, message in messages.items()} == {
        'a': '#/components/schemas/Order',
        'b': '#/components/schemas/Order-2',
        'c': '#/components/schemas/Order',
    }
    assert list(schemas['Order']['properties']) == ['x']
    assert list(schemas['Order-2']['properties']) == ['y']


def test_classes_that_differ_only_in_what_they_hold_stay_apart() -> None:
    outer = [msgspec.defstruct('Outer', [('order', make_order(name))]) for name in 'xy']
    schemas = describe(Event('a', outer[0]), Event('b', outer[1]))['components']['schemas']
    assert [schemas[name]['properties']['order'] for name in ('Outer', 'Outer-2')] == [
        {'$ref': '#/components/schemas/Order'},
        {'$ref': '#/components/schemas/Order-2'},
    ]


def test_wrapped_payloads_say_what_is_inside(check_document: Check) -> None:
    inner = GZipSerializer(User, MessagePackSerializer(User))
    document = describe(Event('e', User, GZipSerializer(User, inner)))
    check_document(document)
    message = document['components']['messages']['e']
    assert message['contentType'] == 'application/gzip'
    assert message['payload'] == {
        'type': 'string',
        'format': 'binary',
        'description': 'Compressed with gzip.',
        'contentMediaType': 'application/gzip',
        'contentSchema': {
            'type': 'string',
            'format': 'binary',
            'description': 'Compressed with gzip.',
            'contentMediaType': 'application/vnd.msgpack',
            'contentSchema': {'$ref': '#/components/schemas/User'},
        },
    }
    assert document['components']['schemas']['User']['title'] == 'User'


class Custom(Serializer[str]):
    def __init__(self, described: Any) -> None:
        self.described = described

    def encode(self, message: str) -> bytes:
        return message.encode()

    def decode(self, data: bytes) -> str:
        return data.decode()

    def json_schema(self) -> Any:
        return self.described


def describe_custom(described: Any) -> dict[str, Any]:
    return describe(Event('e', str, Custom(described)))


def test_a_serializer_that_describes_nothing(check_document: Check) -> None:
    document = describe_custom(None)
    check_document(document)
    message = document['components']['messages']['e']
    assert message['contentType'] == 'application/octet-stream'
    assert message['payload'] == {'description': 'What Custom writes: there is no JSON Schema.'}


def test_a_serializer_that_describes_itself(check_document: Check) -> None:
    described = {
        'oneOf': [{'$ref': '#/$defs/Odd name'}],
        '$defs': {'Odd name': {'type': 'string'}},
    }
    document = describe_custom(described)
    check_document(document)
    assert document['components']['messages']['e']['payload'] == {
        'oneOf': [{'$ref': '#/components/schemas/Odd_name'}]
    }


@pytest.mark.parametrize('reference', ['#/$defs/Missing', '#/definitions/Missing', '#'])
def test_a_schema_that_refers_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(DeclarationError, match="event 'e': Custom: the JSON Schema refers to"):
        describe_custom({'items': {'$ref': reference}})


def test_a_serializer_that_describes_itself_wrongly_is_refused() -> None:
    with pytest.raises(DeclarationTypeError, match=r"'e': Custom\.json_schema must give a dict"):
        describe_custom([])
    custom: Any = Custom(None)
    custom.content_type = None
    with pytest.raises(DeclarationTypeError, match=r"'e': Custom\.content_type must be a string"):
        describe(Event('e', str, custom))
