"""All that is public has a docstring.

Ruff asks for docstrings only in modules that are public themselves. Ours mostly aren't: what is
in them is public because `walnats` exports it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from types import ModuleType
from typing import TYPE_CHECKING, Any

import walnats

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_public() -> Iterator[tuple[str, Any]]:
    """Give each public module, class and function, with its name."""
    yield 'walnats', walnats
    for name in walnats.__all__:
        value = getattr(walnats, name)
        yield f'walnats.{name}', value
        if isinstance(value, ModuleType):
            for member in value.__all__:
                yield f'walnats.{name}.{member}', getattr(value, member)


def find_members(cls: type) -> dict[str, Any]:
    """Give the public methods, properties and classes in a class, but not what it inherits."""
    return {
        name: value
        for name, value in vars(cls).items()
        if inspect.isroutine(value) or isinstance(value, type | property)
        if not name.startswith('_')
    }


def find_fields(cls: type) -> dict[str, ast.stmt | None]:
    """Give the public fields in the body of a dataclass, each with what is written below it."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    return {
        line.target.id: below
        for line, below in zip(body.body, [*body.body[1:], None], strict=True)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        if not line.target.id.startswith('_')
    }


PUBLIC = dict(find_public())
CLASSES = {name: value for name, value in PUBLIC.items() if isinstance(value, type)}
MEMBERS = {
    f'{cls}.{name}': value for cls in CLASSES for name, value in find_members(CLASSES[cls]).items()
}
FIELDS = {
    f'{cls}.{name}': below
    for cls in CLASSES
    if dataclasses.is_dataclass(CLASSES[cls])
    for name, below in find_fields(CLASSES[cls]).items()
}


def test_all_that_is_public_has_a_docstring() -> None:
    # Not inspect.getdoc: that would take the one of the parent.
    assert [name for name, value in {**PUBLIC, **MEMBERS}.items() if not value.__doc__] == []


def test_a_field_has_one_below_it() -> None:
    assert [name for name, below in FIELDS.items() if not is_string(below)] == []


def is_string(line: ast.stmt | None) -> bool:
    return isinstance(line, ast.Expr) and isinstance(ast.literal_eval(line.value), str)


def test_the_walk_finds_what_is_public() -> None:
    """That all of them have docstrings says nothing if few are found."""
    assert {'walnats.Event', 'walnats.decorators.suppress', 'walnats.errors'} <= PUBLIC.keys()
    assert 'walnats.types.ConnectedEvents.emit' in MEMBERS  # a method
    assert 'walnats.types.BaseEvent.stream_name' in MEMBERS  # a property
    assert 'walnats.CloudEvent.from_headers' in MEMBERS  # a class method
    assert 'walnats.Actor.max_jobs' in FIELDS
