"""The codes for duplicates, handlers, attempts and coroutines."""

from __future__ import annotations

import ast

import pytest

from walnats._linter import Flake8Checker

IMPORTS = """
import walnats
from walnats import Actor, Actors, Clock, Event, Events, ExecuteIn, decorators
from walnats.decorators import rate_limit, suppress
from walnats.types import ConnectedActors, ConnectedEvents
from .events import PAID, SENT
from . import events
async def run(message): ...
def run_sync(message): ...
"""


def find(source: str, *ignored: str) -> list[tuple[int, str]]:
    """Give line, from 1 in the source, and code."""
    found = Flake8Checker(ast.parse(IMPORTS + source)).run()
    start = IMPORTS.count('\n')
    return [(line - start, text[:6]) for line, _, text, _ in found if text[:6] not in ignored]


@pytest.mark.parametrize(
    'source',
    [
        "A = Event('a', int)\nB = walnats.Event('a', str)",
        "NAME = 'a'\nA, B = Event('a', int), Event(name=NAME, schema=str)",
        "A = Event('a', int)\nB = [Event('a', int).with_response(str)]",
    ],
)
def test_duplicate_event(source: str) -> None:
    assert find(source) == [(2, 'WNS031')]


@pytest.mark.parametrize(
    'source',
    [
        "A = Event('a', int)\nB = Event('b', int)",
        "A = Event('a', int)\nB = A.with_response(int)",
        "if x: A = Event('a', int)\nelse: A = Event('a', str)",
        "try: A = Event('a', int)\nexcept Exception: A = Event('a', str)",
        "A = Event('a', int) if x else Event('a', str)",
        "A = Event('a', int)\ndef f(): return Event('a', int)",
        "A = Event('a', int)\nclass C: A = Event('a', int)",
        "A = Event('a', int)\nf(lambda: Event('a', int))",
        "A = Event('a', int)\n[Event('a', x) for x in y]",
        'A = Event(x, int)\nB = Event(x, int)',
        "A = Event(f'{x}', int)\nB = Event(f'{x}', int)",
    ],
)
def test_no_duplicate_event(source: str) -> None:
    assert find(source) == []


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('PAID', 'PAID'),
        ('events.PAID', 'events.PAID'),
        ('PAID', 'events.PAID'),
        ('HERE', 'HERE'),
        ('HERE', 'SAME'),
        ('HERE', 'HERE.with_response(int)'),
        ('HERE', 'ASKED'),
    ],
)
def test_duplicate_actor(one: str, other: str) -> None:
    source = f"""
HERE = Event('here', int)
SAME = HERE
ASKED = SAME.with_response(str)
A = Actor('a', {one}, f, max_attempts=1)
B = Actor(event={other}, name='a', handler=f, max_attempts=1)"""
    assert find(source) == [(6, 'WNS032')]


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ("'a', PAID", "'a', SENT"),
        ("'a', PAID", "'b', PAID"),
        ("'a', events.PAID", "'a', events.SENT"),
        ("'a', make()", "'a', make()"),
        ("'a', x.PAID", "'a', x.PAID"),
        ("'a', TWICE", "'a', TWICE"),
        ("'a', LOOP", "'a', LOOP"),
        ("'a', LOOP.with_response(int)", "'a', LOOP.with_response(int)"),
        ('x, PAID', 'x, PAID'),
        ("'a'", "'a'"),
    ],
)
def test_no_duplicate_actor(one: str, other: str) -> None:
    source = f"""
TWICE = Event('one', int)
TWICE = Event('two', int)
LOOP = LOOP.with_response(int)
A = Actor({one}, handler=f, max_attempts=1)
B = Actor({other}, handler=f, max_attempts=1)"""
    assert find(source) == []


def test_an_event_and_an_actor_may_have_the_same_name() -> None:
    assert find("A = Event('a', int)\nB = Actor('a', A, f, max_attempts=1)") == []


@pytest.mark.parametrize('pool', ['ExecuteIn.THREAD', 'walnats.ExecuteIn.PROCESS', 'POOL'])
@pytest.mark.parametrize(
    'handler',
    [
        'async def handle(message): ...',
        '@suppress(ValueError)\nasync def handle(message): ...',
        '@rate_limit(1, 1)\ndef handle(message): ...',
        '@suppress(E)\n@walnats.decorators.require(f)\n@suppress(E)\ndef handle(message): ...',
    ],
)
def test_async_handler_in_a_pool(pool: str, handler: str) -> None:
    actor = f"Actor('a', PAID, handle, max_attempts=1, execute_in={pool})"
    found = find(f'{actor}\nPOOL = ExecuteIn.THREAD\n{handler}')
    assert found == [(1, 'WNS041')]


def test_async_handler_in_a_pool_by_position() -> None:
    source = "Actor('a', PAID, run, None, 16, 3, 1000, (), 16, 32, ExecuteIn.THREAD)"
    assert find(source) == [(1, 'WNS041')]


@pytest.mark.parametrize(
    ('handler', 'place'),
    [
        ('async def handle(message): ...', 'ExecuteIn.MAIN'),
        ('async def handle(message): ...', 'THREAD'),
        ('async def handle(message): ...', 'x.ExecuteIn.THREAD'),
        ('def handle(message): ...', 'ExecuteIn.THREAD'),
        ('@suppress(E)\ndef handle(message): ...', 'ExecuteIn.THREAD'),
        ('@to_sync\nasync def handle(message): ...', 'ExecuteIn.THREAD'),
        ('@suppress(E)\n@to_sync()\nasync def handle(message): ...', 'ExecuteIn.THREAD'),
        ('async def handle(message): ...\nhandle = to_sync(handle)', 'ExecuteIn.THREAD'),
        ('if x:\n    async def handle(m): ...\nelse:\n    def handle(m): ...', 'ExecuteIn.THREAD'),
        ('from handlers import handle', 'ExecuteIn.THREAD'),
    ],
)
def test_handler_that_may_be_there(handler: str, place: str) -> None:
    actor = f"Actor('a', PAID, handle, max_attempts=1, execute_in={place})"
    assert find(f'{handler}\n{actor}') == []


