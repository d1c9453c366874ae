"""The rules for the values of declarations, said in the same way everywhere.

A declaration calls them when it is created. A value that can't be raises, and the text
names the declaration, the field, the rule and the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import DeclarationError, DeclarationTypeError

if TYPE_CHECKING:
    from enum import Enum

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
MAX_SECONDS = INT64_MAX // 10**9
"""NATS counts nanoseconds in 64 bits: that's 292 years."""
MAX_SHOWN = 80
MAX_DESCRIPTION = 4096
"""The bytes that NATS takes as the description of a stream or a consumer."""


class Fields:
    """Checks the fields of one declaration, such as ``Fields("event 'user-created'", event)``."""

    def __init__(self, owner: str, declaration: object) -> None:
        self._owner = owner
        self._declaration = declaration

    def seconds(self, name: str, *, least: float, unless_none: str = '') -> None:
        """Require a number of seconds. `unless_none` says what None means, where it's allowed."""
        value: Any = getattr(self._declaration, name)
        if value is None and unless_none:
            return
        rule = f'must be a number of seconds from {least} to {MAX_SECONDS}' + _or_none(unless_none)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.reject_type(name, value, rule)
        if not least <= value <= MAX_SECONDS:  # False for NaN as well
            self.reject(name, value, rule)

    def integer(
        self, name: str, *, least: int = 1, most: int = INT64_MAX, unless_none: str = ''
    ) -> None:
        """Require a whole number. `unless_none` says what None means, where it's allowed."""
        value: Any = getattr(self._declaration, name)
        if value is None and unless_none:
            return
        rule = f'must be an integer from {least} to {most}' + _or_none(unless_none)
        if isinstance(value, bool) or not isinstance(value, int):
            self.reject_type(name, value, rule)
        if not least <= value <= most:
            self.reject(name, value, rule)

    def boolean(self, name: str) -> None:
        """Require True or False, not just something true or false."""
        value: Any = getattr(self._declaration, name)
        if not isinstance(value, bool):
            self.reject_type(name, value, 'must be True or False')

    def member(self, name: str, enum: type[Enum]) -> None:
        """Require a member of the enum, not its value."""
        value: Any = getattr(self._declaration, name)
        if not isinstance(value, enum):
            choice = ', '.join(str(member) for member in enum)
            self.reject_type(name, value, f'must be one of {choice}')

    def instance(self, name: str, cls: type[object], example: str) -> None:
        """Require an instance of the class; the example says how one is made."""
        value: Any = getattr(self._declaration, name)
        if not isinstance(value, cls):
            rule = f'must be an instance of {cls.__name__}, such as {example}'
            self.reject_type(name, value, rule)

    def description(self, name: str = 'description') -> None:
        """Require a text that NATS takes as a description, or None."""
        value: Any = getattr(self._declaration, name)
        if value is None:
            return
        if not isinstance(value, str):
            self.reject_type(name, value, 'must be a string or None')
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            self.reject(name, value, 'must be valid Unicode, without lone surrogates')
        if size > MAX_DESCRIPTION:
            rule = f'must be at most {MAX_DESCRIPTION} bytes of UTF-8, these are {size}'
            self.reject(name, value, rule)

    def sequence(self, name: str, of: str) -> tuple[Any, ...]:
        """Require a sequence and give it as a tuple; `of` says what its items are."""
        value: Any = getattr(self._declaration, name)
        if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Sequence):
            rule = f'must be a sequence of {of}: put a single one in brackets and add a comma'
            self.reject_type(name, value, rule)
        return tuple(value)

    def reject(self, name: str, value: object, rule: str) -> NoReturn:
        """Raise for a value that can't be."""
        raise DeclarationError(self._explain(name, value, rule))

    def reject_type(self, name: str, value: object, rule: str) -> NoReturn:
        """Raise for a value of a wrong type."""
        kind = type(value).__name__
        raise DeclarationTypeError(f'{self._explain(name, value, rule)} ({kind})')

    def _explain(self, name: str, value: object, rule: str) -> str:
        return f'{self._owner}: {name} {rule}; it is {show(value)}'


def show(value: object) -> str:
    """Give the start of the value's repr, also where that is too long or fails."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 -- it's foreign code, on the way to an error already
        return f'<{type(value).__name__}: its repr raises {type(error).__name__}>'
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + '…'


def _or_none(meaning: str) -> str:
    return f', or None {meaning}' if meaning else ''
