"""One walk over the tree of a module: its calls, and what its names are bound to.

The walk is a loop, because a tree can be deeper than Python's stack.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .scopes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .scopes import Function


class Place(NamedTuple):
    """Where in a module something is."""

    scope: Scope
    is_certain: bool
    """Importing the module runs it, once: it's under no `if` and in no function."""


class Site(NamedTuple):
    """A call and where it is."""

    call: ast.Call
    place: Place


@dataclass
class Module:
    """What the walk finds."""

    calls: list[Site] = field(default_factory=list)
    """In no order."""
    dropped: list[Site] = field(default_factory=list)
    """Those of the calls whose result nobody looks at."""
    imports_walnats: bool = False


def read_module(tree: ast.Module) -> Module:
    """Walk over the tree."""
    walk = _Walk()
    walk.go_on([tree], Place(Scope(), is_certain=True))
    while walk.pending:
        node, place = walk.pending.pop()
        if isinstance(node, _UNCERTAIN):
            place = place._replace(is_certain=False)
        _READERS.get(type(node), _read_other)(walk, node, place)
    return walk.module


class _Walk:
    """What was found so far, and what is still to be read."""

    def __init__(self) -> None:
        self.module = Module()
        self.pending: list[tuple[ast.AST, Place]] = []

    def go_on(self, nodes: Iterable[ast.AST | None], place: Place) -> None:
        self.pending.extend((node, place) for node in nodes if node is not None)


def _read_other(walk: _Walk, node: Any, place: Place) -> None:
    """Read a node without rules of its own. Some bind a name, such as an `except … as`."""
    for attribute in ('name', 'rest'):
        name = getattr(node, attribute, None)
        if isinstance(name, str):
            place.scope.bind(name, None)
    walk.go_on(ast.iter_child_nodes(node), place)


def _read_name(_walk: _Walk, node: ast.Name, place: Place) -> None:
    if not isinstance(node.ctx, ast.Load):
        place.scope.bind(node.id, None)


def _read_call(walk: _Walk, node: ast.Call, place: Place) -> None:
    walk.module.calls.append(Site(node, place))
    walk.go_on([node.func, *node.args, *node.keywords], place)


def _read_expression(walk: _Walk, node: ast.Expr, place: Place) -> None:
    if isinstance(node.value, ast.Call):
        walk.module.dropped.append(Site(node.value, place))
    walk.go_on([node.value], place)


def _read_import(walk: _Walk, node: ast.Import, place: Place) -> None:
    for alias in node.names:
        top = alias.name.partition('.')[0]
        path = alias.name if alias.asname else top
        place.scope.bind(alias.asname or top, path)
        walk.module.imports_walnats |= top == 'walnats'


def _read_import_from(walk: _Walk, node: ast.ImportFrom, place: Place) -> None:
    source = '.' * node.level + (f'{node.module}.' if node.module else '')
    for alias in node.names:
        if alias.name == '*':
            place.scope.bind('*', source)
        else:
            place.scope.bind(alias.asname or alias.name, source + alias.name)
    walk.module.imports_walnats |= source.partition('.')[0] == 'walnats'


def _read_assignment(walk: _Walk, node: ast.Assign, place: Place) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            place.scope.bind(target.id, node.value)
        else:
            walk.go_on([target], place)
    walk.go_on([node.value], place)


def _read_annotated_assignment(walk: _Walk, node: ast.AnnAssign, place: Place) -> None:
    if isinstance(node.target, ast.Name):
        place.scope.bind(node.target.id, node)
    walk.go_on([node.annotation, node.value], place)


def _read_walrus(walk: _Walk, node: ast.NamedExpr, place: Place) -> None:
    place.scope.bind_anywhere(node.target.id)
    walk.go_on([node.value], place)


def _read_async_with(walk: _Walk, node: ast.AsyncWith, place: Place) -> None:
    for item in node.items:
        if isinstance(item.optional_vars, ast.Name):
            place.scope.bind(item.optional_vars.id, item)
        else:
            walk.go_on([item.optional_vars], place)
        walk.go_on([item.context_expr], place)
    walk.go_on(node.body, place)


def _read_declared_names(_walk: _Walk, node: ast.Global | ast.Nonlocal, place: Place) -> None:
    for name in node.names:
        place.scope.bind_anywhere(name)


def _read_function(walk: _Walk, node: Function, place: Place) -> None:
    place.scope.bind(node.name, node)
    walk.go_on([*node.decorator_list, node.returns], place)
    inner = Scope(place.scope)
    _read_parameters(walk, node.args, inner, place)
    walk.go_on([*getattr(node, 'type_params', ()), *node.body], Place(inner, is_certain=False))


def _read_lambda(walk: _Walk, node: ast.Lambda, place: Place) -> None:
    inner = Scope(place.scope)
    _read_parameters(walk, node.args, inner, place)
    walk.go_on([node.body], Place(inner, is_certain=False))


def _read_parameters(walk: _Walk, node: ast.arguments, inner: Scope, place: Place) -> None:
    """Bind the parameters inside. Their defaults and annotations belong to the outside."""
    for each in (*node.posonlyargs, *node.args, *node.kwonlyargs):
        inner.bind(each.arg, each)
        walk.go_on([each.annotation], place)
    for starred in (node.vararg, node.kwarg):
        if starred is not None:
            inner.bind(starred.arg, None)
            walk.go_on([starred.annotation], place)
    walk.go_on([*node.defaults, *node.kw_defaults], place)


def _read_class(walk: _Walk, node: ast.ClassDef, place: Place) -> None:
    place.scope.bind(node.name, None)
    walk.go_on([*node.decorator_list, *node.bases, *node.keywords], place)
    inner = Scope(place.scope, is_class=True)
    walk.go_on([*getattr(node, 'type_params', ()), *node.body], Place(inner, is_certain=False))


def _read_comprehension(walk: _Walk, node: ast.AST, place: Place) -> None:
    walk.go_on(ast.iter_child_nodes(node), Place(Scope(place.scope), is_certain=False))


_UNCERTAIN = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
    ast.IfExp,
    ast.BoolOp,
)
"""What may run its parts many times, or not at all, or catch what they raise."""

_READERS: dict[type[ast.AST], Callable[[_Walk, Any, Place], None]] = {
    ast.Name: _read_name,
    ast.Call: _read_call,
    ast.Expr: _read_expression,
    ast.Import: _read_import,
    ast.ImportFrom: _read_import_from,
    ast.Assign: _read_assignment,
    ast.AnnAssign: _read_annotated_assignment,
    ast.NamedExpr: _read_walrus,
    ast.AsyncWith: _read_async_with,
    ast.Global: _read_declared_names,
    ast.Nonlocal: _read_declared_names,
    ast.FunctionDef: _read_function,
    ast.AsyncFunctionDef: _read_function,
    ast.Lambda: _read_lambda,
    ast.ClassDef: _read_class,
    ast.ListComp: _read_comprehension,
    ast.SetComp: _read_comprehension,
    ast.DictComp: _read_comprehension,
    ast.GeneratorExp: _read_comprehension,
}
