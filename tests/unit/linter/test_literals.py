"""The codes for what is written out, and which calls they are for."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, strategies as st

from walnats import Actor, Event
from walnats._linter import Flake8Checker
from walnats.errors import InvalidNameError

LONG = 'a' * 65


def find(source: str) -> list[tuple[int, int, str]]:
    """Give line, column and code of what is found, but for WNS042."""
    found = Flake8Checker(ast.parse(source)).run()
    return [(line, column, text[:6]) for line, column, text, _ in found if text[:6] != 'WNS042']


def codes(source: str) -> list[str]:
    return [code for _, _, code in find(source)]


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ("''", 1),
        (repr(LONG), 2),
        ("'a b'", 3),
        ("'a\\tb'", 3),
        ("'a.b'", 3),
        ("'a*'", 3),
        ("'a>'", 3),
        ("'UserCreated'", 4),
        ("'user_created'", 4),
        ("'user--created'", 4),
        ("'-user'", 4),
        ("'user-'", 4),
        ("'a/b'", 4),
        ("'gr\u00f6\u00dfe'", 4),
        ("'user-' 'Created'", 4),
        ("'user-' + 'Created'", 4),
        ("r'User'", 4),
    ],
)
def test_name(name: str, code: int) -> None:
    expected = [(2, 6, f'WNS00{code}')]
    assert find(f'from walnats import Event\nEvent({name}, int)') == expected
    assert find(f'from walnats import Event\nEvent(schema=int, name={name})') == [
        (2, 23, f'WNS00{code}')
    ]
    assert find(f'from walnats import Actor\nActor({name}, E, f)') == [(2, 6, f'WNS02{code}')]


@pytest.mark.parametrize(
    'name', ["'user-created'", "'a'", "'3d-printed'", repr(LONG[:64]), "f'{x}'", "b''", 'None', 'x']
)
def test_good_name(name: str) -> None:
    assert find(f'from walnats import *\nEvent({name}, int)\nActor({name}, E, f)') == []


@pytest.mark.parametrize(
    ('description', 'code'),
    [("''", 5), ("' \\n'", 5), (repr('a' * 4097), 6), (repr('\u00e4' * 2049), 6)],
)
def test_description(description: str, code: int) -> None:
    source = f"""
