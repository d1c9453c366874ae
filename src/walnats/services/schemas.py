"""JSON Schemas as AsyncAPI has them: draft 07, with all that is shared under `components`."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from ..errors import DeclarationError
from ..serializers._json_schema import rewrite

_DEFINITION = '#/$defs/'
_COMPONENT = '#/components/schemas/'


class Keys:
    """Gives things keys that AsyncAPI takes, made of their names, each thing its own."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def get(self, name: str, identity: str) -> str:
        """Give the key of a thing.

        :param identity: what tells it from others of the same name. The first one gets the
            name itself, the next ones get a number behind it.
        """
        wanted = re.sub(r'[^A-Za-z0-9._-]', '_', name)
        numbered = (f'{wanted}-{number}' for number in itertools.count(2))
        return next(
            key
            for key in itertools.chain([wanted], numbered)
            if self._taken.setdefault(key, identity) == identity
        )


class Schemas:
    """The schemas of one document. Equal ones are kept once."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}
        self._keys = Keys()

    def add(self, owner: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Put the `$defs` of the schema under `components`, and give the rest of it.

        :param owner: whose schema it is, for errors.
        """
        definitions = schema.get('$defs', {})
        for reference in _find_all_references(schema):
            if reference not in definitions:
                raise DeclarationError(
                    f'{owner}: the JSON Schema refers to {reference!r}, which is not in its `$defs`'
                )
        keys = {name: self._keys.get(name, _identify(name, definitions)) for name in definitions}

        def convert(part: dict[str, Any]) -> dict[str, Any]:
            return _to_draft_07(part, keys)

        for name, definition in definitions.items():
            self.components[keys[name]] = rewrite(definition, convert)
        rest = {keyword: value for keyword, value in schema.items() if keyword != '$defs'}
        converted: dict[str, Any] = rewrite(rest, convert)
        return converted


def _find_all_references(schema: dict[str, Any]) -> set[str]:
    found: set[str] = set()

    def look(part: dict[str, Any]) -> dict[str, Any]:
        reference = part.get('$ref')
        if isinstance(reference, str) and reference.startswith('#'):
            found.add(reference.removeprefix(_DEFINITION))
        return part

    rewrite(schema, look)
    return found


def _identify(name: str, definitions: dict[str, Any]) -> str:
    """Give the definition as text, with all that it refers to."""
    reached: dict[str, Any] = {}
    todo = [name]
    while todo:
        each = todo.pop()
        if each not in reached:
            reached[each] = definitions[each]
            todo += _find_all_references(definitions[each])
    return json.dumps(reached, sort_keys=True, default=repr)


def _to_draft_07(schema: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    # AsyncAPI's `discriminator` is something else than OpenAPI's; the parts say enough.
    converted = {key: value for key, value in schema.items() if key != 'discriminator'}
    if 'default' in converted and not _is_json(converted['default']):
        del converted['default']
    if 'prefixItems' in converted:
        if 'items' in converted:
            converted['additionalItems'] = converted.pop('items')
        converted['items'] = converted.pop('prefixItems')
    reference = converted.get('$ref')
    if isinstance(reference, str) and reference.startswith(_DEFINITION):
        converted['$ref'] = _COMPONENT + keys[reference.removeprefix(_DEFINITION)]
    if '$ref' in converted and len(converted) > 1:
        # What is beside a reference is ignored in draft 07.
        converted['allOf'] = [*converted.get('allOf', ()), {'$ref': converted.pop('$ref')}]
    return converted


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
