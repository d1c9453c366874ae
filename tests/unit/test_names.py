from __future__ import annotations

import re
from enum import Enum

import pytest
from hypothesis import example, given, strategies as st

from walnats import Actor, Event
from walnats._names import (
    actor_subject,
    consumer_subjects,
    dead_subject,
    stream_name,
    stream_subjects,
)
from walnats.errors import DeclarationTypeError, InvalidNameError

PRINTABLE = ''.join(map(chr, range(0x21, 0x7F)))
BAD_NAMES = [
    ('', 'must not be empty'),
    ('a' * 256, 'at most 255 characters long, it has 256'),
    ('a b', "no white space, it has ' '"),
    (' a', 'no white space'),
    ('a\n', 'no white space'),
    ('a\tb', 'no white space'),
    ('a\u00a0b', 'no white space'),
    ('a\u2028b', 'no white space'),
    ('a*', 'NATS wildcard'),
    ('a.*.b', 'NATS wildcard'),
    ('>', 'NATS wildcard'),
    ('a.>', 'NATS wildcard'),
    ('a/b', "a file store can't hold it"),
    ('a\\b', "a file store can't hold it"),
    ('..', 'no empty part'),
    ('a..b', 'no empty part'),
    ('.a', 'no empty part'),
    ('a.', 'no empty part'),
    ('.', 'no empty part'),
    ('$SYS', "must not start with '$'"),
    ('$', "must not start with '$'"),
    ('_INBOX', "must not start with '_INBOX'"),
    ('_INBOX.a', "must not start with '_INBOX'"),
    ('_INBOXES', "must not start with '_INBOX'"),
    ('walnats', "must not be 'walnats'"),
    ('walnats.a', "start with 'walnats.'"),
    ('a\x00', 'printable ASCII'),
    ('a\x7f', 'printable ASCII'),
    ('größe', "printable ASCII, it has 'ö'"),
    ('a\u200bb', 'printable ASCII'),
    ('a\ud800', 'printable ASCII'),
    ('👍', 'printable ASCII'),
]
GOOD_NAMES = [
    'a',
    '0',
    '-',
    'user-created',
    'UserCreated',
    'user_created',
    'a$b',
    '_inbox',
    'a._INBOX',
    'walnatsy',
    'my-walnats',
    'a!"#%&\'()+,:;<=?@[]^`{|}~',
    'a' * 255,
]


class Names(str, Enum):  # noqa: UP042 -- the older way, whose members format as something else
    CREATED = 'user-created'


def handle(message: int) -> None:
    """Do nothing with it."""


def declare_actor(name: str) -> Actor[int, object]:
    return Actor(name, Event('counted', int), handle)


@pytest.mark.parametrize(('name', 'rule'), [*BAD_NAMES, ('walnats-a', "'walnats-'")])
def test_bad_event_name(name: str, rule: str) -> None:
    with pytest.raises(InvalidNameError, match=re.escape(rule)) as caught:
        Event(name, int)
    assert isinstance(caught.value, ValueError)
    assert repr(name)[:60] in str(caught.value)


@pytest.mark.parametrize(('name', 'rule'), [*BAD_NAMES, ('a.b', 'must have no dots')])
def test_bad_actor_name(name: str, rule: str) -> None:
    with pytest.raises(InvalidNameError, match=re.escape(rule)) as caught:
        declare_actor(name)
    assert isinstance(caught.value, ValueError)
    assert repr(name)[:60] in str(caught.value)


@pytest.mark.parametrize('name', ['walnats-', 'walnats-dead', 'walnats-dead.a'])
def test_event_whose_stream_would_have_a_reserved_name(name: str) -> None:
    with pytest.raises(InvalidNameError, match="stream names that start with 'walnats-'"):
        Event(name, int)


@pytest.mark.parametrize('name', [None, 1, b'a', ['a'], pytest.param(10**5000, id='huge')])
def test_name_of_another_type(name: object) -> None:
    kind = type(name).__name__
    with pytest.raises(DeclarationTypeError, match=f'event name must be a string, not {kind}'):
        Event(name, int)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
    with pytest.raises(DeclarationTypeError, match=f'actor name must be a string, not {kind}'):
        declare_actor(name)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose


@pytest.mark.parametrize('name', [*GOOD_NAMES, 'a.b', 'a-b.c_d', 'a.walnats', 'a.$b'])
def test_good_event_name(name: str) -> None:
    event = Event(name, int)
    assert event.name == event.subject_name == name
    assert event.stream_name == name.replace('.', '-')


@pytest.mark.parametrize('name', [*(n for n in GOOD_NAMES if '.' not in n), 'walnats-a'])
def test_good_actor_name(name: str) -> None:
    actor = declare_actor(name)
    assert actor.name == actor.consumer_name == name


def test_member_of_an_enum_of_strings_becomes_a_plain_string() -> None:
    assert type(Event(Names.CREATED, int).name) is str
    assert type(declare_actor(Names.CREATED).name) is str
    assert f'{Event(Names.CREATED, int).name}' == 'user-created'


@given(st.text() | st.text(PRINTABLE) | st.text('walnts-_INBOX$.'))
@example('walnats-')
@example('walnats.a')
def test_any_text_is_an_event_name_exactly_if_all_rules_say_so(name: str) -> None:
    allowed = (
        re.fullmatch(r'[!-)+-.0-=?-\[\]-~]{1,255}', name) is not None
        and all(name.split('.'))
        and re.match(r'\$|_INBOX|walnats(\.|$)', name) is None
        and re.match(r'walnats-', name) is None
    )
    try:
        Event(name, int)
    except InvalidNameError:
        assert not allowed
    else:
        assert allowed


@given(st.text() | st.text(PRINTABLE))
def test_a_bad_name_is_always_the_same_kind_of_error(name: str) -> None:
    try:
        declare_actor(name)
    except InvalidNameError as error:
        assert str(error).startswith('actor name ')


def test_names_on_the_wire() -> None:
    assert stream_name('a.b-c') == 'a-b-c'
    assert actor_subject('a-b', 'send') == 'walnats.to.a-b.send'
    assert stream_subjects('a.b') == ['a.b', 'walnats.to.a-b.*']
    assert consumer_subjects('a.b', 'send') == ['a.b', 'walnats.to.a-b.send']
    assert dead_subject('a-b', 'send', '1-2') == 'walnats.dead.a-b.send.1-2'
