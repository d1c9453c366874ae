"""What a user can import, and the tree of errors as it is drawn."""

from __future__ import annotations

import builtins
import importlib
import inspect
import pickle
import re
from typing import Any

import pytest

import walnats
from walnats import errors

DECLARATIONS = {
    'Actor',
    'Actors',
    'Clock',
    'CloudEvent',
    'DeadLetters',
    'Discard',
    'EmbeddedServer',
    'Event',
    'Events',
    'ExecuteIn',
    'Limits',
    'Medium',
    'Priority',
    'Retention',
    'Services',
    'Start',
    'Storage',
}
MODULES = {'decorators', 'errors', 'middlewares', 'serializers', 'types'}
TYPES = {
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
}
WORDS_OF_A_HANDLER = {'GiveUp', 'Retry'}
DETAILS = {'FailedMessage'}
ERRORS: dict[str, type[errors.WalnatsError]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value)
    and issubclass(value, errors.WalnatsError)
    and not name.startswith('_')
}


# --- Exports -----------------------------------------------------------------


def test_top_level() -> None:
    assert set(walnats.__all__) == (
        DECLARATIONS | MODULES | WORDS_OF_A_HANDLER | DETAILS | ERRORS.keys()
    )
    assert len(walnats.__all__) == len(set(walnats.__all__))


def test_everything_that_is_exported_is_there() -> None:
    for name in walnats.__all__:
        assert getattr(walnats, name) is not None
    for name in DECLARATIONS | WORDS_OF_A_HANDLER | DETAILS | ERRORS.keys():
        assert inspect.isclass(getattr(walnats, name))


def test_dir_has_each_of_them_once() -> None:
    found = [name for name in dir(walnats) if name in walnats.__all__]
    assert sorted(found) == sorted(walnats.__all__)


def test_import_with_a_star() -> None:
    namespace: dict[str, Any] = {}
    exec('from walnats import *', namespace)  # noqa: S102 -- it can't be written in a function
    assert namespace.keys() - {'__builtins__'} == set(walnats.__all__)


def test_types() -> None:
    assert set(walnats.types.__all__) == TYPES
    for name in TYPES:
        assert inspect.isclass(getattr(walnats.types, name))


def test_version() -> None:
    assert re.fullmatch(r'\d+\.\d+\.\d+', walnats.__version__)


def test_errors_at_the_top_are_those_of_the_module() -> None:
    assert set(errors.__all__) == ERRORS.keys() | WORDS_OF_A_HANDLER | DETAILS
    for name in errors.__all__:
        assert getattr(walnats, name) is getattr(errors, name)


# --- The tree of errors ------------------------------------------------------

LINE = re.compile(r'(?P<branch>[│├└─ ]*)(?P<name>\w+)(?: +\((?P<also>.*)\))?')


def read_tree() -> dict[str, tuple[str | None, list[str]]]:
    """Give each error's parent and the other classes it's said to be an instance of."""
    drawing = inspect.getdoc(errors) or ''
    tree: dict[str, tuple[str | None, list[str]]] = {}
    path: list[str] = []
    for line in drawing.split('\n\n')[1].splitlines():
        found = LINE.fullmatch(line.strip('\n')[4:])
        assert found is not None, line
        depth = len(found['branch']) // 4
        path = [*path[:depth], found['name']]
        parent = path[-2] if depth else None
        tree[found['name']] = (parent, re.split(r', *', found['also']) if found['also'] else [])
    return tree


TREE = read_tree()


def resolve(name: str, beside: str | None) -> type:
    """Find a class by its name; one without a module is built in, or beside the one before."""
    module, _, simple = name.rpartition('.')
    if module:
        found: type = getattr(importlib.import_module(module), simple)
        return found
    if hasattr(builtins, simple):
        built_in: type = getattr(builtins, simple)
        return built_in
    assert beside is not None, name
    return resolve(f'{beside.rpartition(".")[0]}.{simple}', None)


def resolve_all(names: list[str]) -> list[type]:
    return [resolve(name, names[0]) for name in names]


def test_the_tree_is_complete() -> None:
    assert TREE.keys() == ERRORS.keys()
    assert [name for name, (parent, _) in TREE.items() if parent is None] == ['WalnatsError']


@pytest.mark.parametrize('name', ERRORS)
def test_parent_is_as_drawn(name: str) -> None:
    parent, _ = TREE[name]
    ancestors = [c.__name__ for c in ERRORS[name].__mro__[1:] if c.__name__ in ERRORS]
    assert ancestors[:1] == ([parent] if parent else [])


@pytest.mark.parametrize('name', ERRORS)
def test_other_classes_are_as_drawn(name: str) -> None:
    parent, also = TREE[name]
    cls, drawn = ERRORS[name], resolve_all(also)
    assert all(issubclass(cls, other) for other in drawn)
    # And nothing is left out: what the class adds to its parent is one of these, or above one.
    inherited = ERRORS[parent].__mro__ if parent else (Exception,)
    foreign = [c for c in cls.__mro__[1:] if c.__module__ != 'walnats.errors']
    added = [c for c in foreign if not any(issubclass(known, c) for known in inherited)]
    assert [c for c in added if not any(issubclass(other, c) for other in drawn)] == []


# --- What every error can do -------------------------------------------------


def make(cls: type[errors.WalnatsError], message: str) -> errors.WalnatsError:
    """Make an error, with a word for each detail that it can't do without."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    needed = [
        p.name
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.default is inspect.Parameter.empty
    ]
    return cls(message, **{name: f'the {name}' for name in needed})


@pytest.mark.parametrize('cls', ERRORS.values(), ids=ERRORS)
def test_message_is_what_was_raised(cls: type[errors.WalnatsError]) -> None:
    error = make(cls, 'the message')
    assert str(error) == 'the message'
    assert 'the message' in repr(error)
    assert isinstance(error, walnats.WalnatsError)


@pytest.mark.parametrize('cls', ERRORS.values(), ids=ERRORS)
def test_errors_are_compared_by_identity(cls: type[errors.WalnatsError]) -> None:
    one, other = make(cls, 'same'), make(cls, 'same')
    assert one == one  # noqa: PLR0124 -- the case itself
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize('cls', ERRORS.values(), ids=ERRORS)
def test_errors_can_be_pickled(cls: type[errors.WalnatsError]) -> None:
    """A job in another process may raise any of them."""
    error = make(cls, 'the message')
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    assert type(copy) is cls
    assert str(copy) == 'the message'
    assert vars(copy) == vars(error)


@pytest.mark.parametrize('cls', ERRORS.values(), ids=ERRORS)
def test_docstring(cls: type[errors.WalnatsError]) -> None:
    assert cls.__doc__
    assert cls.__doc__.splitlines()[0].endswith('.')


def test_details_of_an_answer() -> None:
    error = errors.StreamConfigError('x', code=500, err_code=10052, description='words')
    assert (error.code, error.err_code, error.description) == (500, 10052, 'words')
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    assert vars(copy) == vars(error)


def test_words_of_a_handler_are_no_errors_of_ours() -> None:
    for name in WORDS_OF_A_HANDLER:
        word = getattr(walnats, name)
        assert issubclass(word, Exception)
        assert not issubclass(word, walnats.WalnatsError)
