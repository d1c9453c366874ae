"""The registries: what they hold, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings as run_with, strategies as st

from walnats import Actor, Actors, DeadLetters, Event, Events
from walnats.errors import DeclarationTypeError, RegistryError

# A busy machine is no failure.
unhurried = run_with(deadline=None)


def event(name: str = 'created') -> Event[str]:
    return Event(name, str)


async def handle(message: str) -> None:
    pass


def actor(name: str = 'a', of: Event[str] | None = None) -> Actor[str, Any]:
    return Actor(name, of or event(), handle)


# --- Events ------------------------------------------------------------------


def test_events() -> None:
    one, two = event('one'), event('two.three')
    events = Events(one, two)
    assert list(events) == [one, two]
    assert len(events) == 2
    assert events.get('one') is one
    assert events.get('two.three') is two
    assert events.get('two-three') is None
    assert repr(events) == 'Events(one, two.three)'


def test_no_events() -> None:
    with pytest.raises(RegistryError, match='no events'):
        Events()


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        (event('a'), event('a')),
        (event('a'), Event('a', int)),
        (event('a'), event('a').with_response(int)),
    ],
)
def test_event_that_is_there_twice(one: Any, other: Any) -> None:
    with pytest.raises(RegistryError, match="'a' is there twice") as caught:
        Events(event('b'), one, other)
    assert isinstance(caught.value, ValueError)


def test_the_same_object_twice() -> None:
    one = event('a')
    with pytest.raises(RegistryError, match="'a' is there twice"):
        Events(one, one)


@pytest.mark.parametrize(('one', 'other'), [('a.b', 'a-b'), ('a-b.c', 'a.b-c')])
def test_events_that_would_share_a_stream(one: str, other: str) -> None:
    stream = one.replace('.', '-')
    with pytest.raises(RegistryError, match=f"share the stream '{stream}'") as caught:
        Events(event(one), event(other))
    assert f"'{one}' and '{other}'" in str(caught.value)


@unhurried
@given(st.lists(st.from_regex(r'[ab]{1,2}([.-][ab]{1,2})?', fullmatch=True), min_size=1))
def test_streams_are_unique_or_the_registry_is_refused(names: list[str]) -> None:
    streams = [name.replace('.', '-') for name in names]
    if len(set(streams)) == len(streams):
        assert [each.name for each in Events(*map(event, names))] == names
    else:
        with pytest.raises(RegistryError):
            Events(*map(event, names))


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize('wrong', [None, 'created', [event()], Event, actor(), Unprintable()])
def test_what_is_no_event(wrong: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='is not an event') as caught:
        Events(event(), wrong)
    assert isinstance(caught.value, TypeError)


# --- Actors ------------------------------------------------------------------


def test_actors() -> None:
    one, two = actor('one'), actor('two')
    actors = Actors(one, two)
    assert list(actors) == [one, two]
    assert len(actors) == 2
    assert actors.get('one') is one
    assert actors.get('three') is None
    assert repr(actors) == 'Actors(one, two)'


def test_one_name_on_two_events() -> None:
    first, second = actor('a', event('one')), actor('a', event('two'))
    actors = Actors(first, second)
    assert len(actors) == 2
    assert actors.get('a') is first


def test_no_actors() -> None:
    with pytest.raises(RegistryError, match='no actors'):
        Actors()


def test_two_actors_of_one_name() -> None:
    with pytest.raises(RegistryError, match="'created' has two actors of the name 'a'"):
        Actors(actor('b'), actor('a'), actor('a'))


def test_the_same_actor_twice() -> None:
    one = actor()
    with pytest.raises(RegistryError, match='two actors'):
        Actors(one, one)


def test_actors_whose_events_would_share_a_stream() -> None:
    with pytest.raises(RegistryError, match=r"'a\.b' and 'a-b' would share the stream 'a-b'"):
        Actors(actor('one', event('a.b')), actor('two', event('a-b')))


def test_actors_of_an_event_with_and_without_response() -> None:
    plain = event('a')
    answering = Actor('two', plain.with_response(str), str.upper)
    assert len(Actors(actor('one', plain), answering)) == 2


@pytest.mark.parametrize('wrong', [None, 'a', [actor()], Actor, event(), Unprintable()])
def test_what_is_no_actor(wrong: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='is not an actor'):
        Actors(actor(), wrong)


@pytest.mark.parametrize('wrong', [True, 'yes', DeadLetters, 30])
def test_what_are_no_dead_letters(wrong: Any) -> None:
    with pytest.raises(DeclarationTypeError, match='dead_letters must be'):
        Actors(actor(), dead_letters=wrong)


def test_no_dead_letters() -> None:
    Actors(actor(), dead_letters=None)
