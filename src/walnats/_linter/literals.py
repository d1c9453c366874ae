"""The rules for names, descriptions and limits that are written out: WNS001 to WNS026."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .._checks import MAX_DESCRIPTION, show
from .codes import problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .codes import Problem
    from .declarations import Declaration

MAX_NAME = 64
"""Less than NATS takes: names are also for people, and for the labels of metrics."""
TOO_OLD = 1e9
"""Seconds. Who says so means nanoseconds."""

_INVALID = re.compile(r'[\s.*>]')
_KEBAB_CASE = re.compile(r'[a-z0-9]+(-[a-z0-9]+)*')
_WORDS = re.compile(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+')


def check_literals(declaration: Declaration) -> Iterator[Problem]:
    """Check the arguments of one declaration that are written out."""
    if declaration.path == 'walnats.Limits':
        yield from _check_limits(declaration)
    else:
        group = 'WNS00' if declaration.path == 'walnats.Event' else 'WNS02'
        yield from _check_name(declaration, group)
        yield from _check_description(declaration, group)


def _check_name(declaration: Declaration, group: str) -> Iterator[Problem]:
    """Give the first thing that is wrong: the others may go with it."""
    name = declaration.text('name')
    if name is None:
        return
    argument = declaration.arguments['name']
    if not name:
        yield problem(f'{group}1', argument)
    elif len(name) > MAX_NAME:
        yield problem(f'{group}2', argument, f' ({len(name)} > {MAX_NAME})')
    elif found := _INVALID.search(name):
        yield problem(f'{group}3', argument, f': {found[0]!r}')
    elif not _KEBAB_CASE.fullmatch(name):
        yield problem(f'{group}4', argument, _suggest(name))


def _suggest(name: str) -> str:
    better = '-'.join(_WORDS.findall(name)).lower() if name.isascii() else ''
    return f": '{better}'" if better else ''


def _check_description(declaration: Declaration, group: str) -> Iterator[Problem]:
    description = declaration.text('description')
    if description is None:
        return
    argument = declaration.arguments['description']
    size = len(description.encode(errors='surrogatepass'))
    if not description.strip():
        yield problem(f'{group}5', argument)
    elif size > MAX_DESCRIPTION:
        yield problem(f'{group}6', argument, f' ({size} > {MAX_DESCRIPTION} bytes)')


def _check_limits(declaration: Declaration) -> Iterator[Problem]:
    for name, argument in declaration.arguments.items():
        value = declaration.number(name)
        if value is None:
            continue
        if value <= 0:
            yield problem('WNS011', argument, f': {name} is {show(value)}')
        elif name == 'age' and value >= TOO_OLD:
            yield problem('WNS012', argument, f': {show(value)} of them are over 31 years')
