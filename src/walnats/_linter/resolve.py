"""What an expression stands for, where that is plain. None is: nobody knows.

A name that is bound several times stands for something only if all its bindings agree.
"""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .scopes import Binding, Function, Scope

T = TypeVar('T')

_MAX_STEPS = 16
"""How deep to look. It also ends what is defined by itself, such as `a = b; b = a`."""
_MAX_BASE, _MAX_EXPONENT = 1024, 64

_CONNECTED = {
    'walnats.Events': 'walnats.types.ConnectedEvents',
    'walnats.Actors': 'walnats.types.ConnectedActors',
}
"""What entering the `connect` of each gives."""

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class View:
    """Where to look names up from, and how much deeper."""

    scope: Scope
    steps: int = _MAX_STEPS

    def deeper(self) -> View:
        """Give the view from the same place for a part of the expression."""
        return View(self.scope, self.steps - 1)

    def find(self, name: str) -> tuple[View, list[Binding]]:
        """Give all that binds the name, and the view that its parts are seen from."""
        if self.steps <= 0:
            return self, []
        scope, bindings = self.scope.find(name)
        return View(scope, self.steps - 1), [each for each in bindings if not _is_none(each)]


def path_of(node: ast.expr, view: View) -> str | None:
    """Give where it is imported from, such as `walnats.ExecuteIn.THREAD`."""
    if isinstance(node, ast.Attribute) and view.steps > 0:
        owner = path_of(node.value, view.deeper())
        return f'{owner}.{node.attr}' if owner is not None else None
    if not isinstance(node, ast.Name):
        return None
    inner, bindings = view.find(node.id)
    return _agreed(_path_of_binding(each, inner) for each in bindings)


def _path_of_binding(binding: Binding, view: View) -> str | None:
    if isinstance(binding, str):
        return binding
    value = _value_of(binding)
    return path_of(value, view) if value is not None else None


def constant_of(node: ast.expr, view: View) -> str | float | None:
    """Give the string or the number that is written there, perhaps as a sum or a product."""
    if view.steps <= 0:
        return None
    match node:
        case ast.Constant(value=str() | int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub()):
            number = constant_of(node.operand, view.deeper())
            return -number if isinstance(number, (int, float)) else None
        case ast.BinOp():
            return _calculate(node, view.deeper())
        case ast.Name():
            inner, bindings = view.find(node.id)
            return _agreed(_constant_of_binding(each, inner) for each in bindings)
        case _:
            return None


def _constant_of_binding(binding: Binding, view: View) -> str | float | None:
    value = _value_of(binding)
    return constant_of(value, view) if value is not None else None


def _calculate(node: ast.BinOp, view: View) -> str | float | None:
    left = constant_of(node.left, view)
    right = constant_of(node.right, view) if left is not None else None
    match left, right, node.op:
        case str(), str(), ast.Add():
            return left + right
        case int() | float(), int() | float(), op if _is_harmless(op, left, right):
            try:
                return _OPERATORS[type(op)](left, right)
            except OverflowError:
                return None
        case _:
            return None


def _is_harmless(op: ast.operator, left: float, right: float) -> bool:
    """Tell whether it can be calculated, to a number of reasonable size."""
    if isinstance(op, ast.Pow):
        return 0 < left <= _MAX_BASE and 0 <= right <= _MAX_EXPONENT
    return type(op) in _OPERATORS


def call_of(node: ast.expr, view: View) -> tuple[ast.Call, View] | None:
    """Give the call that made it, and the view that the call's arguments are seen from."""
    if isinstance(node, ast.Call):
        return node, view
    if not isinstance(node, ast.Name):
        return None
    inner, bindings = view.find(node.id)
    values = [_value_of(each) for each in bindings]
    return call_of(values[0], inner) if len(values) == 1 and values[0] is not None else None


def callee_of(call: ast.Call, view: View) -> str | None:
    """Give the path of what is called. `Event[int](…)` is a call of `Event`."""
    function = call.func
    return path_of(function.value if isinstance(function, ast.Subscript) else function, view)


def function_of(node: ast.expr, view: View) -> tuple[Function, View] | None:
    """Give the function of that name, if the name has no other meaning."""
    if not isinstance(node, ast.Name):
        return None
    inner, bindings = view.find(node.id)
    match bindings:
        case [ast.FunctionDef() | ast.AsyncFunctionDef() as function]:
            return function, inner
        case _:
            return None


def class_of(node: ast.expr, view: View) -> str | None:
    """Give the path of the class that it is an instance of, such as `walnats.Events`."""
    match node:
        case ast.Name():
            inner, bindings = view.find(node.id)
            return _agreed(_class_of_binding(each, inner) for each in bindings)
        case ast.Call():
            return callee_of(node, view)
        case ast.Await(
            value=ast.Call(func=ast.Attribute(attr='enter_async_context'), args=[manager])
        ):
            return _class_of_entered(manager, view)
        case _:
            return None


def _class_of_binding(binding: Binding, view: View) -> str | None:
    match binding:
        case ast.AnnAssign() | ast.arg():
            return _class_of_annotation(binding.annotation, view)
        case ast.withitem():
            return _class_of_entered(binding.context_expr, view)
        case ast.expr():
            return class_of(binding, view)
        case _:
            return None


def _class_of_entered(manager: ast.expr, view: View) -> str | None:
    """Give what `async with manager as …` gives, if that is a connection of ours."""
    match manager:
        case ast.Call(func=ast.Attribute(value=owner, attr='connect')):
            return _CONNECTED.get(class_of(owner, view) or '')
        case _:
            return None


def _class_of_annotation(annotation: ast.expr | None, view: View) -> str | None:
    """Read `C`, `'C'` and `C | None`."""
    match annotation:
        case ast.Constant(value=str() as text):
            return _class_of_annotation(_parse(text), view)
        case ast.BinOp(op=ast.BitOr(), left=one, right=ast.Constant(value=None)):
            return _class_of_annotation(one, view)
        case None:
            return None
        case _:
            return path_of(annotation, view)


def _parse(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode='eval').body
    except (SyntaxError, ValueError):
        return None


def _value_of(binding: Binding) -> ast.expr | None:
    """Give the expression that is assigned."""
    if isinstance(binding, ast.AnnAssign):
        return binding.value
    return binding if isinstance(binding, ast.expr) else None


def _is_none(binding: Binding) -> bool:
    """Tell whether it is the value None, until there is another one."""
    return isinstance(binding, ast.Constant) and binding.value is None


def _agreed(values: Iterable[T]) -> T | None:
    """Give the value if it is always the same one. The first other one ends the search."""
    agreed: T | None = None
    for value in values:
        if value is None or (agreed is not None and value != agreed):
            return None
        agreed = value
    return agreed
