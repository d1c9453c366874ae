"""JSON for pydantic models."""

from __future__ import annotations

import sys
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..errors import DeclarationError, DeclarationTypeError, DecodeError
from ._base import Serializer
from ._classes import class_to_test, field_types, reachable_classes
from ._optional import missing_package
from ._reasons import changed, decode_error, encode_error, wrong_type
from ._same import find_change
from ._tree import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pydantic
    from typing_extensions import TypeForm

T = TypeVar('T')

_SHOWN = 3


class PydanticSerializer(Serializer[T]):
    """JSON for pydantic v2 models, and for types made of them, like `list[Model]`.

    The model's own rules decide what is read: pydantic's lax conversions (`'5'` for 5)
    unless the model says `strict`, unknown fields are ignored unless it says otherwise.
    On top of them the payload must be JSON: no NaN, no infinities, no number out of range.

    Fields are written under their aliases and read under alias or name. Computed fields
    aren't written, a model can't take them back. Every payload is read again before it's
    sent and must give the same message: a masked `SecretStr`, a field excluded without a
    default or a validator that changes its own result is an EncodeError.

    It needs the package `pydantic`: `pip install 'walnats[pydantic]'`.
    """

    content_type = 'application/json'

    def __init__(self, schema: TypeForm[T]) -> None:
        try:
            import pydantic  # noqa: PLC0415 -- of an extra
        except ImportError as exc:
            raise missing_package('PydanticSerializer', 'pydantic') from exc
        self._name = name_of(schema)
        if not has_pydantic_model(schema):
            raise DeclarationTypeError(
                f'PydanticSerializer needs a pydantic model, not {self._name}'
            )
        try:
            adapter: pydantic.TypeAdapter[T] = pydantic.TypeAdapter(schema)
            adapter.rebuild(raise_errors=True)
        except Exception as exc:  # whatever pydantic has against the schema
            first_line = str(exc).partition('\n')[0]
            raise DeclarationError(f'{self._name}: {first_line}') from None
        self._adapter = adapter
        self._class = class_to_test(schema)
        self._write = adapter.serializer.to_json
        self._validate = adapter.validator.validate_json
        # It is stricter about JSON than pydantic's own parser and knows where the text is wrong.
        self._parse = msgspec.json.Decoder().decode
        self._validation_error = pydantic.ValidationError
        self._known_names = frozenset(_known_names(schema))

    def encode(self, message: T) -> bytes:
        """Turn the message into the payload. A wrong type is an EncodeError."""
        if not isinstance(message, self._class):
            raise wrong_type(message, self._name)
        try:
            data: bytes = self._write(message, by_alias=True, round_trip=True, warnings=False)
            where = find_change(message, self.decode(data))
            if where is not None:
                raise changed(where)
        except Exception as exc:  # the model's own code may raise anything
            raise encode_error(exc) from None
        return data

    def decode(self, data: bytes) -> T:
        """Turn the payload into a message. Whatever is wrong with it is a DecodeError."""
        try:
            if not data.isascii():
                data.decode()
            self._parse(data)
            message: T = self._validate(data, by_alias=True, by_name=True)
        except Exception as exc:  # the model's own code may raise anything
            if isinstance(exc, self._validation_error):
                raise DecodeError(self._describe(exc)) from None
            raise decode_error(exc, data) from None
        return message

    def json_schema(self) -> dict[str, Any] | None:
        """Describe the schema as pydantic does, None for types that it can't describe."""
        from ._pydantic_schema import describe  # noqa: PLC0415 -- of an extra

        return describe(self._adapter)

    def _describe(self, error: pydantic.ValidationError) -> str:
        # Neither the texts nor the inputs of pydantic: both quote the payload.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        shown = [f'{self._path(each["loc"])} is wrong ({_kind(each["type"])})' for each in found]
        more = f' and {len(shown) - _SHOWN} more' if len(shown) > _SHOWN else ''
        return '; '.join(shown[:_SHOWN]) + more

    def _path(self, location: Iterable[int | str]) -> str:
        path = '$'
        for step in location:
            if isinstance(step, int):
                path += f'[{step}]'
            else:  # a key that the schema doesn't know is of the payload
                path += f'.{step}' if step in self._known_names else '[...]'
        return f'`{path}`'


def has_pydantic_model(schema: Any) -> bool:
    """Tell whether there is a pydantic model in the schema, without importing pydantic."""
    module = sys.modules.get('pydantic')
    if module is None:
        return False
    return any(
        issubclass(cls, module.BaseModel) or hasattr(cls, '__is_pydantic_dataclass__')
        for cls in reachable_classes(schema)
    )


def _known_names(schema: Any) -> Iterator[str]:
    for cls in reachable_classes(schema):
        yield from field_types(cls)
        for field in getattr(cls, '__pydantic_fields__', {}).values():
            yield from _alias_names(field.validation_alias)


def _alias_names(alias: Any) -> Iterator[str]:
    if isinstance(alias, str):
        yield alias
    for choice in getattr(alias, 'choices', ()):
        yield from _alias_names(choice)
    for step in getattr(alias, 'path', ()):
        if isinstance(step, str):
            yield step


def _kind(error_type: str) -> str:
    # Validators of the schema make up types of their own, and may put anything into them.
    from pydantic_core.core_schema import ErrorType  # noqa: PLC0415 -- of an extra

    return error_type if error_type in typing.get_args(ErrorType) else 'custom'
