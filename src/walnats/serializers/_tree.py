"""Reads a schema as msgspec understands it: a tree of types."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any

import msgspec.inspect as mi

from ..errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator

ClassNode = mi.DataclassType | mi.StructType | mi.TypedDictType | mi.NamedTupleType


def parse(schema: Any) -> mi.Type:
    """Give the tree of the schema. A DeclarationError says which part can't be encoded."""
    try:
        tree = mi.type_info(schema)
    except Exception as exc:  # whatever is wrong in the annotations of the user's classes
        raise DeclarationError(f'{name_of(schema)}: {exc}') from None
    for owner, node in _pairs(name_of(schema), tree):
        _check_node(owner, node)
    return tree


def children(node: mi.Type) -> list[tuple[str, mi.Type]]:
    """Give the parts of the type, each with a label that names it inside of its owner."""
    if isinstance(node, mi.Metadata):
        return [('', node.type)]
    if isinstance(node, ClassNode):
        return [(field.name, field.type) for field in node.fields]
    if isinstance(node, mi.CollectionType):
        return [('items', node.item_type)]
    if isinstance(node, mi.TupleType):
        return [('items', item) for item in node.item_types]
    if isinstance(node, mi.DictType):
        return [('keys', node.key_type), ('values', node.value_type)]
    if isinstance(node, mi.UnionType):
        return [('', member) for member in node.types]
    return []


def reachable(tree: mi.Type) -> Iterator[mi.Type]:
    """Give every type in the tree once; a class may refer to itself."""
    return (node for _, node in _pairs('', tree))


def class_of(node: ClassNode) -> type:
    """Give the class whose instances the type describes."""
    if isinstance(node, mi.TypedDictType):
        return dict
    return getattr(node.cls, '__origin__', node.cls)


def name_of(schema: Any) -> str:
    """Name the schema as one would write it."""
    if schema is type(None):
        return 'None'
    origin, args = typing.get_origin(schema), typing.get_args(schema)
    if origin in {typing.Union, types.UnionType}:
        return ' | '.join(map(name_of, args))
    if isinstance(origin, type) and args:
        return f'{name_of(origin)}[{", ".join(map(name_of, args))}]'
    if schema is ...:
        return '...'
    return schema.__qualname__ if isinstance(schema, type) else repr(schema)


def _pairs(owner: str, tree: mi.Type) -> Iterator[tuple[str, mi.Type]]:
    seen: set[int] = set()
    todo = [(owner, tree)]
    while todo:
        owner, node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield owner, node
        if isinstance(node, ClassNode):
            todo += [(f'{name_of(node.cls)}.{label}', child) for label, child in children(node)]
        else:
            todo += [(owner, child) for _, child in children(node)]


def _check_node(owner: str, node: mi.Type) -> None:
    if isinstance(node, mi.CustomType):
        raise DeclarationError(
            f"{owner} can't be encoded: nobody knows what is in {name_of(node.cls)}"
        )
    if isinstance(node, mi.ExtType):
        raise DeclarationError(
            f"{owner}: extension types of MessagePack are not portable, so they can't be used"
        )
    if isinstance(node, mi.DataclassType) and hasattr(class_of(node), '__attrs_attrs__'):
        _check_attrs(node)


def _check_attrs(node: mi.DataclassType) -> None:
    # msgspec leaves such fields of attrs classes out of the payload, but expects them there.
    private = [field.name for field in node.fields if field.name.startswith('_')]
    if private:
        raise DeclarationError(
            f"{name_of(node.cls)}.{private[0]}: a private field of an attrs class can't be encoded"
        )