@pytest.mark.parametrize(
    ('arguments', 'is_open'),
    [
        ("'a', PAID, run", True),
        ("'a', PAID, run, 'text', 16", True),
        ("'a', PAID, run, max_jobs=1", True),
        ("'a', PAID, run, max_attempts=5", False),
        ("'a', PAID, run, max_attempts=None", False),
        ("'a', PAID, run, 'text', 16, 5", False),
        ("'a', PAID, run, **options", False),
        ("'a', PAID, *options", False),
    ],
)
def test_attempts_left_open(arguments: str, *, is_open: bool) -> None:
    assert find(f'def f(): return Actor({arguments})') == [(1, 'WNS042')] * is_open


CONNECTIONS = [
    'async def f():\n async with Events(PAID).connect() as conn:\n  {}',
    'async def f():\n async with x, walnats.Events(PAID).connect(url) as conn, y:\n  {}',
    'es = Events(PAID)\nasync def f():\n async with es.connect() as conn: {}',
    'async def f(es: Events):\n async with es.connect() as conn:\n  {}',
    'async def f():\n conn = await stack.enter_async_context(Events(PAID).connect())\n {}',
    'async def f(\n  conn: ConnectedEvents):\n {}',
    'async def f(*,\n  conn: "walnats.types.ConnectedEvents"):\n {}',
    'import walnats.types as t\nasync def f(conn: t.ConnectedEvents):\n {}',
    'async def f(\n  conn: ConnectedEvents | None):\n if conn: {}',
    'conn: ConnectedEvents\nasync def f():\n {}',
    'conn: ConnectedEvents = make()\nasync def f():\n {}',
    'async def f(conn: ConnectedEvents):\n def g():\n  {}',
    'conn = None\nasync def f(es: Events):\n async with es.connect() as conn: {}',
    """async def f(es: Events):
 async with es.connect() as conn: ...
 async with es.connect() as conn: {}""",
]


@pytest.mark.parametrize('place', CONNECTIONS)
@pytest.mark.parametrize('name', ['emit', 'emit_many', 'request', 'register'])
def test_coroutine_that_is_dropped(place: str, name: str) -> None:
    [(_, code)] = find(place.format(f'conn.{name}(PAID, 1)'))
    assert code == 'WNS051'
    assert find(place.format(f'await conn.{name}(PAID, 1)')) == []
    assert find(place.format(f'task = conn.{name}(PAID, 1)')) == []
    assert find(place.format(f'start(conn.{name}(PAID, 1))')) == []


@pytest.mark.parametrize('place', CONNECTIONS)
@pytest.mark.parametrize('call', ['conn.monitor()', 'conn.other()', 'conn.emit', 'conn()'])
def test_what_is_no_coroutine(place: str, call: str) -> None:
    assert find(place.format(call)) == []


@pytest.mark.parametrize(
    'name', ['register', 'listen', 'shutdown', 'replay', 'discard', 'unregister']
)
def test_coroutine_of_a_worker_that_is_dropped(name: str) -> None:
    source = f'async def f(conn: ConnectedActors):\n conn.{name}()'
    assert find(source) == [(2, 'WNS051')]
    source = f'async def f():\n async with Actors(A).connect() as conn: conn.{name}()'
    assert find(source) == [(2, 'WNS051')]


def test_coroutine_of_a_clock_that_is_dropped() -> None:
    assert find('CLOCK = Clock()\nasync def f(conn):\n CLOCK.run(conn)') == [(3, 'WNS051')]


@pytest.mark.parametrize(
    'source',
    [
        'def f(conn): conn.emit(PAID, 1)',
        'def f(conn: Connection): conn.emit(PAID, 1)',
        'def f(conn: ConnectedActors): conn.request_shutdown()',
        'def f(conn: ConnectedActors): conn.dead_letters()',
        'def f(conn: "not a type"): conn.emit(PAID, 1)',
        'def f(conn: ConnectedEvents | Other): conn.emit(PAID, 1)',
        'def f(conn: list[ConnectedEvents]): conn.emit(PAID, 1)',
        'def f(conn: ConnectedEvents):\n conn = wrap(conn)\n conn.emit(PAID, 1)',
        'def f(conn: ConnectedEvents):\n for conn in x: conn.emit(PAID, 1)',
        'async def f():\n async with socket.connect() as conn: conn.emit(PAID, 1)',
        'async def f():\n async with Events(PAID).open() as conn: conn.emit(PAID, 1)',
        'async def f():\n with Events(PAID).connect() as conn: conn.emit(PAID, 1)',
        'async def f():\n async with Events(PAID).connect() as (conn, x): conn.emit(PAID, 1)',
        'async def f():\n async with es.connect() as es: es.emit(PAID, 1)',
        'sio.emit(PAID, 1)',
        'def f(conn: ConnectedEvents): return lambda: conn.emit(PAID, 1)',
    ],
)
def test_what_may_be_no_coroutine(source: str) -> None:
    assert find(source) == []


def test_a_module_that_never_imports_walnats_has_no_problems() -> None:
    source = "Event('', int)\nE = Event('a', int)\nF = Event('a', int)"
    assert list(Flake8Checker(ast.parse(source)).run()) == []
