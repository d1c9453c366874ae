"""JSON Schemas: those of msgspec, those of wrapped payloads, and a way through any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._base import Serializer

# Only these hold schemas. A property may be called `items`, and a default may look like a schema.
_ONE = frozenset(
    {
        *('additionalItems', 'additionalProperties', 'contains', 'contentSchema', 'else', 'if'),
        *('items', 'not', 'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties'),
    }
)
_MANY = frozenset({'allOf', 'anyOf', 'oneOf', 'prefixItems'})
_NAMED = frozenset({'$defs', 'dependentSchemas', 'patternProperties', 'properties'})


def describe(types: Sequence[Any]) -> dict[str, Any] | None:
    """Describe any of the types by msgspec, None if it can't: a default is no JSON."""
    try:
        parts, definitions = msgspec.json.schema_components(types, ref_template='#/$defs/{name}')
    except Exception:  # whatever msgspec has against it; that it can be encoded is known
        return None
    described = parts[0] if len(parts) == 1 else {'anyOf': list(parts)}
    return {**described, '$defs': definitions}


def rewrite(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Give a copy in which each schema has been changed, the innermost first."""
    if not isinstance(schema, dict):  # true or false, or none at all
        return schema
    return change({key: _rewrite_value(key, value, change) for key, value in schema.items()})


def wrapped(how: str, inner: Serializer[Any]) -> dict[str, Any]:
    """Describe bytes that hold what another serializer has written; `how` is a sentence."""
    content = dict(inner.json_schema() or {})
    definitions = content.pop('$defs', {})
    return {
        'type': 'string',
        'format': 'binary',
        'description': how,
        'contentMediaType': inner.content_type,
        'contentSchema': content,
        '$defs': definitions,
    }


def _rewrite_value(key: str, value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if key in _NAMED and isinstance(value, dict):
        return {name: rewrite(part, change) for name, part in value.items()}
    if key in _MANY and isinstance(value, list):
        return [rewrite(part, change) for part in value]
    return rewrite(value, change) if key in _ONE else value