from walnats import Actor, Event
Event('a', int, None, {description})
Event('b', int, description={description})
Actor('a', E, f, {description})
Actor('b', E, f, description={description})
"""
    assert codes(source) == [f'WNS00{code}'] * 2 + [f'WNS02{code}'] * 2


@pytest.mark.parametrize('description', ["'a'", 'None', repr('a' * 4096), 'f()'])
def test_good_description(description: str) -> None:
    source = f"from walnats import *\nEvent('a', int, None, {description})\n"
    assert find(source + f"Actor('a', E, f, {description})") == []


@pytest.mark.parametrize('limit', ['age', 'consumers', 'messages', 'bytes', 'message_size'])
@pytest.mark.parametrize('value', ['0', '-1', '-0.5', '1 - 1', '-(2 ** 3)', '- 60 * 60'])
def test_limit(limit: str, value: str) -> None:
    source = f'from walnats import Limits\nLimits({limit}={value})'
    assert codes(source) == ['WNS011']


def test_positional_limits() -> None:
    source = 'import walnats\nwalnats.Limits(0, -1, 0, -1, 0)'
    assert find(source) == [(2, column, 'WNS011') for column in (15, 18, 22, 25, 29)]


@pytest.mark.parametrize(
    'age', ['1e9', '1000000000', '3600 * 10**9', '60 * 1_000_000_000', '60 * 1000**3', '1e999']
)
def test_age_in_nanoseconds(age: str) -> None:
    assert codes(f'from walnats import Limits\nLimits({age})\nLimits(age={age})') == ['WNS012'] * 2
    assert codes(f'from walnats import Limits\nLimits(messages={age})') == []


@pytest.mark.parametrize('age', ['.1', '999_999_999', '30 * 24 * 60 * 60', 'None', 'False', "''"])
def test_good_age(age: str) -> None:
    assert find(f'from walnats import Limits\nLimits({age})') == []


@pytest.mark.parametrize(
    'value',
    [
        '9**9**9',
        '1024**64 * 1024**64 * 1.5',
        "'a' * 10**12",
        "'A' - 'B'",
        '(-2) ** .5',
        '1 / 0',
        '+'.join('1' * 900),
    ],
)
def test_what_is_too_much_to_calculate_is_left_alone(value: str) -> None:
    assert find(f'from walnats import *\nLimits({value})\nEvent({value}, int)') == []


@pytest.mark.parametrize(
    ('imports', 'call'),
    [
        ('import walnats', 'walnats.Event'),
        ('import walnats as w', 'w.Event'),
        ('from walnats import Event', 'Event'),
        ('from walnats import Event as E', 'E'),
        ('from walnats import *', 'Event'),
        ('import walnats.errors', 'walnats.Event'),
        ('import walnats\nimport walnats.errors', 'walnats.Event'),
        ('import walnats\nE = walnats.Event', 'E'),
        ('import walnats', 'walnats.Event[int]'),
        ('if x:\n    import walnats\nelse:\n    import walnats', 'walnats.Event'),
        ('try:\n    import walnats\nexcept ImportError:\n    walnats = None', 'walnats.Event'),
    ],
)
def test_ways_to_import(imports: str, call: str) -> None:
    assert codes(f"{imports}\n{call}('', int)") == ['WNS001']
    assert codes(f"{imports}\ndef f(): return [{call}('', int) for x in y]") == ['WNS001']


@pytest.mark.parametrize(
    ('imports', 'call'),
    [
        ('import walnats', 'Event'),
        ('import walnats\nfrom threading import Event', 'Event'),
        ('from walnats import Event\nfrom asyncio import Event', 'Event'),
        ('from walnats import *\nfrom asyncio import *', 'Event'),
        ('from walnats import *\nclass Event: ...', 'Event'),
        ('from walnats import Event\ndef Event(*args): ...', 'Event'),
        ('from walnats import Event\ndel Event', 'Event'),
        ('from walnats import Event\nfor Event in x: ...', 'Event'),
        ('from walnats import Event\nwith x as Event: ...', 'Event'),
        ('from walnats import Event\ntry: ...\nexcept E as Event: ...', 'Event'),
        ('from walnats import Event\nmatch x:\n    case Event: ...', 'Event'),
        ('from walnats import Event\nmatch x:\n    case {**Event}: ...', 'Event'),
        ('from walnats import Event\nEvent, x = y', 'Event'),
        ('from walnats import Event\n[Event := x for x in y]', 'Event'),
        ('from walnats import Event\ndef g():\n    global Event\n    Event = x', 'Event'),
        ('import walnats\nwalnats = x', 'walnats.Event'),
        ('import walnats\na = b\nb = a', 'a'),
        ('from .walnats import Event', 'Event'),
        ('from walnats.types import Event', 'Event'),
        ('import walnats_next as walnats', 'walnats.Event'),
        ('import walnats, other', 'other.walnats.Event'),
        ('import walnats', 'walnats.types.Event'),
        ('import walnats', 'walnats().Event'),
        ('import walnats', 'f[walnats.Event]'),
    ],
)
def test_what_is_not_ours(imports: str, call: str) -> None:
    assert find(f"{imports}\n{call}('', 0)") == []


@pytest.mark.parametrize(
    'source',
    [
        "def f(Event): Event('')",
        "def f(*Event): Event('')",
        "f = lambda Event: Event('')",
        "[Event('') for Event in x]",
        "{Event('') for Event in x}",
        "{1: Event('') for Event in x}",
        "f(Event('') for Event in x)",
        "def f():\n    from threading import Event\n    def g(): Event('')",
        "class A:\n    Event = x\n    Event('')",
    ],
)
def test_inner_names_hide_outer_ones(source: str) -> None:
    assert find(f'from walnats import Event\n{source}') == []


@pytest.mark.parametrize('kind', ['[{}]', '({})', '{{{}}}', '{{1: {}}}'])
def test_names_of_a_comprehension_are_not_seen_after_it(kind: str) -> None:
    source = kind.format('x for Event in y')
    assert codes(f"from walnats import Event\n{source}\nEvent('', int)") == ['WNS001']


def test_names_of_a_class_are_not_seen_in_its_methods() -> None:
    source = "class A:\n    Event = x\n    def f(self): Event('')"
    assert find(f'from walnats import Event\n{source}') == [(4, 23, 'WNS001')]


@pytest.mark.parametrize(
    'constants',
    [
        "NAME = ''",
        "NAME: str = ''",
        "NAME = OTHER = ''",
        "A = ''\nNAME = A",
        "NAME = ''\nNAME = ''",
    ],
)
def test_constants(constants: str) -> None:
    assert codes(f'from walnats import Event\n{constants}\nEvent(NAME, int)') == ['WNS001']
    assert codes(f'from walnats import Event\ndef f(): Event(NAME, int)\n{constants}') == ['WNS001']


@pytest.mark.parametrize(
    'constants',
    [
        "NAME = ''\nNAME = 'a'",
        "NAME = ''\nNAME += 'a'",
        "NAME = ''\nfor NAME in x: ...",
        "def f(NAME=''): ...",
        'NAME: str',
        'NAME = NAME + NAME\n' * 300,
        "A = ''\ndef f():\n    global A\n    A = x\nNAME = A",
    ],
)
def test_what_may_be_another_constant(constants: str) -> None:
    assert find(f'from walnats import Event\n{constants}\nEvent(NAME, int)') == []


def test_arguments_after_a_star_are_unknown() -> None:
    source = "from walnats import Event\nEvent(*x, '', description='')\nEvent('', *x, **y)"
    assert find(source) == [(2, 26, 'WNS005'), (3, 6, 'WNS001')]
    assert find('import walnats\nwalnats.Limits(*x, 0)') == []


def test_the_text_says_what_to_do() -> None:
    tree = ast.parse("import walnats\nwalnats.Event('HTTPRequest_v2', int)")
    text = "WNS004 event name should use kebab-case: 'http-request-v-2'"
    assert list(Flake8Checker(tree).run()) == [(2, 14, text, Flake8Checker)]


@given(st.text() | st.text('aB1-_. ', max_size=80))
def test_a_name_without_findings_can_be_declared(name: str) -> None:
    source = f'from walnats import *\nEvent({name!r}, int)\nActor({name!r}, E, f)'
    found = codes(source)
    assert len(found) in (0, 2)
    assert [code[-1] for code in found[:1]] == [code[-1] for code in found[1:]]
    if not found and not name.startswith('walnats'):  # a name like others, but reserved
        Actor(name, Event(name, int), print)


@pytest.mark.parametrize('name', ['', 'a b', 'a*', 'a>', '\u00e4', 'a' * 256])
def test_what_the_library_refuses_is_found(name: str) -> None:
    with pytest.raises(InvalidNameError):
        Event(name, int)
    assert codes(f'from walnats import Event\nEvent({name!r}, int)')
