"""JSON Schemas of pydantic models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic_core import core_schema as cs


def describe(adapter: TypeAdapter[Any]) -> dict[str, Any] | None:
    """Describe what is written: None if there is a type that pydantic can't describe."""
    try:
        found, shared = TypeAdapter.json_schemas(
            [('schema', 'serialization', adapter)], schema_generator=_AsWritten
        )
    except PydanticInvalidForJsonSchema:
        return None
    return {**found['schema', 'serialization'], '$defs': shared.get('$defs', {})}


class _AsWritten(GenerateJsonSchema):
    """Leaves out computed fields, as the serializer does."""

    def model_fields_schema(self, schema: cs.ModelFieldsSchema) -> dict[str, Any]:
        return super().model_fields_schema({**schema, 'computed_fields': []})

    def dataclass_args_schema(self, schema: cs.DataclassArgsSchema) -> dict[str, Any]:
        return super().dataclass_args_schema({**schema, 'computed_fields': []})
