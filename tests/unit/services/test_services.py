"""What a system is made of, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import walnats
from walnats import Actor, Actors, Event, Events, Services
from walnats.errors import (
    DeclarationError,
    DeclarationTypeError,
    InvalidNameError,
    RegistryError,
)

CREATED = Event('user-created', str)


def handle(message: str) -> None:
    pass


def test_add_gives_the_services_back() -> None:
    services = Services()
    assert services.add('users', emits=Events(CREATED)) is services
    assert repr(services.add('emails')) == 'Services(users, emails)'


@pytest.mark.parametrize('name', ['', 'a b', 'ä', 'a\n', ' ', 'x' * 256], ids=ascii)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match='service name'):
        Services().add(name)


@pytest.mark.parametrize(
    ('arguments', 'problem'),
    [
        ({'name': 5}, 'service name must be a string, not int: 5'),
        ({'version': 1.2}, r"service 'users': version must be a string, .* 1\.2 \(float\)"),
        ({'emits': CREATED}, "service 'users': emits must be an instance of Events, such as"),
        ({'emits': Actors(Actor('a', CREATED, handle))}, 'emits must be an instance of Events'),
        ({'defines': Events(CREATED)}, "service 'users': defines must be an instance of Actors"),
        ({'defines': []}, 'defines must be an instance of Actors'),
    ],
)
def test_a_wrong_type_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeclarationTypeError, match=problem):
        Services().add(**{'name': 'users', **arguments})


def test_an_empty_version_is_refused() -> None:
    with pytest.raises(DeclarationError, match="service 'users': version must not be empty"):
        Services().add('users', version='')


def test_two_of_the_same_name_are_refused() -> None:
    services = Services().add('users')
    with pytest.raises(RegistryError, match="service 'users' is there already"):
        services.add('users')


def test_events_that_would_share_a_stream_are_refused() -> None:
    services = Services().add('users', emits=Events(Event('user.created', str)))
    actors = Actors(Actor('a', CREATED, handle))
    with pytest.raises(RegistryError, match=r"stream 'user-created' with 'user\.created'"):
        services.add('emails', defines=actors)
    assert repr(services) == 'Services(users)'


def test_the_same_event_in_several_services_is_fine() -> None:
    Services().add('users', emits=Events(CREATED)).add('admin', emits=Events(CREATED))


@pytest.mark.parametrize('method', ['get_async_api', 'get_async_apis', 'get_d2', 'get_mermaid'])
def test_nothing_to_describe_is_refused(method: str) -> None:
    with pytest.raises(RegistryError, match='there are no services, call `add` first'):
        getattr(Services(), method)()


@pytest.mark.parametrize('method', ['get_d2', 'get_mermaid'])
@pytest.mark.parametrize('direction', ['LR', '', None, 5, ['right']], ids=repr)
def test_an_unknown_direction_is_refused(method: str, direction: Any) -> None:
    with pytest.raises(DeclarationError, match="direction must be one of 'right', 'left'"):
        getattr(Services().add('users'), method)(direction)


def test_it_is_at_the_top() -> None:
    assert 'Services' in walnats.__all__
